"""The page of the benchmarks says what was measured, and how to measure it again."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from course_utils import cli

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
CLUSTERS = ROOT / "course_utils" / "experiments" / "CLUSTERS.md"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "report", raising=False)
    import report

    return report


def test_the_tables_are_those_of_the_results(report: Any) -> None:
    assert report.filled(PAGE) == PAGE, "run python benchmarks/report.py"


def test_every_script_and_command_on_the_page_is_there() -> None:
    scripts = {path.name for path in FOLDER.glob("*.py")} - {
        "measuring.py",
        "reference.py",
        "report.py",
        "rivals.py",
    }
    assert set(re.findall(r"^\| `(\w+\.py)`", PAGE, re.MULTILINE)) == scripts
    for script, options in re.findall(r"python benchmarks/(\w+\.py)(.*)", PAGE):
        text = (FOLDER / script).read_text(encoding="utf-8")
        assert all(f'"{option}"' in text for option in re.findall(r"--[a-z-]+", options))


def test_results_name_their_machine_and_not_its_host(report: Any) -> None:
    for path in (FOLDER / "results").glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert {"processor", "cores", "system"} <= found["machine"].keys()
        assert not {"host", "node", "user"} & found["machine"].keys()
        assert report.section(path.stem, found)


def test_a_throughput_says_what_share_of_the_machine_is_at_work(report: Any) -> None:
    one = {"q1": 90.0, "median": 100.0, "q3": 110.0}
    loops = ("usual loop, fp32", "ours, fp32", "ours, bf16")
    lines = report.throughput(
        {
            "gemm_gigaflops": {"fp32": 60.0, "bf16": 30.0},
            "convolution_gigaflops": {"fp32": 48.0, "bf16": 120.0},
            "nets": {
                "ResNet-20": {
                    "macs": 40_000_000,
                    "default": "ours, fp32",
                    "images_per_second": dict.fromkeys(loops, one),
                    "ratio_to_the_usual_loop": dict.fromkeys(loops, one),
                    "time_of_the_default": {"convolutions": 0.6, "the rest": 0.4},
                }
            },
        }
    )
    # 6 × 40 million × 100 = 24 billion operations a second.
    cells = "100 (90 to 110) | 100.00 (90.00 to 110.00)"
    # The better precision of each bound makes 60 and 120 billion.
    assert f"| ResNet-20 | **ours, fp32** | {cells} | 40% | 20% |" in lines
    assert f"| ResNet-20 | ours, bf16 | {cells} | 40% | 20% |" in lines
    # And 60 billion operations a second are 250 images.
    assert any("ResNet-20 250 images/s, 2.5 times the usual loop" in line for line in lines)
    assert lines[-3:] == [
        "| net | convolutions | the rest |",
        "| --- | --- | --- |",
        "| ResNet-20 | 60% | 40% |",
    ]


def test_every_sweep_on_the_page_of_clusters_is_one_the_parser_takes() -> None:
    text = CLUSTERS.read_text(encoding="utf-8")
    shown = re.findall(r"-m course_utils ([a-z].*)", text)
    assert len(shown) >= 5
    for line in shown:
        words = re.findall(r"'[^']*'|\S+", line.replace("$SLURM_ARRAY_TASK_ID", "3"))
        parsed = cli._parser().parse_args([word.strip("'") for word in words])
        assert parsed.handler
    assert "<hash>.failed" in text
