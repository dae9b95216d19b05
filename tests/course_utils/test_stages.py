"""The lines of a design: how they read, and what is refused where they are written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from course_utils.models import from_options
from course_utils.models.stages import (
    StageSpec,
    bottleneck,
    conv,
    dense,
    gap_head,
    identity,
    plain,
    projection,
    transition,
)


@pytest.mark.parametrize(
    ("spec", "code", "text"),
    [
        (conv(16), "conv(16)", "3×3, 16"),
        (conv(16, kernel_size=1, stride=2), "conv(16, kernel_size=1, stride=2)", "1×1, 16, /2"),
        (conv(8, times=2), "conv(8, times=2)", "[3×3, 8] × 2"),
        (plain(32, stride=2), "plain(32, stride=2)", "plain [3×3, 32; 3×3, 32] × 1, /2"),
        (identity(times=3), "identity(times=3)", "identity [3×3; 3×3] × 3"),
        (projection(64), "projection(64)", "projection B [3×3, 64; 3×3, 64] × 1, /2"),
        (
            bottleneck(64, width=16, times=2),
            "bottleneck(64, width=16, times=2)",
            "bottleneck [1×1, 16; 3×3, 16; 1×1, 64] × 2",
        ),
        (dense(6, growth_rate=12), "dense(6, growth_rate=12)", "dense [1×1, 48; 3×3, 12] × 6"),
        (
            dense(4, 8, bottleneck=False),
            "dense(4, growth_rate=8, bottleneck=False)",
            "dense [3×3, 8] × 4",
        ),
        (transition(), "transition()", "transition [1×1, × 0.5], /2"),
        (transition(1), "transition(compression=1.0)", "transition [1×1, × 1], /2"),
        (gap_head(), "gap_head()", "global average, linear"),
    ],
)
def test_a_line_reads_as_code_and_as_the_table_of_a_paper(
    spec: StageSpec, code: str, text: str
) -> None:
    assert repr(spec) == code
    assert str(spec) == text
    assert from_options([code]) == (spec,)
    assert spec.kind == code.split("(")[0]


def test_lines_are_frozen_and_equal_by_value() -> None:
    assert conv(16) == conv(16, stride=1) != conv(16, stride=2)
    assert len({plain(4), plain(4), identity()}) == 2
    with pytest.raises(AttributeError):
        conv(16).channels = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("line", "error", "sentence"),
    [
        (lambda: conv(0), ValueError, r"conv\(channels=…\) must be at least 1, and is 0"),
        (lambda: conv(2.5), TypeError, r"conv\(channels=…\) must be a whole number"),  # type: ignore[arg-type]
        (lambda: conv(16, kernel_size=4), ValueError, "conv.*even kernel.*such as 5"),
        (lambda: identity(times=0), ValueError, r"identity\(times=…\) must be at least 1"),
        (lambda: plain(8, stride=True), TypeError, r"plain\(stride=…\)"),
        (lambda: bottleneck(8, width=0), ValueError, r"bottleneck\(width=…\)"),
        (lambda: projection(8, shortcut="C"), ValueError, r"projection\(shortcut=…\).*'A', 'B'"),  # type: ignore[arg-type]
        (lambda: dense(0, growth_rate=4), ValueError, r"dense\(layers=…\)"),
        (lambda: dense(2, 4, bottleneck=1), TypeError, r"dense\(bottleneck=…\) must be True"),  # type: ignore[arg-type]
        (lambda: transition(0), ValueError, "compression is the share"),
        (lambda: transition("half"), TypeError, "compression is the share"),  # type: ignore[arg-type]
        (lambda: gap_head("mean"), ValueError, r"gap_head\(pool=…\).*'average', 'max'"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_number_is_refused_where_the_line_is_written(
    line: Callable[[], StageSpec], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        line()
