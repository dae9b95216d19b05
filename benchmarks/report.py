"""Write the table of ``benchmarks/README.md`` from the files of ``benchmarks/results/``.

python benchmarks/report.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- results -->", "<!-- /results -->"
Report = dict[str, Any]


def main() -> None:
    """Put the tables of what was measured between the two marks of the page."""
    page = HERE / "README.md"
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


def filled(page: str, results: Path = HERE / "results") -> str:
    """``page`` with the tables of the files in ``results`` between its marks."""
    before, _mark, rest = page.partition(BEGIN)
    _old, _mark, after = rest.partition(END)
    parts = [
        section(path.stem, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(results.glob("*.json"))
    ]
    body = "\n\n".join(parts) or "Nothing was measured yet."
    return f"{before}{BEGIN}\n\n{body}\n\n{END}{after}"


def section(stem: str, report: Report) -> str:
    """One file as a title, a line on what was measured where, and a table."""
    kind = next(name for name in TABLES if stem.startswith(name))
    machine = report["machine"]
    where = [machine.get("accelerator") or machine["processor"], f"{machine['cores']} cores"]
    if "threads" in machine:
        where.append(f"{machine['threads']} thread(s)")
    where.append(f"torch {machine.get('torch') or machine['versions']['torch']}")
    if "rounds" in report:
        where.append(f"{report['rounds']} rounds")
    settings = f", {report['settings']}" if "settings" in report else ""
    lines = [f"### `{stem}`", "", f"{report['work']}{settings}. {', '.join(where)}.", ""]
    lines += TABLES[kind](report)
    lines += [f"\nSkipped: {what}." for what in report.get("skipped", ())]
    return "\n".join(lines)


def table(headers: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """A Markdown table."""
    heads = list(headers)
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def quartiles(each: dict[str, float], digits: int) -> str:
    """The median, and the quartiles or else the extremes."""
    low, high = (each["q1"], each["q3"]) if "q1" in each else (each["least"], each["most"])
    return f"{each['median']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def throughput(report: Report) -> list[str]:
    """Images a second, beside the usual loop and beside the machine's matrix products."""
    rows = []
    bounds = {"of the matrix product": report["gemm_gigaflops"]}
    if "convolution_gigaflops" in report:
        bounds["of the best convolution"] = report["convolution_gigaflops"]
    for name, net in report["nets"].items():
        for contestant, rate in net["images_per_second"].items():
            work = 6 * net["macs"] * rate["median"] / 1e9
            shares = [f"{work / max(bound.values()):.0%}" for bound in bounds.values()]
            marked = f"**{contestant}**" if contestant == net["default"] else contestant
            ratio = quartiles(net["ratio_to_the_usual_loop"][contestant], 2)
            rows.append([name, marked, quartiles(rate, 0), ratio, *shares])
    rates = "; ".join(
        f"{bound.removeprefix('of the ')} "
        + ", ".join(f"{rate:.0f} in {precision}" for precision, rate in found.items())
        for bound, found in bounds.items()
    )
    heads = ["net", "loop", "images/s", "times the usual loop", *bounds]
    kinds = next(iter(report["nets"].values()))["time_of_the_default"]
    parts = [
        [name, *(f"{share:.0%}" for share in net["time_of_the_default"].values())]
        for name, net in report["nets"].items()
    ]
    limits = []
    for name, net in report["nets"].items():
        most = max(report["gemm_gigaflops"].values()) * 1e9 / (6 * net["macs"])
        times = most / net["images_per_second"]["usual loop, fp32"]["median"]
        limits.append(f"{name} {most:.0f} images/s, {times:.1f} times the usual loop")
    return [
        *table(heads, rows),
        "",
        f"GFLOP/s: {rates}; the shares are of the better precision. Bold: default. If every "
        f"operation ran as fast as the faster matrix product: {'; '.join(limits)}.",
        "",
        "What the time of the default goes to:",
        "",
        *table(["net", *kinds], parts),
    ]


def sweep_scaling(report: Report) -> list[str]:
    """Seconds of a sweep, and the ratios."""
    rows = [
        [name, quartiles(each, 1), quartiles(report["seconds_to_start"][name], 1)]
        for name, each in report["seconds"].items()
    ]
    ratios = [[name, quartiles(each, 2)] for name, each in report["ratios"].items()]
    run = quartiles(report["seconds_a_run"], 1)
    return [
        *table(["workers", "seconds", "seconds to start"], rows),
        "",
        *table(["ratio", "value"], ratios),
        "",
        f"A run takes {run} s with one worker of one thread.",
    ]


def cam(report: Report) -> list[str]:
    """Milliseconds of maps, and the ratios."""
    rows = [
        [name, quartiles({key: 1000 * value for key, value in each.items()}, 0)]
        for name, each in report["seconds"].items()
    ]
    ratios = [[name, quartiles(each, 2)] for name, each in report["ratios"].items()]
    return [*table(["maps", "milliseconds"], rows), "", *table(["ratio", "value"], ratios)]


def gradient_maps(report: Report) -> list[str]:
    """What maps of each method find behind each head, in percent."""
    rows = [
        [f"{each:.1%}" if isinstance(each, float) else each for each in found.values()]
        for found in report["maps"]
    ]
    return table(report["maps"][0], rows)


def densenet_memory(report: Report) -> list[str]:
    """Megabytes that a step takes, with and without recomputation."""
    rows = []
    for name, net in report["nets"].items():
        kept, recomputed = net["megabytes"]["kept"], net["megabytes"]["recomputed"]
        saved = f"{recomputed / kept - 1:+.0%}".replace("-", "−")
        ratio = quartiles(net["time_ratio"], 2) if "time_ratio" in net else "–"
        rows.append([name, f"{kept:.0f}", f"{recomputed:.0f}", saved, ratio])
    return table(["DenseNet", "MB, kept", "MB, recomputed", "memory", "time ratio"], rows)


def lessons_time(report: Report) -> list[str]:
    """Seconds of each lesson, and the most memory that it holds at a time."""
    peak = report.get("peak_bytes", {})  # older measurements have none
    rows = [
        [f"`{name}`", f"{seconds:.0f}", f"{peak[name] / 1e9:.1f}" if name in peak else "–"]
        for name, seconds in report["seconds"].items()
    ]
    return table(["lesson", "seconds", "GB"], rows)


def small_steps(report: Report) -> list[str]:
    """Milliseconds of the lessons' own steps, and what of them a step on two images takes."""
    rows = [
        [
            name,
            *(quartiles(each, 1) for each in found["milliseconds"].values()),
            quartiles(found["times_the_usual_loop"], 2),
            f"{found['share_on_two_images']['median']:.0%}",
        ]
        for name, found in report["settings_of"].items()
    ]
    heads = ["setting", "usual loop, ms", "`fit`, ms", "times the usual loop", "on 2 images"]
    return table(heads, rows)


def busy(report: Report) -> list[str]:
    """Milliseconds a step beside busy processes, and how much longer spinning takes."""
    lines = []
    for work, by in report["milliseconds"].items():
        ratios = report["spinning / a little"][work]
        rows = [[name, *(quartiles(each, 0) for each in of.values())] for name, of in by.items()]
        rows.append(["spinning / a little", *(quartiles(each, 1) for each in ratios.values())])
        heads = [f"{work}, ms a step", *(f"{number} beside" for number in ratios)]
        lines += [*table(heads, rows), ""]
    return lines[:-1]


def planning(report: Report) -> list[str]:
    """Seconds of what is done with a grid besides training, and of short runs on Dask."""
    sizes = report["sizes"]
    names = next(iter(sizes.values()))
    rows = [[name, *(f"{of[name]:.2f}" for of in sizes.values())] for name in names]
    lines = table(["seconds of the processor", *(f"{int(size):,} specs" for size in sizes)], rows)
    if dask := report.get("dask"):
        lines += [
            "",
            f"{dask['runs']} runs of {dask['seconds of training'] / dask['runs']:.2f} s on Dask, "
            f"{dask['workers']} workers: {dask['seconds']:.0f} s in all, "
            f"{dask['MB more at the peak']:.0f} MB more in the sweep's own process.",
        ]
    return lines


TABLES: dict[str, Callable[[Report], list[str]]] = {
    "throughput": throughput,
    "sweep_scaling": sweep_scaling,
    "cam": cam,
    "gradient_maps": gradient_maps,
    "densenet_memory": densenet_memory,
    "lessons_time": lessons_time,
    "small_steps": small_steps,
    "busy": busy,
    "planning": planning,
}


if __name__ == "__main__":
    main()
