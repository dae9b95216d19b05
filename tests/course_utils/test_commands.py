"""Commands say what they have to say wherever their output goes."""

from __future__ import annotations

import io
import sys

import pytest

from course_utils.commands import add_command, carry_out, new_parser


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("utf-8", "−1\u202f234,5 % – œuvre × 2 → «\u00a0é\u00a0» █"),
        ("cp1252", "-1 234,5 % – œuvre × 2 -> «\u00a0é\u00a0» ?"),
        ("latin-1", "-1 234,5 % - oeuvre × 2 -> «\u00a0é\u00a0» ?"),
        ("ascii", '-1 234,5 % - oeuvre x 2 -> " e " ?'),
    ],
)
def test_what_an_encoding_lacks_is_printed_as_the_nearest_that_it_has(
    encoding: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parser():
        made, commands = new_parser("any")
        add_command(commands, "say", "Say it.", "any say", say)
        return made

    def say(_arguments: object) -> int:
        for stream in (sys.stdout, sys.stderr):
            print("−1\u202f234,5 % – œuvre × 2 → «\u00a0é\u00a0» █", file=stream, flush=True)
        return 0

    pipes = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, pipe in pipes.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(pipe, encoding, newline="\n"))
    assert carry_out(parser, ["say"]) == 0
    assert [pipe.getvalue().decode(encoding) for pipe in pipes.values()] == [f"{printed}\n"] * 2
