"""Whether this processor trains faster in bfloat16: measured once, and remembered."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
import time
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from course_utils.inference import kept_random_state

__all__ = ["bf16_gain", "processor"]

REPETITIONS = 5  # the first prepares the kernels, and does not count


@cache
def processor() -> str:
    """The name of this machine's processor, as its maker gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@cache
def bf16_gain() -> float:
    """How many times as fast a training step is in bfloat16 as in fp32 on this processor.

    0 where it has no instructions for bfloat16. Otherwise measured in a third of a second, the
    first time that it is asked on this machine with this torch, and read from the user's cache
    from then on; where there is none to write to, it is measured once a process.
    """
    is_there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (is_there and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return 0.0
    key = {"processor": processor(), "torch": torch.__version__}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        path = Path(home, "course_utils", f"bf16-{digest}.json")
        return float(json.loads(path.read_text(encoding="utf-8"))["gain"])
    except RuntimeError:  # a user without a home
        return _measured()
    except (OSError, ValueError, TypeError, KeyError):  # not there yet, or not what we wrote
        gain = _measured()
        _write(path, json.dumps(key | {"gain": gain}, indent=1) + "\n")
        return gain


def _measured() -> float:
    """Seconds in fp32 over seconds in bfloat16, for two blocks of ResNet-20's middle stage.

    That is convolution, batch normalisation and ReLU on 128 maps of 32x16x16, forward and back, in
    the layout of ``fit``. On one thread, in time of this thread: what else the machine is doing
    counts for little. The best of each precision's repetitions.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Whoever asks may be measuring a net, without gradients.
        with kept_random_state(torch.device("cpu")), torch.inference_mode(False):
            options = {"device": "cpu", "dtype": torch.float32}
            layers: list[nn.Module] = []
            for _block in range(2):
                layers += [
                    nn.Conv2d(32, 32, 3, padding=1, bias=False, **options),  # type: ignore[arg-type]
                    nn.BatchNorm2d(32, **options),  # type: ignore[arg-type]
                    nn.ReLU(),
                ]
            net = nn.Sequential(*layers).to(memory_format=torch.channels_last)
            images = torch.randn(128, 32, 16, 16, device="cpu", dtype=torch.float32)
            images = images.contiguous(memory_format=torch.channels_last)
            seconds = [
                [_seconds(net, images, is_bf16) for is_bf16 in (False, True)]
                for _time in range(REPETITIONS)
            ]
    finally:
        torch.set_num_threads(threads)
    fp32, bf16 = map(min, zip(*seconds[1:], strict=True))
    return fp32 / bf16


def _seconds(net: nn.Module, images: Tensor, is_bf16: bool) -> float:
    started = time.thread_time()
    with torch.enable_grad():
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            loss = net(images).float().mean()
        torch.autograd.backward(loss)
    return time.thread_time() - started


def _write(path: Path, text: str) -> None:
    """Put the text there whole, or leave the place as it was."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
