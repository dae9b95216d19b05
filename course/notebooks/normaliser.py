"""Brings executed notebooks to the one form in which they are committed.

nbformat reads, checks and writes them. nbstripout takes metadata out by such lists too, but of
outputs it keeps all or nothing, progress bars and paths of the author's machine included, and by
default numbers the cells anew, whose ids hold the two editions together.
"""

from __future__ import annotations

import copy
import platform
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course.files import REPOSITORY
from course_utils.i18n import _
from course_utils.whole import write_whole

__all__ = [
    "Machine",
    "first_line",
    "machine_paths",
    "normalise",
    "normalise_file",
    "notebook_text",
    "read_notebook",
    "unexecuted_cells",
    "write_notebook",
]

# What editors, runners and hosts leave in the metadata; all else in there is the authors' own.
_CELL_NOISE = frozenset(
    [
        *("collapsed", "heading_collapsed", "hidden", "jp-MarkdownHeadingCollapsed", "scrolled"),
        *("ExecuteTime", "execution", "papermill", "trusted", "widgets"),
        *("cell_id", "colab", "executionInfo", "id", "outputExpanded", "outputId"),
        *("deepnote_cell_type", "pycharm", "vscode"),
    ]
)
_NOTEBOOK_NOISE = frozenset(
    [
        *("celltoolbar", "hide_input", "orig_nbformat", "papermill", "signature", "widgets"),
        *("toc", "toc-autonumbering", "toc-showcode", "varInspector"),
        *("accelerator", "colab", "gpuClass", "interpreter", "vscode"),
    ]
)
_OUTPUT_NOISE = frozenset(["ExecuteTime", "colab", "execution", "outputId", "papermill"])
_WIDGET_TYPES = (
    "application/vnd.jupyter.widget-view+json",
    "application/vnd.jupyter.widget-state+json",
)
_HOST_TYPE = re.compile(r"application/vnd\.google\.")
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_LANGUAGE = {"name": "python"}

# tqdm's line, with a total ("12%|█▏   | 3/25 [00:01<00:09, 2.3it/s]") or without ("3it [00:01]"),
# and that of a sweep, which shows times alone ("12%|█▏   | 00:01<00:09").
_BAR = re.compile(
    r"\d+%\|[^|\n]*\| *\S+/\S+ \[[^\]\n]*\]"
    r"|\d+%\|[^|\n]*\| *\d+:\d\d\S*<\S+"
    r"|\d\S* ?\[\d+:\d\d[^\]\n]*\]"
)
# What a widget calls itself where it cannot be drawn.
_WIDGET_NAME = re.compile(r"^\s*\w+\((?:children|value)=", re.DOTALL)
_CURSOR = re.compile(r"\x1b\[\d[ABCDGJK]")

_BEFORE = r"[^\s\"'(<>,;]*"  # the start of a path, up to what cannot be in one
_KERNEL_FILE = re.compile(rf"{_BEFORE}ipykernel_\d+[/\\]+\d+\.py|<ipython-input-\d+-[0-9a-f]+>")
_PACKAGES = re.compile(rf"{_BEFORE}[/\\](?:site|dist)-packages[/\\]+")
_STANDARD_LIBRARY = re.compile(rf"{_BEFORE}[/\\][Ll]ib[/\\]+python3\.\d+[/\\]+")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
_MACHINE_PATH = re.compile(
    r"(?<![\w.:/~-])/(?:home|Users|root|tmp|private|mnt|media|workspace)/[^\s\"'<>)\]]*"
    r"|/var/folders/[^\s\"'<>)\]]*"
    r"|\b[A-Za-z]:(?:\\+|/)(?:Users|Windows|Program Files|Temp)\b[^\s\"'<>)\]]*"
)


@dataclass(frozen=True)
class Machine:
    """The names that tie an output to the machine it was made on.

    Attributes:
        root: the repository's folder; paths under it become relative to it.
        home: the author's folder, which becomes ``~``.
        host: the machine's name, which becomes ``localhost``.
    """

    root: Path = REPOSITORY
    home: Path = field(default_factory=Path.home)
    host: str = field(default_factory=platform.node)


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in the file ``path``.

    Args:
        path: an ``.ipynb`` file, format 4, UTF-8.

    Raises:
        ValueError: the file does not exist, is not such a notebook, or gives one id to two cells.
    """
    try:
        notebook: NotebookNode = nbformat.v4.reads(path.read_text(encoding="utf-8"))
        if notebook["nbformat"] != 4:
            raise ValueError(f"nbformat {notebook['nbformat']}")
        for number, cell in enumerate(notebook.cells, start=1):
            # By position: both editions of a lesson get the same ids.
            cell.setdefault("id", f"cell-{number:02d}")
        notebook["nbformat_minor"] = 5
        twice = [
            one for one, count in Counter(cell.id for cell in notebook.cells).items() if count > 1
        ]
        if twice:
            # nbformat would give one of them an id by chance.
            raise ValueError(
                _("a cell id is used twice: {ids}").format(ids=", ".join(sorted(twice)))
            )
        nbformat.validate(notebook)
    except (
        *(OSError, ValueError, KeyError, AttributeError, TypeError),
        nbformat.ValidationError,
    ) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ValueError(
            _("{notebook} is not a notebook that the course can read ({reason}).").format(
                notebook=path, reason=reason
            )
        ) from error
    return notebook


def notebook_text(notebook: NotebookNode) -> str:
    """The file of ``notebook``: sorted keys, one space of indentation, a final newline.

    Args:
        notebook: a notebook of format 4; it is not changed.
    """
    text: str = nbformat.v4.writes(notebook)
    return text + "\n"


def write_notebook(path: Path, notebook: NotebookNode) -> None:
    """Write ``notebook`` to ``path``, whole or not at all.

    Raises:
        OSError: the folder cannot be written; the old file is untouched.
    """
    write_whole(path, notebook_text(notebook).encode("utf-8"))


def normalise(notebook: NotebookNode, machine: Machine | None = None) -> NotebookNode:
    """A copy of ``notebook`` in normal form: what a reader sees, and nothing of how it was run.

    Kept: ids, tags, the authors' own metadata, figures with their descriptions, measurements.
    Executed cells are counted from 1 in order; a cell that was not executed stays without a count.
    Dropped: times, papermill's and the editors' metadata, widgets (dead without their kernel),
    progress bars. Paths under the repository become relative; the home folder, the host, the
    kernel's temporary files, installed packages and memory addresses lose what is the machine's.

    Args:
        notebook: a notebook of format 4.
        machine: whose names to take out; this machine's when None.
    """
    machine = machine or Machine()
    answer = copy.deepcopy(notebook)
    metadata = answer.metadata
    for noise in _NOTEBOOK_NOISE & metadata.keys():
        del metadata[noise]
    metadata["kernelspec"] = dict(_KERNEL)
    metadata["language_info"] = dict(_LANGUAGE)
    count = 0
    for cell in answer.cells:
        _clean_metadata(cell.metadata)
        if not cell.get("attachments", True):
            del cell["attachments"]
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            count += 1
            cell.execution_count = count
        cell.outputs = _clean_outputs(cell.outputs, machine)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
    return answer


def normalise_file(path: Path, machine: Machine | None = None) -> tuple[bool, list[str]]:
    """Rewrite the notebook in ``path`` in normal form, whole or not at all.

    Args:
        path: an ``.ipynb`` file.
        machine: whose names to take out; this machine's when None.

    Returns:
        Whether the file changed, and a sentence for each thing that only its author can mend:
        a code cell that was not executed, an absolute path that no rule makes relative.

    Raises:
        ValueError: the file is not a notebook; it is left as it is.
    """
    notebook = normalise(read_notebook(path), machine)
    content = notebook_text(notebook).encode("utf-8")
    changed = path.read_bytes() != content
    if changed:
        write_whole(path, content)
    return changed, unexecuted_cells(notebook) + machine_paths(notebook)


def unexecuted_cells(notebook: NotebookNode) -> list[str]:
    """A sentence for each code cell without an execution count.

    Args:
        notebook: a notebook of format 4.
    """
    return [
        _("cell `{cell}` (“{line}”) was not executed: run the whole notebook.").format(
            cell=cell.id, line=first_line(cell.source)
        )
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.execution_count is None
    ]


def machine_paths(notebook: NotebookNode) -> list[str]:
    """A sentence for each cell that shows an absolute path of somebody's machine.

    Args:
        notebook: a notebook of format 4; sources, outputs and descriptions are searched.
    """
    answer = []
    for cell in notebook.cells:
        found = {path for text in _texts(cell) for path in _MACHINE_PATH.findall(text)}
        answer += [
            _(
                "cell `{cell}` (“{line}”) shows the path {path} of a machine: print a path "
                "relative to the repository, or none."
            ).format(cell=cell.id, line=first_line(cell.source), path=path)
            for path in sorted(found)
        ]
    return answer


def first_line(source: str) -> str:
    """The first line of ``source`` that is not empty, cut to 60 characters, to name a cell by.

    >>> first_line("\\n## Identity blocks\\nA text")
    '## Identity blocks'
    """
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    line = lines[0] if lines else ""
    return line if len(line) <= 60 else line[:59] + "…"


def _texts(cell: NotebookNode) -> Iterator[str]:
    yield cell.source
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        yield from output.get("traceback", [])
        for mime, content in output.get("data", {}).items():
            if isinstance(content, str) and mime not in ("image/png", "image/jpeg"):
                yield content
        for about in output.get("metadata", {}).values():
            if isinstance(about, dict):
                yield from (text for text in about.values() if isinstance(text, str))


def _clean_metadata(metadata: NotebookNode) -> None:
    for noise in _CELL_NOISE & metadata.keys():
        del metadata[noise]
    for lock in ("deletable", "editable"):
        if metadata.get(lock) is True:  # what a cell is without it
            del metadata[lock]
    jupyter = metadata.get("jupyter")
    if jupyter is not None:
        jupyter.pop("outputs_hidden", None)
        if not jupyter.get("source_hidden", True):
            del jupyter["source_hidden"]
    slideshow = metadata.get("slideshow")
    if slideshow is not None and not slideshow.get("slide_type"):
        slideshow.pop("slide_type", None)
    if "tags" in metadata:
        metadata["tags"] = sorted(set(metadata["tags"]))
    for emptied in ("jupyter", "slideshow", "tags"):
        if not metadata.get(emptied, True):
            del metadata[emptied]


def _clean_outputs(outputs: list[NotebookNode], machine: Machine) -> list[NotebookNode]:
    """The outputs worth keeping. What one pass drops may bring two streams together: repeat."""
    while True:
        cleaned = [
            output
            for output in (_clean_output(output, machine) for output in _merged(outputs))
            if output is not None
        ]
        if cleaned == outputs:
            return cleaned
        outputs = cleaned


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs with neighbouring pieces of one stream joined."""
    answer: list[NotebookNode] = []
    for output in outputs:
        last = answer[-1] if answer else None
        if (
            last is not None
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            answer.append(copy.deepcopy(output))
    return answer


def _clean_output(output: NotebookNode, machine: Machine) -> NotebookNode | None:
    """The output as a reader should see it, or None when nothing of it is left."""
    if output.output_type == "stream":
        output.text = _without_machine(_without_bars(output.text), machine)
        return output if output.text else None
    if output.output_type == "error":
        output.evalue = _without_machine(output.evalue, machine)
        output.traceback = [_without_machine(line, machine) for line in output.traceback]
        return output
    data, metadata = output.data, output.metadata
    was_widget = False
    for mime in list(data):
        if mime in _WIDGET_TYPES or _HOST_TYPE.match(mime):
            was_widget |= mime in _WIDGET_TYPES
            del data[mime]
            metadata.pop(mime, None)
    text = data.get("text/plain", "")
    if (
        was_widget
        and set(data) <= {"text/plain"}
        and (not text.strip() or _BAR.search(text) or _WIDGET_NAME.match(text))
    ):
        return None
    if not data:
        return None
    for noise in _OUTPUT_NOISE & metadata.keys():
        del metadata[noise]
    for mime, content in data.items():
        data[mime] = _clean_content(mime, content, machine)
    return output


def _clean_content(mime: str, content: Any, machine: Machine) -> Any:
    if not isinstance(content, str):
        return content
    if mime.startswith("text/") or mime == "image/svg+xml":
        return _without_machine(content, machine)
    if mime.startswith("image/"):
        return "".join(content.split())  # base64 is the same with and without line ends
    return content


def _without_bars(text: str) -> str:
    """``text`` as a terminal would leave it, without tqdm's lines."""
    lines: list[str] = []
    dropped = False
    for line in text.replace("\r\n", "\n").split("\n"):
        drawn = _CURSOR.sub("", line).split("\r")
        kept = [part for part in drawn if not _BAR.search(part)]
        dropped = len(kept) < len(drawn) and not any(part.strip() for part in kept)
        if len(drawn) == 1 and not dropped:
            lines.append(drawn[0])
        elif not dropped:
            lines.append([part for part in kept if part.strip() or part == kept[-1]][-1])
    if dropped and lines and lines[-1]:
        lines.append("")  # the line before the bar keeps its end
    return "\n".join(lines)


def _without_machine(text: str, machine: Machine) -> str:
    text = _KERNEL_FILE.sub("cell.py", text)
    text = _PACKAGES.sub("site-packages/", text)
    text = _STANDARD_LIBRARY.sub("python/", text)
    text = _ADDRESS.sub("at 0x…", text)
    text = _folder_replaced(text, machine.root, inside="", itself=".")
    text = _folder_replaced(text, machine.home, inside="~/", itself="~")
    # A name such as "linux" is also a word; one with a digit or a hyphen is a machine's.
    if len(machine.host) >= 4 and re.search(r"[\d.-]", machine.host):
        text = re.sub(rf"(?<![\w.-]){re.escape(machine.host)}(?![\w-])", "localhost", text)
    return text


def _folder_replaced(text: str, folder: Path, *, inside: str, itself: str) -> str:
    if len(folder.parts) < 2:
        return text  # the root of a file system begins every path
    # As Windows writes it, as URLs and POSIX write it, and as `repr` writes the former.
    for name in {str(folder), folder.as_posix(), str(folder).replace("\\", "\\\\")}:
        start = rf"(?:file://)?(?<![\w.~-]){re.escape(name)}"
        text = re.sub(rf"{start}(?:/|\\+)(?=[\w.~-])", lambda _match: inside, text)
        text = re.sub(rf"{start}(?:/|\\+)?(?![\w.-]*\w)", lambda _match: itself, text)
    return text
