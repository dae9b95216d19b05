"""Makes .venv: the build of torch that suits this machine, then the exact versions of the pins.

It runs before anything is installed, and on a Python that the course does not support too, so that
it can say so: it imports the standard library and the course's messages, and nothing newer than
what Python 3.9 reads.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from course_utils.commands import FAILED, add_command, carry_out, new_parser
from course_utils.i18n import _, say

__all__ = [
    "add_install",
    "build_of",
    "has_nvidia_gpu",
    "install",
    "main",
    "supported",
    "torch_index",
]

REPOSITORY = Path(__file__).resolve().parents[1]
INDEX = "https://download.pytorch.org/whl/"
CPU, CUDA = INDEX + "cpu", INDEX + "cu130"  # CUDA's is the one that PyPI's torch for Linux has
BUILDS = ("auto", "cpu", "gpu")


def main(argv: list[str] | None = None) -> int:
    """``python -m course install``, as the only command there is before anything is installed."""

    def parser() -> argparse.ArgumentParser:
        made, commands = new_parser("course")
        add_install(commands)
        return made

    return carry_out(parser, argv)


def add_install(commands: Any) -> None:
    """Add the command to those of ``python -m course``."""
    parser = add_command(
        commands,
        "install",
        _("Make .venv, and install in it exactly the versions that the lessons need."),
        "course install --torch cpu",
        lambda arguments: install(REPOSITORY, arguments.torch or "auto", dev=arguments.dev),
    )
    parser.add_argument(
        "--torch",
        metavar=_("BUILD"),
        help=_(
            "the build of torch: cpu, gpu, the address of an index that has another, or auto "
            "(the default), which keeps the one already there, or else chooses gpu if there is "
            "an NVIDIA GPU and cpu if not"
        ),
    )
    parser.add_argument(
        "--dev",
        action="store_true",
        help=_("also what the course is written and checked with: requirements-dev.txt"),
    )


def supported(requires: str, version: tuple[int, int]) -> bool:
    """Whether a Python is among those that ``requires-python`` names.

    Args:
        requires: such as ``>=3.11,<3.15``.
        version: the first two numbers of a version.

    >>> [supported(">=3.11,<3.15", (3, minor)) for minor in (9, 11, 14, 15)]
    [False, True, True, False]
    """
    oldest, beyond = (int(minor) for minor in re.findall(r"3\.(\d+)", requires))
    return (3, oldest) <= version < (3, beyond)


def torch_index(choice: str, platform: str) -> tuple[str | None, str]:
    """Where torch comes from, and the sentence that says so.

    Args:
        choice: ``"auto"``, ``"cpu"``, ``"gpu"``, or the address of an index.
        platform: as in ``sys.platform``.

    Returns:
        The address of an index of torch's, or None where the usual one has the build; the sentence
        is empty where there is no choice, as on macOS.

    Raises:
        ValueError: the choice is none of these.
    """
    if choice not in BUILDS:
        if "://" not in choice:
            raise ValueError(
                _(
                    "torch has no build {choice!r}: choose cpu, gpu, auto, or the address of an "
                    "index, such as {example}."
                ).format(choice=choice, example=CPU)
            )
        return choice, _("torch comes from {index}.").format(index=choice)
    if platform == "darwin":
        return None, ""
    gpu = choice == "gpu" or (choice == "auto" and has_nvidia_gpu())
    index = {"win32": CUDA if gpu else None}.get(platform, None if gpu else CPU)
    if gpu:
        said = _(
            "the build of torch for NVIDIA GPUs will be installed, with NVIDIA's libraries (5 GB)."
        )
    else:
        said = _(
            "the build of torch for the CPU will be installed, without NVIDIA's libraries (1 GB)."
        )
    if choice == "auto":
        found = _("This machine has an NVIDIA GPU:") if gpu else _("No NVIDIA GPU was found:")
        return index, " ".join([found, said, _other(platform, "cpu" if gpu else "gpu")])
    return index, said


def _other(platform: str, build: str) -> str:
    command = f"make install TORCH={build}"
    if platform == "win32":
        command = f"py -m course install --torch {build}"
    return _("For the other one, run {command}.").format(command=f"`{command}`")


def build_of(label: str, platform: str) -> str:
    """Which build a torch is, by what follows the + of its version.

    >>> [build_of("cpu", "linux"), build_of("", "linux"), build_of("", "win32")]
    ['cpu', 'gpu', 'cpu']
    """
    # PyPI's has no label: for Linux it is the one for NVIDIA GPUs.
    return "gpu" if label.startswith("cu") or (not label and platform == "linux") else "cpu"


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's driver is there and knows of a GPU."""
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "GPU" in answer.stdout


def install(root: Path, choice: str = "auto", *, dev: bool = False) -> int:
    """Make ``.venv`` of the Python that runs, and install the course in it; answer pip's status.

    Args:
        root: the folder of the course.
        choice: of torch's build, as in :func:`torch_index`; with ``"auto"``, a torch that is there
            in the pinned version stays.
        dev: whether to install the pins of ``requirements-dev.txt``, which has the others too.

    Raises:
        ValueError: this Python is too old or too new, or there is no such build.
        OSError: ``.venv`` cannot be made.
    """
    requires = re.findall(r'^requires-python = "(.+)"', _text(root / "pyproject.toml"), re.M)[0]
    if not supported(requires, sys.version_info[:2]):
        raise ValueError(_unsupported(requires))
    pins = root / ("requirements-dev.txt" if dev else "requirements.txt")
    index, said = torch_index(choice, sys.platform)
    environment = root / ".venv"
    if subprocess.run([sys.executable, "-m", "venv", str(environment)]).returncode:
        raise OSError(_("Python could not make {folder}.").format(folder=environment))
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = re.findall(r"^(?:torch|torchvision)==\S+", _text(pins), re.M)
    there = _installed(python)
    version, _plus, label = there.partition("+")
    if wanted[0] != f"torch=={version}" or choice not in ("auto", build_of(label, sys.platform)):
        _install_torch(python, wanted, index, said, replace=bool(there))
    status = _pip(python, "-r", str(pins), "-e", str(root))
    return FAILED if status else 0


def _unsupported(requires: str) -> str:
    oldest, beyond = re.findall(r"3\.(\d+)", requires)
    newest = int(beyond) - 1
    example = f"make PYTHON=python3.{newest - 1}"
    if sys.platform == "win32":
        example = f"py -3.{newest - 1} -m course install"
    return _(
        "This course needs a Python from 3.{oldest} to 3.{newest}, and {program} is Python "
        "{version}: install one and name it, as in `{example}`."
    ).format(
        oldest=oldest,
        newest=newest,
        program=sys.executable,
        version=sys.version.split()[0],
        example=example,
    )


def _install_torch(
    python: Path, wanted: list[str], index: str | None, said: str, *, replace: bool
) -> None:
    """Bring torch's build from its index; where that fails, a sentence, and pip's usual one."""
    if said:
        say(said)
    renew = ["--force-reinstall"] if replace else []
    if index is not None:
        # Only this index, whatever others pip is told of: they have the other builds.
        pages = [f"--find-links={index.rstrip('/')}/{name}/" for name in ("torch", "torchvision")]
        patience = ["--retries=1", "--timeout=30"]
        words = ["--no-index", "--no-deps", *renew, *patience, *pages, *wanted]
        # What pip would call an error is none as long as the usual index has the build.
        if not _pip(python, *words, errors=subprocess.DEVNULL):
            return
        say(
            _(
                "{index} cannot be reached, or has no {wanted} for this Python: torch will come "
                "from pip's usual index instead, with NVIDIA's libraries (5 GB) on Linux."
            ).format(index=index, wanted=" ".join(wanted))
        )
    if renew:
        _pip(python, "--no-deps", *renew, *wanted)


def _pip(python: Path, *words: str, errors: int | None = None) -> int:
    return subprocess.run([str(python), "-m", "pip", "install", *words], stderr=errors).returncode


def _installed(python: Path) -> str:
    """The version of torch in the environment; empty where there is none."""
    code = "from importlib.metadata import version; print(version('torch'))"
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
    return answer.stdout.strip()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
