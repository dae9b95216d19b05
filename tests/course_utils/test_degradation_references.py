"""Results kept with the course say where they come from, and are drawn beside the reader's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from making_records import record, tiny

from course_utils import plots
from course_utils.degradation import Reference, references
from course_utils.degradation.references import FOLDER
from course_utils.experiments import Record, Spec, Store

ROOT = Path(__file__).parents[2]


def some(depth: int = 8) -> Record:
    return record(tiny(depth=depth, dataset_options={"size": 8}))


def made(**changes: object) -> Reference:
    about = {"name": "one", "data": "digits", "date": "2026-01-02", "commit": "abc"}
    return Reference(**{**about, "records": (some(), some(14)), **changes})  # type: ignore[arg-type]


def test_a_reference_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = made().write(tmp_path)
    assert path == tmp_path / "one.json"
    assert references(tmp_path) == (made(),)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4  # a line a record
    assert references(tmp_path / "none") == ()


def test_a_reference_of_an_older_recipe_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made().write(tmp_path)
    monkeypatch.setattr("course_utils.experiments.spec.RECIPE", 99)
    assert references(tmp_path) == (made(),)


@pytest.mark.parametrize("changes", [{"data": ""}, {"commit": ""}, {"date": ""}, {"records": ()}])
def test_a_reference_without_its_origin_or_its_records_is_refused(
    changes: dict[str, object],
) -> None:
    with pytest.raises(ValueError, match="A reference needs"):
        made(**changes)


@pytest.mark.parametrize("text", ["", "{}", '{"data": "x", "records": [{}]}', "[1]"])
def test_a_file_that_is_no_reference_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"wrong\.json is not a reference"):
        references(tmp_path)


def test_the_references_of_the_course_are_small_and_name_their_machine() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < 2_000_000
    for reference in references():
        assert reference.machine
        for one in reference.records:
            assert "root" not in dict(one.spec.dataset_options)
            if reference.data == "CIFAR-10":
                assert "not verified" not in one.data


def test_a_reference_is_drawn_beside_the_readers_own() -> None:
    figure = plots.reference_beside([some()], made())
    assert len(figure.axes) == 2
    assert "an abacus" in figure.description and "commit abc" in figure.description
    assert "25.0% at 8, 25.0% at 14" in figure.description
    with pytest.raises(ValueError, match="no records"):
        plots.reference_beside([], made())


def test_keeping_a_store_forgets_where_its_data_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = Spec("plain", 8, 0, "cifar10", dataset_options={"root": "/home/me", "mean": "pixel"})  # type: ignore[arg-type]
    Store(tmp_path / "store").write(record(spec))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.delitem(sys.modules, "reference", raising=False)
    import reference

    words = f"reference.py {tmp_path / 'store'} --name one --commit abc --folder {tmp_path}"
    monkeypatch.setattr(sys, "argv", [*words.split(), "--data", "CIFAR-10, JPEG copy"])
    reference.main()
    assert "1 records" in capsys.readouterr().out
    assert "/home/me" not in (tmp_path / "one.json").read_text(encoding="utf-8")
    (found,) = references(tmp_path)
    assert found.data == "CIFAR-10, JPEG copy" and found.commit == "abc"
    assert dict(found.records[0].spec.dataset_options) == {"mean": "pixel"}
    assert json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))["date"]
