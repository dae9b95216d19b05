"""Profiles: named sets of parameters for the lessons, checked against each lesson's own cell."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import keyword
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat

from course_utils.experiments import Spec, grid
from course_utils.i18n import _

__all__ = ["check_parameters", "literal", "load_profile", "parameters_of", "profile_path"]

PARAMETERS_TAG = "parameters"
RECIPE = "recipe"
AUTOMATIC = ("precision", "auto")
# The fields of a spec that a lesson fills in itself; a recipe has the others.
OF_THE_LESSON = {"family", "depth", "seed", "dataset", "dataset_options", "family_options"}


def profile_path(folder: Path, name: str) -> Path:
    """The file of the profile called ``name``.

    Args:
        folder: where the profiles lie, one ``<name>.toml`` each.
        name: the profile's name, without the ending.

    Raises:
        ValueError: there is no such profile; the sentence lists those there are.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _written = (folder / "quick.toml").write_text("", encoding="utf-8")
    >>> profile_path(folder, "quick").name
    'quick.toml'
    """
    there = sorted(file.stem for file in folder.glob("*.toml"))
    if name not in there:
        raise ValueError(
            _("There is no profile {name!r}{hint}; the profiles are {there}.").format(
                name=name, hint=_hint(name, there), there=", ".join(there) or _("none")
            )
        )
    return folder / f"{name}.toml"


def load_profile(path: Path, notebooks: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """The parameters a profile gives each lesson, every name and type checked.

    Args:
        path: the TOML file, one table a lesson, named by the lesson's stem, such as
            ``[03_degradation]``.
        notebooks: the notebook of each lesson, by stem.

    Returns:
        For each lesson that the profile names, its parameters.

    Raises:
        ValueError: the file is not TOML, names a lesson or a parameter that is not there, or gives
            a value of another type than the notebook's own.
        OSError: a file cannot be read.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "cpu.toml"
    >>> _written = file.write_text("[03_degredation]", encoding="utf-8")
    >>> load_profile(file, {"03_degradation": Path("03_degradation.ipynb")})
    Traceback (most recent call last):
    ...
    ValueError: Profile 'cpu' names the lesson '03_degredation', which does not exist (did you
    mean '03_degradation'?); the lessons are 03_degradation.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(
            _("Profile {profile!r} ({path}) is not valid TOML: {error}.").format(
                profile=path.stem, path=path, error=error
            )
        ) from error
    for lesson, table in tables.items():
        if not isinstance(table, dict):
            raise ValueError(
                _(
                    "Profile {profile!r} has the value {name!r} outside a table: put it under "
                    "its lesson, as in [03_degradation]."
                ).format(profile=path.stem, name=lesson)
            )
        if lesson not in notebooks:
            raise ValueError(
                _(
                    "Profile {profile!r} names the lesson {lesson!r}, which does not "
                    "exist{hint}; the lessons are {there}."
                ).format(
                    profile=path.stem,
                    lesson=lesson,
                    hint=_hint(lesson, notebooks),
                    there=", ".join(notebooks),
                )
            )
    return {
        lesson: check_parameters(table, parameters_of(notebooks[lesson]), path.stem, lesson)
        for lesson, table in tables.items()
    }


def parameters_of(notebook: Path) -> dict[str, Any]:
    """The parameters of a lesson and their values: the assignments of its ``parameters`` cell.

    Args:
        notebook: an ``.ipynb`` file whose code cell tagged ``parameters`` assigns literals.

    Returns:
        Each name with the notebook's own value, in order; empty without such a cell.

    Raises:
        ValueError: the cell does more than give names literal values.
        OSError: the file cannot be read.
    """
    document = nbformat.read(notebook, as_version=4)
    sources = [
        cell.source
        for cell in document.cells
        if cell.cell_type == "code" and PARAMETERS_TAG in cell.metadata.get("tags", [])
    ]
    try:
        return dict(pair for source in sources for pair in _assignments(source))
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            _(
                "The parameters cell of {notebook} may only give literal values to names, as in "
                "epochs = 20."
            ).format(notebook=notebook.name)
        ) from error


def check_parameters(
    given: Mapping[str, Any], own: Mapping[str, Any], profile: str, lesson: str
) -> dict[str, Any]:
    """The parameters in ``given``, once each is known to exist and to have the right type.

    A whole number is taken where the lesson has a decimal one, and becomes one; nothing else is
    converted: ``True`` is no number, and a text no list.

    Args:
        given: what the profile says.
        own: what the lesson's cell says, as from :func:`parameters_of`.
        profile: the profile's name, for the messages.
        lesson: the lesson's stem, for the messages.

    Raises:
        ValueError: a name that is no Python name or that the lesson does not have, a setting that
            a ``recipe`` does not have, or a value of the wrong type or that a notebook cannot
            hold.

    >>> check_parameters({"rate": 1}, {"rate": 0.1, "epochs": 20}, "quick", "03_degradation")
    {'rate': 1.0}
    >>> check_parameters({"epochs": "20"}, {"epochs": 20}, "quick", "03_degradation")
    Traceback (most recent call last):
    ...
    ValueError: Profile 'quick', lesson '03_degradation': epochs must be a whole number, such as
    20, and not '20' (a text).
    """
    checked = {}
    for name, said in given.items():
        # papermill writes the name into the notebook as code.
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(
                _(
                    "Profile {profile!r}, lesson {lesson!r}: {name!r} is not a Python name, "
                    "so it cannot be a parameter."
                ).format(profile=profile, lesson=lesson, name=name)
            )
        if name not in own:
            raise ValueError(
                _(
                    "Profile {profile!r}, lesson {lesson!r}: the lesson has no parameter "
                    "{name!r}{hint}. Its parameters are {own}."
                ).format(
                    profile=profile,
                    lesson=lesson,
                    name=name,
                    hint=_hint(name, own),
                    own=", ".join(own) or _("none"),
                )
            )
        value = literal(f"{profile}.toml, [{lesson}] {name}", said)
        if not _fits(value, own[name]):
            raise ValueError(
                _(
                    "Profile {profile!r}, lesson {lesson!r}: {name} must be {wanted}, such as "
                    "{own!r}, and not {value!r} ({got})."
                ).format(
                    profile=profile,
                    lesson=lesson,
                    name=name,
                    wanted=_type_name(own[name]),
                    own=own[name],
                    value=value,
                    got=_type_name(value),
                )
            )
        if name == RECIPE and isinstance(value, dict):
            _check_recipe(value, profile, lesson)
        checked[name] = _as(value, own[name])
    return checked


def _check_recipe(recipe: Mapping[str, Any], profile: str, lesson: str) -> None:
    """Refuse a setting that no run has, or that has no such value, before the lesson runs."""
    known = [field.name for field in dataclasses.fields(Spec) if field.name not in OF_THE_LESSON]
    for key in recipe:
        if key not in known:
            raise ValueError(
                _(
                    "Profile {profile!r}, lesson {lesson!r}: a recipe has no setting "
                    "{key!r}{hint}. Its settings are {known}."
                ).format(
                    profile=profile,
                    lesson=lesson,
                    key=key,
                    hint=_hint(key, known),
                    known=", ".join(known),
                )
            )
    # Which precision is the fastest is for the lesson's own machine to find out.
    settings = {key: value for key, value in recipe.items() if (key, value) != AUTOMATIC}
    try:
        grid(families=["plain"], depths=[8], seeds=[0], **settings)
    except (ValueError, TypeError) as error:
        raise ValueError(
            _("Profile {profile!r}, lesson {lesson!r}, in the recipe: {error}").format(
                profile=profile, lesson=lesson, error=error
            )
        ) from error


def literal(name: str, value: Any) -> Any:
    """``value`` as a notebook holds it, in its code and in its JSON: NumPy's numbers are Python's.

    Args:
        name: what the value is for, for the message.
        value: None, a text, ``True`` or ``False``, a finite number, or tuples, lists, arrays and
            tables of them, in which the keys are texts.

    Raises:
        ValueError: anything else, such as an infinite number.

    >>> import numpy
    >>> literal("depths", (8, numpy.int64(20)))
    [8, 20]
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        return [literal(name, element) for element in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: literal(name, element) for key, element in value.items()}
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError(
        _(
            "{name} cannot be {value!r}: a lesson takes finite numbers, texts, true or false, "
            "and lists and tables of them."
        ).format(name=name, value=value)
    )


def _assignments(source: str) -> Iterator[tuple[str, Any]]:
    """Each ``name = literal`` of a cell; a ValueError at the first line that is anything else."""
    for statement in ast.parse(source).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=node)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as node)
            ):
                yield name, ast.literal_eval(node)
            case _:
                raise ValueError(ast.unparse(statement))


def _fits(value: Any, own: Any) -> bool:
    """Whether ``value`` is of the kind that the lesson itself uses; None stands for any kind."""
    if own is None:
        return True
    if isinstance(own, float):
        return type(value) in (float, int)
    if isinstance(own, list):
        return isinstance(value, list) and (
            not own or all(any(_fits(element, example) for example in own) for element in value)
        )
    return type(value) is type(own)


def _as(value: Any, own: Any) -> Any:
    """``value`` with whole numbers made decimal where the lesson's are; it fits already."""
    if isinstance(own, float):
        return float(value)
    if isinstance(own, list) and own and all(isinstance(example, float) for example in own):
        return [float(element) for element in value]
    return value


def _type_name(value: Any) -> str:
    """What ``value`` is, in the reader's words."""
    if isinstance(value, list):
        kinds = sorted({_type_name(element) for element in value})
        return _("a list of: {kinds}").format(kinds=", ".join(kinds)) if kinds else _("a list")
    names = {
        bool: _("true or false"),
        int: _("a whole number"),
        float: _("a decimal number"),
        str: _("a text"),
        dict: _("a table"),
    }
    return names.get(type(value), type(value).__name__)


def _hint(name: str, there: Iterable[str]) -> str:
    """The closest names that exist, to follow the wrong one in a sentence; empty if none is.

    >>> _hint("3", ["03_degradation", "04_densenet"])
    " (did you mean '03_degradation'?)"
    """
    names = list(there)
    close = difflib.get_close_matches(name, names) or [
        one for one in names if name.isdecimal() and one.startswith(f"{int(name):02d}_")
    ]
    if not close:
        return ""
    return " " + _("(did you mean {names}?)").format(names=", ".join(map(repr, close)))
