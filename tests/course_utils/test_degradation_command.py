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
import own_gated_runs
import pytest
from making_records import record, tiny
from PIL import Image
from test_degradation_engines import environment, names, posix, wait_until
from test_degradation_sweep import Inline

from course import profiles
from course.lessons import find_lessons, lesson_parameters
from course_utils import cli
from course_utils.degradation import Spec, grid
from course_utils.degradation.command import (
    Engine,
    LiveTable,
    figure_path,
    parse_setting,
    plan,
    specs_of,
)
from course_utils.experiments import Store, SweepError
from course_utils.experiments.estimating import Estimate, estimate, time_of_all, trial

ROOT = Path(__file__).parents[2]
PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.toml"))


class Here(Engine):
    """Does the runs in this process."""

    @contextlib.contextmanager
    def start(self, specs: Any) -> Iterator[tuple[Executor, int]]:
        yield Inline(), 1


# --- what to run ---------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_the_command_sweeps_what_lesson_3_sweeps(profile: str | None) -> None:
    (lesson,) = find_lessons(ROOT, "en", [3])
    own = profiles.parameters_of(lesson.path)
    own |= lesson_parameters(ROOT, [lesson], profile)[lesson]
    assert specs_of(profile) == grid(
        dataset=own["dataset"],
        dataset_options=own["dataset_options"],
        families=["plain", "residual"],
        depths=own["depths"],
        seeds=own["seeds"],
        epochs=own["epochs"],
        **own["recipe"],
    )


def test_what_the_reader_says_comes_before_the_profile() -> None:
    (spec,) = specs_of(
        "paper",
        families=["residual"],
        depths=[8],
        seeds=[7],
        epochs=2,
        device="cpu",
        settings={"batch_size": 32},
        dataset_options={"root": "here"},
        family_options={"width": 4},
    )
    assert spec == Spec(
        "residual",
        8,
        7,
        dataset="cifar10",
        dataset_options={"mean": "pixel", "root": "here"},  # type: ignore[arg-type]
        family_options={"width": 4},  # type: ignore[arg-type]
        epochs=2,
        batch_size=32,
        schedule="step",
        augmentation="crop_flip",
        evaluate_every=10,
    )
    (steps,) = specs_of("cpu", families=["plain"], depths=[8], seeds=[0], steps=5)
    assert (steps.epochs, steps.steps) == (None, 5)
    # Options of CIFAR-10 are none of the digits'.
    (digits,) = specs_of("paper", families=["plain"], dataset="digits", depths=[8], seeds=[0])
    assert digits.dataset_options == ()


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
    for words in ("--profile papre", "--set bach_size=3", "--size 8 --dataset-option sise=8"):
        assert cli.main(["sweep", *words.split(), "--store", str(tmp_path / "store")]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert names(tmp_path) == set()


# --- what it will cost ---------------------------------------------------------------------


def test_a_trial_reckons_from_a_few_steps_what_the_run_costs() -> None:
    spec = tiny(steps=None, epochs=4, evaluate_every=2)
    found = trial(spec)
    assert found.source == "steps" and found.seconds > 0
    twice = trial(tiny(steps=None, epochs=4000, evaluate_every=2))
    assert twice.seconds > 50 * found.seconds  # a thousand times as long, give or take the noise
    assert found.megabytes is None or 50 < found.megabytes < 50_000


def test_estimates_come_from_other_seeds_where_there_are_and_from_a_trial_where_not() -> None:
    here = record(tiny(seed=0), seconds=7.0)
    here.machine["processor"] = sweeps.degradation.record.describe_machine()["processor"]
    elsewhere = record(tiny(depth=14, seed=0), seconds=9000.0)
    executor = Inline()
    found = estimate([tiny(seed=1), tiny(depth=14, seed=1)], [here, elsewhere], executor)
    assert found[tiny(seed=1)] == Estimate(7.0, None, "records")
    assert found[tiny(depth=14, seed=1)].source == "steps"
    assert executor.ran == [tiny(depth=14, seed=0)]


def test_a_net_that_cannot_be_tried_has_no_estimate() -> None:
    assert estimate([tiny("own_gated_runs:refusing", family_options={})], [], Inline()) == {}


def test_the_whole_takes_as_long_as_the_busiest_worker() -> None:
    costs = {14: 5.0, 8: 3.0}
    estimates = {
        tiny(depth=depth, seed=seed): Estimate(seconds, None, "steps")
        for depth, seconds in costs.items()
        for seed in range(2)
    }
    # Two workers: 5 + 3 each. Three: 5, 5, and 3 + 3.
    assert [time_of_all(estimates, workers) for workers in (1, 2, 3)] == [16, 8, 6]
    assert time_of_all({}, 2) == 0


def test_the_plan_says_what_is_there_and_what_a_run_costs() -> None:
    specs = [tiny(seed=seed) for seed in range(3)] + [tiny("residual")]
    costs = {spec: Estimate(90.0, 812.3, "steps") for spec in specs[1:3]}
    table = plan(specs, {specs[0]: record(specs[0])}, costs)
    assert [list(map(str, row)) for row in table.rows] == [
        ["plain-8", "1", "2", "2 min", "812 MB", "a few steps, timed"],
        ["residual-8", "0", "1", "–", "–", "–"],
    ]


def test_a_dry_run_runs_nothing_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    assert sweeps.sweep([tiny()], store, Here(), dry_run=True) == []
    said = capsys.readouterr().out
    assert "plain-8" in said and said.endswith("Nothing was run.\n")
    assert names(tmp_path) == set()

    Store(store).write(record(tiny()))
    assert sweeps.sweep([tiny()], store, Here(), dry_run=True) == [record(tiny())]
    assert names(tmp_path) == {"store"}


# --- how it goes ---------------------------------------------------------------------------


class Screen(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True


def tell(table: LiveTable) -> None:
    """Two runs: one fails, then gives up; the other ends."""
    table.start([record(tiny(seed=0))], [tiny(seed=1), tiny("residual")])
    table.failed(tiny("residual"), "MemoryError: no room", again=True)
    table.failed(tiny("residual"), "MemoryError: no room", again=False)
    table.finished(record(tiny(seed=1), 0.5))
    table.stop()


SPECS = [tiny(seed=0), tiny(seed=1), tiny("residual")]
COSTS = {spec: Estimate(60.0, None, "steps") for spec in SPECS}


def test_in_a_log_each_event_is_a_line() -> None:
    log = io.StringIO()
    tell(LiveTable(SPECS, COSTS, 2, log))
    again, gave_up, ended = log.getvalue().splitlines()
    # Two runs of a minute, two at a time.
    assert again.startswith("1 of 3 runs, 1 min left | ")
    assert again.endswith("residual-8, seed 0: MemoryError: no room; tried again")
    assert gave_up.endswith("residual-8, seed 0: MemoryError: no room; given up")
    assert ended.startswith("2 of 3 runs, 0 s left | plain-8, seed 1: training error 50.0%")


def test_on_a_terminal_a_table_is_drawn_over_itself_and_taken_away() -> None:
    screen = Screen()
    tell(LiveTable(SPECS, COSTS, 2, screen))
    drawn = screen.getvalue()
    last = drawn.rsplit("\x1b[J", 2)[1].splitlines()
    assert [line.split()[:2] for line in last[1:3]] == [["plain-8", "2/2"], ["residual-8", "0/1"]]
    assert "37.5%  [25.0%, 50.0%]" in last[1]
    assert "100%" in last[3] and "2 of 3 runs" in last[3]
    assert drawn.endswith("\x1b[4F\x1b[J")  # up its four lines, and clear


def test_a_sweep_ends_with_the_table_the_figure_beside_the_store_and_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = [tiny(depth=depth, seed=seed) for depth in (8, 14) for seed in (0, 1)]
    store = tmp_path / "store"
    records = sweeps.sweep(specs, store, Here(), estimates=False)
    assert [one.spec for one in records] == specs
    table, (figure, verdict) = (lines := capsys.readouterr().out.splitlines())[:-2], lines[-2:]
    assert [row.split()[0] for row in table] == ["net", "plain-8", "plain-14"]
    assert figure == f"Figure: {store}.png" and figure_path(store) == tmp_path / "store.png"
    assert "from depth 8 to depth 14, over 2 seed(s)" in verdict
    with Image.open(figure_path(store)) as picture:
        assert picture.format == "PNG" and min(picture.size) > 300

    # All is there: the same is shown, by a sweep that starts nothing.
    assert sweeps.sweep(specs, store, Engine(workers=0)) == records
    assert capsys.readouterr().out.splitlines() == lines


def test_a_run_that_fails_is_still_an_error_and_is_noted(tmp_path: Path) -> None:
    wrong = tiny("own_gated_runs:refusing", family_options={})
    with pytest.raises(SweepError, match="the pixels ran away"):
        sweeps.sweep([wrong, tiny()], tmp_path / "store", Here())
    assert names(tmp_path / "store") == {f"{wrong.hash}.failed", f"{tiny().hash}.json"}


@posix
def test_ctrl_c_ends_cleanly_and_says_what_is_saved_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = tmp_path / "gated", tmp_path / "store"
    folder.mkdir()
    (folder / "gate").touch()
    monkeypatch.setenv(own_gated_runs.FOLDER, str(folder))
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
        wait_until(lambda: "8-0" in names(folder) and len(list(store.glob("*.json"))) == 1)
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


def test_the_papers_profile_runs_end_to_end_on_a_folder_in_cifars_own_format(
    cifar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    assert cli.main(words(cifar, store, "--dataset-option", "verify=false")) == 0
    (found,) = Store(store).records()
    assert found.steps == 3
    assert found.train_error * 50 == pytest.approx(round(found.train_error * 50))
    assert found.test_error * 10 == pytest.approx(round(found.test_error * 10))
    assert (
        "Departure: the data are files in CIFAR-10's format, not verified, 50 + 10 images."
        in found.fidelity
    )
    assert capsys.readouterr().out.splitlines()[1].startswith("plain-8")


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
