"""What is installed: the build of torch that suits the machine, from an index or in its place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from course import install
from course_utils.i18n import speaking

ROOT = Path(__file__).parents[2]
PINS = "torch==2.14.1\ntorchvision==0.29.1\n"
# A course that pip installs with nothing but itself.
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "nothing"
version = "1"
requires-python = "{requires}"
"""
BACKEND = """\
import shutil
from pathlib import Path

def build_editable(folder, config_settings=None, metadata_directory=None):
    return shutil.copy(Path("nothing-1-py3-none-any.whl"), folder) and "nothing-1-py3-none-any.whl"
"""
CLOSED = "http://127.0.0.1:9/cpu"  # nothing listens there


def wheel(folder: Path, name: str, version: str) -> None:
    """A wheel that holds its own name and version, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    # The page of a simple index, which lists what lies beside it.
    with (folder / "index.html").open("a", encoding="utf-8") as page:
        page.write(f'<a href="{path.name}">{path.name}</a>\n')
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", f"{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to install, with an index of CPU builds beside it, and the usual one of others."""
    root = tmp_path / "course"
    root.mkdir()
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (root / "pyproject.toml").write_text(
        PROJECT.format(requires=requires["requires-python"]), encoding="utf-8"
    )
    (root / "backend.py").write_text(BACKEND, encoding="utf-8")
    (root / "requirements.txt").write_text(PINS, encoding="utf-8")
    wheel(root, "nothing", "1")
    for line in PINS.split():
        name, version = line.split("==")
        wheel(tmp_path / "cpu" / name, name, f"{version}+cpu")
        wheel(tmp_path / "usual" / name, name, version)
    monkeypatch.setattr(install, "CPU", (tmp_path / "cpu").as_uri())
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "usual").as_uri())
    return root


def versions(root: Path) -> list[str]:
    listed = subprocess.run(
        [root / ".venv" / "bin" / "python", "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"^(?:torch|torchvision|nothing)==.*$", listed.stdout, re.MULTILINE)


def with_gpu(monkeypatch: pytest.MonkeyPatch, folder: Path, says: str, status: int = 0) -> None:
    """A machine on which NVIDIA's tool is there, and says this."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


needs_shell = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@needs_shell
@pytest.mark.slow
def test_without_a_gpu_the_cpu_builds_come_and_stay_until_the_other_is_chosen(
    course: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cpu = ["nothing==1", "torch==2.14.1+cpu", "torchvision==0.29.1+cpu"]
    assert install.install(course) == 0
    said = capfd.readouterr().out
    assert "No NVIDIA GPU was found: the build of torch for the CPU will be installed" in said
    assert "For the other one, run `make install TORCH=gpu`." in said
    assert versions(course) == cpu
    # What is there stays, without a word, whatever the machine has by then.
    assert install.install(course) == 0
    assert "the build of torch" not in capfd.readouterr().out
    assert versions(course) == cpu
    assert install.install(course, "gpu") == 0
    assert versions(course) == ["nothing==1", "torch==2.14.1", "torchvision==0.29.1"]
    assert install.install(course, "cpu") == 0
    assert versions(course) == cpu


@needs_shell
@pytest.mark.slow
@pytest.mark.parametrize("broken", ["unreachable", "without this version"])
def test_an_index_that_does_not_help_is_said_and_the_usual_one_does(
    broken: str, course: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    address, version = CLOSED, "2.14.1"
    if broken == "without this version":
        address, version = install.CPU, "2.14.2"
        pins = PINS.replace("torch==2.14.1", f"torch=={version}")
        (course / "requirements.txt").write_text(pins, encoding="utf-8")
        wheel(course.parent / "usual" / "torch", "torch", version)
    monkeypatch.setattr(install, "CPU", address)
    assert install.install(course) == 0
    said = capfd.readouterr()
    assert (
        f"{address} cannot be reached, or has no torch=={version} "
        "torchvision==0.29.1 for this Python: torch will come from pip's usual index instead"
    ) in said.out
    assert "ERROR" not in said.out + said.err
    assert [line.partition("+")[2] for line in versions(course)] == ["", "", ""]


@needs_shell
@pytest.mark.parametrize(
    ("says", "status", "there"),
    [
        ("GPU 0: NVIDIA H200 (UUID: GPU-1)", 0, True),
        ("No devices found.", 0, False),
        ("NVIDIA-SMI has failed because it could not talk to the driver: no GPU.", 9, False),
    ],
)
def test_a_gpu_is_there_when_nvidias_driver_says_so(
    says: str, status: int, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpu(monkeypatch, tmp_path, says, status)
    assert install.has_nvidia_gpu() == there


@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize(
    ("platform", "choice", "build"),
    [
        ("linux", "auto", None),
        ("linux", "cpu", "cpu"),
        ("linux", "gpu", "gpu"),
        ("win32", "auto", None),
        ("win32", "cpu", "cpu"),
        ("win32", "gpu", "gpu"),
        ("darwin", "auto", "cpu"),
    ],
)
def test_each_system_gets_the_build_that_it_is_said_to_get(
    platform: str, choice: str, build: str | None, gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: gpu)
    index, said = install.torch_index(choice, platform)
    build = build or ("gpu" if gpu else "cpu")
    # What PyPI itself has: for Linux the build for NVIDIA GPUs, elsewhere that for the CPU.
    expected = {
        ("linux", "cpu"): "https://download.pytorch.org/whl/cpu",
        ("win32", "gpu"): "https://download.pytorch.org/whl/cu130",
    }
    assert index == expected.get((platform, build))
    if platform == "darwin":
        assert said == ""
    else:
        assert ("NVIDIA GPUs" in said) == (build == "gpu")
        assert ("For the other one, run" in said) == (choice == "auto")


def test_an_index_is_taken_as_it_is_given_and_another_word_is_refused() -> None:
    address = "https://example.org/whl/rocm7.0"
    assert install.torch_index(address, "linux") == (address, f"torch comes from {address}.")
    with pytest.raises(ValueError, match=r"torch has no build 'cuda': choose cpu, gpu, auto"):
        install.torch_index("cuda", "linux")


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (4, 0)])
def test_a_python_that_is_too_old_or_too_new_is_said_before_anything_is_made(
    version: tuple[int, int], course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    with pytest.raises(ValueError, match=r"needs a Python from 3\.11 to 3\.14.*make PYTHON=pyth"):
        install.install(course)
    monkeypatch.setattr(sys, "platform", "win32")
    with speaking("en"), pytest.raises(ValueError, match=r"`py -3\.13 -m course install`"):
        install.install(course)
    assert not (course / ".venv").exists()


def test_a_bare_python_can_say_all_of_this() -> None:
    # Neither site-packages nor anything installed for the user.
    answer = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import sys; sys.path.insert(0, '.')\n"
            "sys.argv = ['course', 'install', '--torch', 'cuda']\n"
            "import runpy; runpy.run_module('course', run_name='__main__')",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert "torch has no build 'cuda'" in answer.stderr
