"""Train and measure a classifier: batches of tensors, no worker processes, seeded throughout."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from course_utils.arguments import flag, one_of, whole_number
from course_utils.datasets import Dataset, Split
from course_utils.i18n import _
from course_utils.inference import evaluating

__all__ = [
    "Augmentation",
    "Evaluation",
    "History",
    "Metrics",
    "Precision",
    "Schedule",
    "best_device",
    "best_precision",
    "evaluate",
    "fit",
    "learning_rate_at",
    "memory_format",
    "random_crop",
    "random_flip",
    "reestimate_batch_norm",
    "stream_seed",
]

Evaluation = Literal["end", "epoch", "never"]
Schedule = Literal["linear", "step"]
Precision = Literal["auto", "fp32", "bf16"]
Augmentation = Literal["none", "crop", "crop_flip"]

WARM_START = 0.1  # share of the learning rate that a warm start begins with
WARM_UNTIL = 0.8  # running training error below which it ends
WARM_WINDOW = 100  # steps over which that error is taken
WARMUP = 0.1  # share of the steps during which the "linear" schedule rises
DROPS = (0.5, 0.75)  # shares of the steps after which the "step" schedule divides by ten


# --- randomness ----------------------------------------------------------------------------


def stream_seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, so that the streams of one run do not depend on one another.

    Args:
        seed: the run's seed.
        purpose: ``"initialisation"``, ``"order"``, ``"augmentation"`` or any other word.

    >>> stream_seed(0, "order") == stream_seed(0, "augmentation")
    False
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:7], "little")


def random_crop(images: Tensor, generator: torch.Generator, padding: int | None = None) -> Tensor:
    """Pad each image with zeros and cut out its size again at a random place.

    Args:
        images: ``(B, C, H, W)``.
        generator: on the CPU, so that the crops are the same on every device.
        padding: pixels added on each side; by default an eighth of the height (4 of 32, as in
            the ResNet paper).

    Returns:
        ``(B, C, H, W)``, one shift of at most ``padding`` pixels an image.

    >>> random_crop(torch.rand(2, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    batch, _channels, height, width = images.shape
    reach = height // 8 if padding is None else padding
    shifts = torch.randint(2 * reach + 1, (2, batch, 1), generator=generator).to(images.device)
    rows = shifts[0] + torch.arange(height, device=images.device)  # (B, H)
    columns = shifts[1] + torch.arange(width, device=images.device)  # (B, W)
    padded = F.pad(images, (reach, reach, reach, reach)).permute(0, 2, 3, 1)
    which = torch.arange(batch, device=images.device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the images left to right, at random; ``(B, C, H, W)`` in and out.

    >>> random_flip(torch.rand(2, 1, 8, 8), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 8, 8])
    """
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)


# --- device, precision, memory layout ------------------------------------------------------


def _devices() -> tuple[str, ...]:
    """The kinds of device that this machine has, the fastest first."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return tuple(kind for kind, is_there in there.items() if is_there)


def best_device() -> str:
    """``"cuda"``, else ``"mps"``, else ``"cpu"``: the fastest that this machine has."""
    return _devices()[0]


def best_precision(device: str) -> Literal["fp32", "bf16"]:
    """``"bf16"`` where the hardware multiplies matrices in it, else ``"fp32"``.

    That is: GPUs from NVIDIA's Ampere generation on, and CPUs with AMX tiles. A CPU that only
    converts to bfloat16 (AVX-512 BF16) gains nothing on small nets; ``benchmarks/`` measures it.
    """
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu" and torch.cpu._is_amx_tile_supported():
        return "bf16"
    return "fp32"


def memory_format(device: str, precision: str) -> torch.memory_format:
    """The layout in which convolutions are faster: pixels first, but for fp32 off the CPU."""
    if device == "cpu" or precision == "bf16":
        return torch.channels_last
    return torch.contiguous_format


def _same_sums() -> AbstractContextManager[None]:
    """Convolution algorithms that add up in one order, in the backward pass too, in true fp32."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def _autocast(device: str, precision: str) -> torch.autocast:
    return torch.autocast(device.split(":")[0], torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def _own_noise(seed: int, device: str) -> Iterator[None]:
    """The model's own draws, dropout's for instance, follow ``seed``; then all is as before."""
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(stream_seed(seed, "noise"))
        yield


def _wrong(logits: Tensor, labels: Tensor) -> Tensor:
    """Which images are not given their label, ``(B,)``; logits that are not numbers are wrong."""
    return (logits.argmax(1) != labels) | ~logits.isfinite().all(1)


def _resolve(device: str | None, precision: Precision) -> tuple[str, Literal["fp32", "bf16"]]:
    one_of("precision", precision, get_args(Precision))
    chosen = best_device() if device is None else str(device)
    if chosen.split(":")[0] not in _devices():
        one_of("device", chosen, _devices())
    return chosen, best_precision(chosen) if precision == "auto" else precision


# --- what comes back -----------------------------------------------------------------------


@dataclass(frozen=True)
class Metrics:
    """How a model does on a split.

    Attributes:
        error: share of the images whose largest logit is not their label's, in [0, 1]; an
            image whose logits are not all finite counts as wrong.
        loss: mean cross-entropy in nats.
        images: number of images measured.
    """

    error: float
    loss: float
    images: int

    @property
    def accuracy(self) -> float:
        """``1 - error``."""
        return 1 - self.error


@dataclass(frozen=True)
class History:
    """What a training run gave.

    Attributes:
        loss: mean training loss of each epoch, as seen while training (nats).
        learning_rate: learning rate at the last step of each epoch.
        running_errors: error of each epoch on its batches as they were learnt, in training mode.
        evaluated_at: the epochs, from 1, after which both splits were measured.
        train_errors, test_errors: the errors in eval mode measured then, in [0, 1].
        steps: number of steps done.
        images_per_second: images trained on, over the time spent training (not measuring).
        seconds: whole time, measuring included.
        diverged: the loss stopped being a finite number; training ended there.
        device, precision, memory_format: what the run used.
        warm_start_steps: steps done at the low rate of a warm start, all of them if it never
            ended; None without one.
    """

    loss: tuple[float, ...]
    learning_rate: tuple[float, ...]
    running_errors: tuple[float, ...]
    evaluated_at: tuple[int, ...]
    train_errors: tuple[float, ...]
    test_errors: tuple[float, ...]
    steps: int
    images_per_second: float
    seconds: float
    diverged: bool
    device: str
    precision: str
    memory_format: str
    warm_start_steps: int | None = None

    @property
    def train_error(self) -> float | None:
        """Error on the whole training split in eval mode after the last epoch."""
        return self.train_errors[-1] if self.train_errors else None

    @property
    def test_error(self) -> float | None:
        """Error on the whole test split in eval mode after the last epoch."""
        return self.test_errors[-1] if self.test_errors else None


# --- the learning rate ---------------------------------------------------------------------


def learning_rate_at(step: int, steps: int, peak: float, schedule: Schedule = "linear") -> float:
    """Learning rate of step number ``step`` (from 0) out of ``steps``.

    ``"linear"`` rises to ``peak`` over the first tenth of the steps, then falls to zero.
    ``"step"`` starts at ``peak`` and is divided by ten after half and after three quarters of the
    steps: with 64,000 steps, at 32,000 and 48,000, the recipe of He et al. 2015, section 4.2.

    >>> learning_rate_at(32_000, 64_000, 0.1, "step")
    0.01
    """
    if schedule == "step":
        drops = sum(step >= drop * steps for drop in DROPS)
        return peak / 10**drops
    one_of("schedule", schedule, get_args(Schedule))
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (steps - step) / (steps - warmup + 1)


# --- measuring and training ----------------------------------------------------------------


def _normalised(images: Tensor, split: Split, device: str) -> Tensor:
    """Images of the split on the device, in float, mean 0 and standard deviation about 1."""
    images = images.to(device)
    if images.dtype == torch.uint8:
        images = images.float() / 255
    return (images - split.mean.to(device)) / split.std.to(device)


def evaluate(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 512,
    device: str | None = None,
    precision: Precision = "fp32",
) -> Metrics:
    """Error and loss of ``model`` on a whole split, in eval mode.

    Args:
        model: from ``(B, C, H, W)`` normalised images to ``(B, num_classes)`` logits. Moved to
            the device; each of its modules' modes is left as it was.
        split: images and labels; normalised here with the split's own mean and deviation.
        batch_size: images at a time.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``; the fastest by default.
        precision: ``"fp32"``, ``"bf16"`` or ``"auto"``.

    Raises:
        ValueError: a batch of no image, an unknown device or precision.
    """
    batch_size = whole_number("batch_size", batch_size, at_least=1)
    device, precision = _resolve(device, precision)
    model.to(device)
    wrong, loss = 0, 0.0
    with evaluating(model), _same_sums(), _autocast(device, precision):
        for start in range(0, len(split), batch_size):
            images = _normalised(split.images[start : start + batch_size], split, device)
            labels = split.labels[start : start + batch_size].to(device)
            logits = model(images).float()  # (B, num_classes)
            wrong += int(_wrong(logits, labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    return Metrics(error=wrong / len(split), loss=loss / len(split), images=len(split))


@torch.no_grad()
def reestimate_batch_norm(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 128,
    device: str | None = None,
    precision: Precision = "fp32",
) -> None:
    """Take the means and variances of batch normalisation anew, over a whole split.

    While a net learns, each layer keeps a moving average of batches seen by weights that have
    changed since. Here the weights stay as they are, and the batches all count the same.

    Args:
        model: changed in place, nothing but its running statistics; each of its modules' modes
            is left as it was.
        split: its images, without augmentation, in an order of no class.
        batch_size: images at a time; what is left over is not used.
        device, precision: as for :func:`evaluate`.

    Raises:
        ValueError: a batch of less than two images, an unknown device or precision.
    """
    batch_size = min(whole_number("batch_size", batch_size, at_least=2), len(split))
    device, precision = _resolve(device, precision)
    model.to(device)
    layers = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    with evaluating(model), _same_sums(), _autocast(device, precision):
        for layer in layers:
            layer.train()
            layer.reset_running_stats()
            layer.momentum = None  # a mean over all batches
        order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
        for start in range(0, len(split) - batch_size + 1, batch_size):
            model(_normalised(split.images[order[start : start + batch_size]], split, device))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _compiled(model: nn.Module, device: str) -> Callable[[Tensor], Tensor]:
    """``model`` compiled; on CUDA its kernels are captured and launched as one."""
    compiled: Callable[[Tensor], Tensor] = torch.compile(
        model, dynamic=False, mode="reduce-overhead" if device.startswith("cuda") else None
    )

    def forward(images: Tensor) -> Tensor:
        # What the step before answered may be written over.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return compiled(images)

    return forward


def _count_steps(epochs: int | None, steps: int | None, per_epoch: int) -> int:
    if steps is None and epochs is not None:
        return whole_number("epochs", epochs, at_least=1) * per_epoch
    if steps is not None and epochs is None:
        return whole_number("steps", steps, at_least=1)
    raise ValueError(_("Say how long to train with epochs=… or with steps=…, one of the two."))


def fit(
    model: nn.Module,
    dataset: Dataset,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    evaluate: Evaluation = "end",
    evaluate_every: int = 1,
    learning_rate: float = 0.1,
    schedule: Schedule = "linear",
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay: float = 1e-4,
    augmentation: Augmentation = "none",
    warm_start: bool = False,
    reestimate_bn: bool = False,
    compiled: bool = False,
    device: str | None = None,
    precision: Precision = "auto",
    progress: bool = True,
    stop_after: int | None = None,
    on_step: Callable[[int, nn.Module], None] | None = None,
) -> History:
    """Train ``model`` in place with SGD and say how it went.

    Images stay where the model is, and a batch is gathered, normalised and augmented as one
    tensor. An epoch is a new random order of the training split, cut into whole batches (what is
    left over waits for the next order). The model ends in eval mode.

    Args:
        model: from ``(B, C, H, W)`` images to ``(B, num_classes)`` logits. Its initial weights
            are the caller's choice: call ``torch.manual_seed`` before building it.
        dataset: ``train`` is learnt, ``test`` only measured.
        epochs, steps: how long, one of the two.
        batch_size: images a step; a smaller training split makes one batch.
        seed: of the order, of the augmentation and of what the model draws itself (dropout), each
            with a stream of its own.
        evaluate: measure both splits in eval mode after the ``"end"``, each ``"epoch"``, or
            ``"never"``.
        evaluate_every: with ``"epoch"``, measure after every so many epochs, and after the last.
        learning_rate: its highest value.
        schedule: ``"linear"`` or ``"step"``, see :func:`learning_rate_at`.
        momentum, nesterov, weight_decay: of SGD.
        augmentation: ``"none"``, ``"crop"`` (shifts) or ``"crop_flip"`` (shifts and mirrors).
            Padding comes after normalisation, so that the border has the mean colour.
        warm_start: begin at a tenth of the learning rate, until the error of the last hundred
            batches as they were learnt, looked at every hundred steps, is below 80%: the ResNet
            paper's way to start its net of depth 110. The steps count as any others.
        reestimate_bn: after the last step, and before the last measurement, take the statistics
            of batch normalisation anew, see :func:`reestimate_batch_norm`.
        compiled: let torch.compile fuse the layers of the training steps. It takes a minute to
            begin with and, on the CPU, needs a C++ compiler; the numbers differ in their last
            digits.
        device, precision: by default the fastest of this machine.
        progress: show a bar.
        stop_after: end after so many steps of the schedule, to look at the start of a longer run.
        on_step: called as ``on_step(step, model)`` between the backward pass and the update,
            when the gradients are there to be read.

    Returns:
        A :class:`History`. A loss that is no longer a finite number ends the training there and
        is reported in ``diverged``, with the errors of the net as it is.

    Raises:
        ValueError: neither or both of ``epochs`` and ``steps``, a number below 1, an unknown
            choice, a batch of less than two images.
        TypeError: a number of epochs, steps or images that is not whole.

    >>> from course_utils.datasets import load
    >>> from course_utils.models import cifar_net
    >>> net = cifar_net(8, in_channels=1, width=4)
    >>> fit(net, load("digits", size=8), steps=2, progress=False).steps
    2
    """
    one_of("evaluate", evaluate, get_args(Evaluation))
    one_of("augmentation", augmentation, get_args(Augmentation))
    evaluate_every = whole_number("evaluate_every", evaluate_every, at_least=1)
    warming, reestimate_bn = flag("warm_start", warm_start), flag("reestimate_bn", reestimate_bn)
    train = dataset.train
    batch_size = min(whole_number("batch_size", batch_size, at_least=1), len(train))
    if batch_size < 2:
        raise ValueError(_("A batch needs two images or more: batch normalisation compares them."))
    per_epoch = len(train) // batch_size
    total = _count_steps(epochs, steps, per_epoch)
    learning_rate_at(0, total, learning_rate, schedule)  # an unknown schedule is refused here
    last = total if stop_after is None else min(_count_steps(None, stop_after, 1), total)
    device, precision = _resolve(device, precision)
    layout = memory_format(device, precision)

    model.to(device).to(memory_format=layout)
    forward = _compiled(model, device) if flag("compiled", compiled) else model
    images, labels = train.images.to(device), train.labels.to(device)
    order = torch.Generator().manual_seed(stream_seed(seed, "order"))
    augmenting = torch.Generator().manual_seed(stream_seed(seed, "augmentation"))
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        fused=device != "mps",
    )

    losses: list[float] = []
    rates: list[float] = []
    running: list[float] = []
    evaluated_at: list[int] = []
    errors: dict[str, list[float]] = {"train": [], "test": []}

    def measure() -> None:
        evaluated_at.append(len(losses))
        for name, split in (("train", train), ("test", dataset.test)):
            metrics = _measure(model, split, device=device, precision=precision)
            errors[name].append(metrics.error)

    wrong_while_warming = torch.zeros((), device=device)
    started = time.perf_counter()
    training_time = 0.0
    step = warm_steps = 0
    diverged = False
    with (
        tqdm(total=last, disable=not progress, unit="step", leave=False) as bar,
        _same_sums(),
        _own_noise(seed, device),
    ):
        while step < last and not diverged:
            epoch_started = time.perf_counter()
            model.train()
            shuffled = torch.randperm(len(train), generator=order).to(device)
            summed = torch.zeros(2, device=device)  # loss, wrong answers
            kept = shuffled[: min(per_epoch, last - step) * batch_size]
            batches = kept.view(-1, batch_size)
            for chosen in batches:
                rate = learning_rate_at(step, total, learning_rate, schedule)
                if warming:
                    rate *= WARM_START
                    warm_steps = step + 1
                for group in optimiser.param_groups:
                    group["lr"] = rate
                batch = _normalised(images[chosen], train, device)
                if augmentation != "none":
                    batch = random_crop(batch, augmenting)
                if augmentation == "crop_flip":
                    batch = random_flip(batch, augmenting)
                with _autocast(device, precision):
                    logits = forward(batch.contiguous(memory_format=layout))
                    loss = F.cross_entropy(logits.float(), labels[chosen])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                if on_step is not None:
                    on_step(step, model)
                optimiser.step()
                wrong = _wrong(logits.detach(), labels[chosen]).float().mean()
                summed += torch.stack((loss.detach(), wrong))
                step += 1
                if warming:
                    wrong_while_warming += wrong
                    if step % WARM_WINDOW == 0:
                        warming = float(wrong_while_warming) / WARM_WINDOW >= WARM_UNTIL
                        wrong_while_warming.zero_()
            mean_loss, mean_wrong = (summed / len(batches)).tolist()  # the epoch's only wait
            losses.append(mean_loss)
            running.append(mean_wrong)
            rates.append(rate)
            diverged = not math.isfinite(mean_loss)
            ended = diverged or step == last
            training_time += time.perf_counter() - epoch_started
            if ended and reestimate_bn:
                reestimate_batch_norm(
                    model, train, batch_size=batch_size, device=device, precision=precision
                )
            if evaluate == "epoch" and (ended or len(losses) % evaluate_every == 0):
                measure()
            bar.update(len(batches))
            bar.set_postfix(loss=f"{losses[-1]:.3f}")
    if evaluate == "end":
        measure()
    model.eval()
    return History(
        loss=tuple(losses),
        learning_rate=tuple(rates),
        running_errors=tuple(running),
        evaluated_at=tuple(evaluated_at),
        train_errors=tuple(errors["train"]),
        test_errors=tuple(errors["test"]),
        steps=step,
        images_per_second=step * batch_size / training_time,
        seconds=time.perf_counter() - started,
        diverged=diverged,
        device=device,
        precision=precision,
        memory_format=str(layout).removeprefix("torch."),
        warm_start_steps=warm_steps if warm_start else None,
    )


_measure = evaluate  # within ``fit`` the name is that of its argument
