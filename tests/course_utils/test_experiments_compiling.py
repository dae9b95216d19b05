"""Long runs are compiled where that was tried and found faster, all of a sweep or none."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from making_records import record, tiny
from running_sweeps import Inline

from course_utils.cli import sweep as command
from course_utils.cli.sweep import sweep_and_show
from course_utils.experiments import Record, Spec, Store
from course_utils.experiments.compiling import as_begun, compiled, compiled_if_faster
from course_utils.experiments.engines import Engine
from course_utils.experiments.estimating import Estimate

NETS = [tiny(depth=depth) for depth in (8, 14)]


def seconds(*each: float) -> dict[Spec, Estimate]:
    return {spec: Estimate(cost, None, "steps") for spec, cost in zip(NETS, each, strict=True)}


def taking(*each: float) -> Inline:
    """An executor whose trials of compiled runs find these costs."""
    costs = {compiled([spec])[0]: cost for spec, cost in seconds(*each).items()}
    return Inline(lambda spec: costs[spec])  # type: ignore[return-value, arg-type]


def test_short_runs_are_not_even_tried() -> None:
    executor = taking(1.0, 1.0)
    assert compiled_if_faster(seconds(500.0, 599.0), executor) == {}
    assert compiled_if_faster({}, executor) == {}
    assert executor.ran == []


@pytest.mark.parametrize(
    ("fused", "chosen"), [((200.0, 700.0), True), ((200.0, 760.0), False), ((400.0, 400.0), True)]
)
def test_long_runs_are_compiled_if_all_together_gain_a_twentieth(
    fused: tuple[float, float], chosen: bool
) -> None:
    found = compiled_if_faster(seconds(200.0, 800.0), taking(*fused))
    assert [cost.seconds for cost in found.values()] == (list(fused) if chosen else [])
    assert list(found) == (compiled(NETS) if chosen else [])


def test_where_a_net_cannot_be_compiled_none_is() -> None:
    def refusing(spec: Spec) -> Record:
        if spec.depth == 14:
            raise RuntimeError("no C++ compiler")
        return Estimate(1.0, None, "steps")  # type: ignore[return-value]

    assert compiled_if_faster(seconds(200.0, 800.0), Inline(refusing)) == {}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [((), False), ((False,), False), ((True,), True), ((True, False), False)],
)
def test_a_sweep_goes_on_as_its_store_began(
    stored: tuple[bool, ...], expected: bool, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    for fused in stored:
        store.write(record(dataclasses.replace(NETS[1], compiled=fused)))
    assert as_begun(NETS, store) == (compiled(NETS) if expected else NETS)


def test_the_records_of_a_sweep_that_was_found_faster_say_that_they_are_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faster: list[Callable[..., dict[Spec, Estimate]]] = [
        lambda costs, _executor: dict(zip(compiled(list(costs)), costs.values(), strict=True))
    ]
    monkeypatch.setattr(command, "compiled_if_faster", lambda *args: faster.pop()(*args))
    monkeypatch.setattr("torch.compile", lambda model, **_options: model)

    class Here(Engine):
        def start(self, specs):  # type: ignore[no-untyped-def]
            return contextlib.nullcontext((Inline(), 1))

    for _time in range(2):  # the second finds what the first did, and tries nothing
        records = sweep_and_show(NETS, tmp_path / "store", Here(), by_trial=True)
        assert [one.spec for one in records] == compiled(NETS)
    assert "The runs will be compiled" in capsys.readouterr().out
