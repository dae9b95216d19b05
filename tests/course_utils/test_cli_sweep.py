"""The command ``sweep``: what it will cost, how it goes, and what it shows."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from making_records import record, tiny
from PIL import Image
from running_sweeps import Inline, environment, names, posix, wait_until

from course_utils import cli
from course_utils.cli.sweep import figure_path, parse_setting, sweep_and_show
from course_utils.degradation import fidelity_notes, references
from course_utils.experiments import Store
from course_utils.experiments.engines import Engine


class Here(Engine):
    """Does the runs in this process."""

    @contextlib.contextmanager
    def start(self, specs: Any) -> Iterator[tuple[Executor, int]]:
        yield Inline(), 1


class Nowhere(Engine):
    """Has nowhere to do a run."""

    @contextlib.contextmanager
    def start(self, specs: Any) -> Iterator[tuple[Executor, int]]:
        raise AssertionError("something was started")
        yield


# --- what to run ---------------------------------------------------------------------------


def test_a_setting_is_json_or_a_text_and_anything_else_is_refused() -> None:
    assert parse_setting("nesterov=true") == ("nesterov", True)
    assert parse_setting("learning_rate=0.05") == ("learning_rate", 0.05)
    assert parse_setting("root=/a=b") == ("root", "/a=b")
    for wrong in ("nesterov", "=1", "root="):
        with pytest.raises(ValueError, match="name=value"):
            parse_setting(wrong)


def test_an_unknown_profile_and_an_unknown_setting_are_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, says in (
        ("--profile papre", "'quick'"),
        ("--set bach_size=3", "batch_size"),
        ("--set depth=3", "depths"),
        ("--depths 21", "20 and 26"),
        ("--size 8 --dataset-option sise=8", "size"),
        ("--family-option widht=8", "width"),
    ):
        assert cli.main(["sweep", *words.split(), "--store", str(tmp_path / "store")]) == 2
        (sentence,) = capsys.readouterr().err.splitlines()
        assert says in sentence  # what there is
    assert names(tmp_path) == set()


def test_a_reference_is_run_again_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kept,) = [one for one in references() if one.name == "digits_bf16"]
    store = Store(tmp_path / "store")
    for one in kept.records:  # nothing is left to do: these are the runs
        store.write(one)
    assert cli.main(["sweep", "--reference", "digits_bf16", "--store", str(store.path)]) == 0
    assert "from depth 8 to depth 56, over 3 seeds" in capsys.readouterr().out
    assert len(list(store.path.glob("*.json"))) == len(kept.records)


@pytest.mark.parametrize(
    "more", [["--seeds", "3"], ["--set", "momentum=0"], ["--profile", "quick"], ["--size", "12"]]
)
def test_a_reference_goes_with_nothing_that_would_change_its_runs(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sweep", "--reference", "digits_bf16", "--store", str(tmp_path / "store"), *more]
    assert cli.main(command) == 2
    assert "--reference repeats the stored runs exactly as they were" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "--per-gpu 0",
        "--per-gpu -1",
        "--workers 0",
        "--workers -1",
        "--threads 0",
        "--size 0",
        "--steps 0",
        "--seeds -1",
        "--cluster slurm --per-gpu 0",
        "--cluster slurm --time 0",
        "--cluster slurm --time -5",
        "--cluster local --workers 0",
        "--cluster local --patience 0",
    ],
)
def test_a_number_that_is_too_small_is_refused_before_anything_is_submitted(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--store", str(tmp_path / "store"), "--jobs-folder", str(tmp_path / "jobs")]
    assert cli.main(["sweep", "--depths", "8", *words.split(), *folders]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert names(tmp_path) == set()


def test_a_device_that_is_not_here_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    words = f"sweep --depths 8 --device cuda --store {tmp_path / 'store'}".split()
    for more in ([], ["--dry-run"], ["--cluster", "local"]):
        assert cli.main([*words, *more]) == 2
        assert torch.__version__ in capsys.readouterr().err
    assert names(tmp_path) == set()


# --- how it goes ---------------------------------------------------------------------------


def test_a_dry_run_runs_nothing_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    assert sweep_and_show([tiny()], store, Here(), dry_run=True) == []
    said = capsys.readouterr().out
    assert "plain-8" in said and said.endswith("Nothing was run.\n")
    assert names(tmp_path) == set()

    Store(store).write(record(tiny()))
    assert sweep_and_show([tiny()], store, Here(), dry_run=True) == [record(tiny())]
    assert names(tmp_path) == {"store"}


def test_a_sweep_ends_with_the_table_the_figure_beside_the_store_and_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = [tiny(depth=depth, seed=seed) for depth in (8, 14) for seed in (0, 1)]
    store = tmp_path / "store"
    records = sweep_and_show(specs, store, Here(), estimates=False)
    assert [one.spec for one in records] == specs
    table, (figure, verdict) = (lines := capsys.readouterr().out.splitlines())[:-2], lines[-2:]
    assert [row.split()[0] for row in table] == ["network", "plain-8", "plain-14"]
    assert figure == f"Figure: {store}.png" and figure_path(store) == tmp_path / "store.png"
    assert "from depth 8 to depth 14, over 2 seeds" in verdict
    with Image.open(figure_path(store)) as picture:
        assert picture.format == "PNG" and min(picture.size) > 300

    # All is there: the same is shown, by a sweep that starts nothing.
    assert sweep_and_show(specs, store, Nowhere()) == records
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437", "ascii"])
@pytest.mark.parametrize("language", ["fr", "en"])
def test_output_that_is_not_utf_8_has_the_table_the_figure_and_the_verdict(
    encoding: str, language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    for depth, error in ((8, 0.1234), (14, 0.0)):
        for seed in (0, 1):
            store.write(record(tiny(depth=depth, seed=seed), error))
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    words = "sweep --family plain --depths 8 14 --seeds 0 1 --steps 2 --size 8"
    more = ["--family-option", "width=2", "--language", language, "--store", str(store.path)]
    assert cli.main([*words.split(), *more]) == 0
    out, err = (
        stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        for stream in streams.values()
        if stream.flush() is None
    )
    assert err == "" and figure_path(store.path).exists()
    table, verdict = out.splitlines()[1], out.splitlines()[-1]
    assert {"fr": "12,3", "en": "12.3"}[language] in table
    assert {"fr": "-12,3", "en": "-12.3"}[language] in verdict  # a minus, as far as it can be


@posix
@pytest.mark.slow
def test_ctrl_c_ends_cleanly_and_says_what_is_saved_and_how_to_go_on(
    tmp_path: Path, gated: Path
) -> None:
    store = tmp_path / "store"
    words = "sweep --family own_gated_runs:gated plain --depths 8 --seeds 0 --steps 2 --size 8"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "course_utils", *words.split(), "--no-estimate"),
            *("--workers", "2", "--store", str(store)),
        ],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: "8-0" in names(gated) and len(list(store.glob("*.json"))) == 1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == (
        f"1 of 2 runs are saved in {store}: the same command goes on from there."
    )
    assert "Traceback" not in err and "leaked" not in err
    (saved,) = names(store)
    assert saved.endswith(".json")


FULL = """
import resource, sys
from course_utils import cli

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    sys.exit(cli.main(sys.argv[1:]))
"""


@posix
@pytest.mark.slow
def test_a_disk_that_takes_no_more_ends_the_sweep_in_a_sentence_and_keeps_what_was_saved(
    tmp_path: Path,
) -> None:
    # No file may grow beyond 1,000 bytes: the system itself refuses to write a record whole.
    saved = tiny(seed=1)
    Store(tmp_path / "store").write(record(saved))
    before = (tmp_path / "store" / f"{saved.hash}.json").read_bytes()
    script = tmp_path / "own_full_disk.py"
    script.write_text(FULL, encoding="utf-8")
    words = "sweep --family plain --depths 8 --seeds 0 --epochs 1 --size 8"
    ended = subprocess.run(
        [sys.executable, str(script), *words.split(), "--store", str(tmp_path / "store")],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert "The record of plain-8, seed 0 could not be written" in last
    assert "(File too large)" in last
    assert names(tmp_path / "store") == {f"{saved.hash}.json"}
    assert (tmp_path / "store" / f"{saved.hash}.json").read_bytes() == before


# --- CIFAR-10, end to end ------------------------------------------------------------------


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """A folder in CIFAR-10's own format: 10 images in each of its six batches."""
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        pixels = draw.integers(256, size=(10, 3072), dtype=np.uint8)
        batch = {"data": pixels, "labels": list(range(10)), "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(batch))
    labels = [f"class {label}" for label in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": labels}))
    return folder.parent


def words(root: Path, store: Path, *more: str) -> list[str]:
    said = (
        "sweep --profile paper --family plain --depths 8 --seeds 0 --device cpu --steps 3 "
        "--set batch_size=16 --family-option width=4 --no-estimate"
    )
    return [*said.split(), "--dataset-option", f"root={root}", *more, "--store", str(store)]


@pytest.mark.slow
def test_the_papers_profile_runs_end_to_end_on_a_folder_in_cifars_own_format(
    cifar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    assert cli.main(words(cifar, store, "--dataset-option", "verify=false")) == 0
    (found,) = Store(store).records()
    assert found.steps == 3
    assert found.train_error * 50 == pytest.approx(round(found.train_error * 50))
    assert found.test_error * 10 == pytest.approx(round(found.test_error * 10))
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith("plain-8")
    heading = said.index("Departures from He et al. 2015, section 4.2 (4 in all):")
    assert said[heading + 1 : -1] == [
        f"- the data are {found.data}.",
        "- the run has 3 steps; the paper has 64,000.",
        "- batch_size is 16; the paper has 128.",
        "- the first stage has 4 maps; the paper has 16.",
    ]
    assert found.data == "files in CIFAR-10's format, not verified"
    choices = sum(note.startswith("Choice") for note in fidelity_notes(found))
    assert said[-1].startswith(f"The paper leaves {choices} choices open")


@pytest.mark.parametrize("damage", ["one byte", "half", "gone"])
def test_a_damaged_folder_is_refused_in_a_sentence_before_anything_is_run(
    cifar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    file = cifar / "cifar-10-batches-py" / "data_batch_3"
    content = file.read_bytes()
    verify = "true" if damage == "one byte" else "false"
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "half" else content[:-1] + b"?")
    store = tmp_path / "store"
    assert cli.main(words(cifar, store, "--dataset-option", f"verify={verify}")) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "cifar-10-batches-py" in sentence
    assert not store.exists()
