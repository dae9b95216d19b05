"""Records on disk are whole or not there; what is damaged is kept and said."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from making_records import record, tiny
from running_sweeps import names

from course_utils.experiments import Record, Store, sweep

# --- records -------------------------------------------------------------------------------


def test_a_record_survives_json() -> None:
    written = record(tiny(seed=3, learning_rate=1e-3))
    again = Record.from_json(written.to_json())
    assert again == written
    assert again.spec.hash == written.spec.hash


def test_a_diverged_record_survives_json_and_agrees_with_its_twin() -> None:
    losses = (1.5, math.nan), (1.5, float("nan"))
    first, second = (record(tiny(), losses=loss, diverged=True) for loss in losses)
    again = Record.from_json(first.to_json())
    assert again.losses[0] == 1.5 and math.isnan(again.losses[1])
    assert again.science() == first.science() == second.science()


def test_science_is_everything_but_time_and_machine() -> None:
    spec = tiny()
    here = record(spec)
    there = record(spec, seconds=9.0, images_per_second=1.0, machine={"processor": "a brain"})
    assert here != there
    assert here.science() == there.science()
    assert set(here.to_dict()) - set(here.science()) == {
        "seconds",
        "images_per_second",
        "machine",
    }
    different: dict[str, Any] = {
        "train_error": 0.1,
        "test_error": 0.1,
        "losses": (2.0, 1.0),
        "parameters": 1,
        "steps": 1,
        "diverged": True,
    }
    for name, value in different.items():
        assert record(spec, **{name: value}).science() != here.science(), name
    assert record(tiny(seed=1)).science() != here.science()


@pytest.mark.parametrize("error", [-0.1, 1.5, math.nan, None, "0.5"])
@pytest.mark.parametrize("name", ["train_error", "test_error"])
def test_an_error_is_a_share(name: str, error: object) -> None:
    changes: dict[str, Any] = {name: error}
    with pytest.raises(ValueError, match=f"{name} must be a share between 0 and 1"):
        record(tiny(), **changes)


def changed(text: str, **changes: object) -> str:
    return json.dumps({**json.loads(text), **changes})


WHOLE = record(tiny()).to_json()


@pytest.mark.parametrize(
    "text",
    [
        "",
        WHOLE[:-1],
        WHOLE[: len(WHOLE) // 2],
        "[1, 2]",
        "null",
        '"text"',
        "{}",
        changed(WHOLE, spec=[1]),
        changed(WHOLE, spec={"family": "plain"}),
        changed(WHOLE, spec={**json.loads(WHOLE)["spec"], "colour": "red"}),
    ],
)
def test_a_text_that_is_not_a_whole_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="The record is incomplete"):
        Record.from_json(text)


def test_a_record_changed_by_hand_or_of_another_recipe_is_refused() -> None:
    other_seed = {**json.loads(WHOLE)["spec"], "seed": 9}
    for text in (changed(WHOLE, spec=other_seed), changed(WHOLE, hash="0" * 16)):
        with pytest.raises(ValueError, match="its hash differs"):
            Record.from_json(text)


# --- writing and reading -------------------------------------------------------------------


def test_a_record_is_one_file_named_by_its_hash_and_is_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "folder")
    assert names(store.path) == set()
    written = record(tiny())
    assert store.read(written.spec) is None
    store.write(record(tiny(), 0.75))
    store.write(written)  # in the place of the other
    assert names(store.path) == {f"{written.spec.hash}.json"}
    assert store.read(written.spec) == written
    assert store.path_of(written.spec).name == f"{written.spec.hash}.json"


def test_all_records_come_in_the_order_of_family_depth_and_seed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    specs = [tiny(f, d, s) for f in ("plain", "residual") for d in (8, 20) for s in (0, 1)]
    for spec in reversed(specs):
        store.write(record(spec))
    assert [found.spec for found in store.records()] == specs


def test_reading_all_names_the_file_that_is_not_whole(tmp_path: Path) -> None:
    Store(tmp_path).write(record(tiny()))
    (tmp_path / "deadbeef.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"deadbeef\.json: The record is incomplete"):
        Store(tmp_path).records()


@pytest.mark.parametrize("before", [False, True])
def test_a_full_disk_leaves_the_place_as_it_was_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    store = Store(tmp_path)
    if before:
        store.write(record(tiny(), 0.25))
    kept = names(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"record of plain-8, seed 0 .*No space left") as refusal:
        store.write(record(tiny(), 0.75))
    assert "\n" not in str(refusal.value)
    assert names(tmp_path) == kept
    found = store.read(tiny())
    assert (found is not None and found.train_error == 0.25) if before else found is None


def test_dying_between_writing_and_moving_leaves_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """What no ``except Exception`` or ``OSError`` stops."""

    def die(self: Path, target: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(Killed):
            Store(tmp_path).write(record(tiny()))
    assert not list(tmp_path.glob("*.json"))
    assert Store(tmp_path).read(tiny()) is None
    assert Store(tmp_path).records() == []


def test_what_json_refuses_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        Store(tmp_path).write(record(tiny(), machine={"cores": object()}))
    assert names(tmp_path) == set()


# --- damage --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [b"", WHOLE[:100].encode(), b"\xff\xfe\x00", b"{}", changed(WHOLE, hash="0").encode()],
    ids=["empty", "truncated", "not text", "no record", "other hash"],
)
def test_a_damaged_record_is_kept_under_another_name_and_its_run_is_missing(
    tmp_path: Path, damage: bytes
) -> None:
    store = Store(tmp_path)
    path = store.path_of(tiny())
    for number in (1, 2):
        path.write_bytes(damage)
        aside = f"{path.name}.damaged-{number}"
        with pytest.warns(UserWarning, match=rf"{path.name} was damaged\. .* as {aside}") as caught:
            assert store.read(tiny()) is None
        assert (tmp_path / aside).read_bytes() == damage
        assert "\n" not in str(caught[0].message)
    assert len(names(tmp_path)) == 2


def test_the_record_of_another_run_is_not_taken_for_this_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = record(tiny(seed=1))
    store.path_of(tiny(seed=0)).write_text(other.to_json(), encoding="utf-8")
    with pytest.warns(UserWarning, match="the record of another run"):
        assert store.read(tiny(seed=0)) is None
    assert not list(tmp_path.glob("*.json"))


def test_a_sound_record_is_read_without_a_warning(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(record(tiny()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.read(tiny()) == record(tiny())


# --- places that cannot be written to ------------------------------------------------------


class Untouched:
    """An executor that nothing may be submitted to."""

    def submit(self, *arguments: object) -> None:
        raise AssertionError("something was run")


def test_a_file_in_the_place_of_the_store_is_refused_before_anything_is_run(
    tmp_path: Path,
) -> None:
    place = tmp_path / "records"
    place.write_text("a file", encoding="utf-8")
    for path in (place, place / "inside"):
        with pytest.raises(OSError, match=r"cannot be written to .*Nothing was run") as refusal:
            sweep([tiny()], path, Untouched())  # type: ignore[arg-type]
        assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)
    assert place.read_text(encoding="utf-8") == "a file"


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such mode on Windows")
def test_a_folder_that_is_read_only_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=r"Permission denied.*make this one writable"):
            sweep([tiny()], tmp_path, Untouched())  # type: ignore[arg-type]
    finally:
        tmp_path.chmod(0o700)


def test_a_read_only_disk_is_refused_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(dir: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OSError, match=r"cannot be written to \(Read-only file system\)"):
        sweep([tiny()], tmp_path, Untouched())  # type: ignore[arg-type]
