"""Profiles: what they may say of a lesson, and the sentence that meets anything else."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.lessons import find_lessons
from course.profiles import (
    check_parameters,
    literal,
    load_profile,
    parameters_of,
    profile_path,
)
from course.running import run_lessons
from course_utils.i18n import LANGUAGES

ROOT = Path(__file__).parents[2]
OWN = {
    "dataset": "digits",
    "size": 16,
    "depths": [8, 20, 56],
    "rate": 0.1,
    "rates": [0.1, 0.2],
    "flip": True,
    "limit": None,
    "extra": [],
}


def write_notebook(path: Path, source: str) -> Path:
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Title"), cell]), path)
    return path


def write_profile(folder: Path, text: str) -> Path:
    path = folder / "quick.toml"
    path.write_text(text, encoding="utf-8")
    return path


def check(**given: object) -> dict[str, object]:
    return check_parameters(given, OWN, "quick", "03_degradation")


def test_a_lessons_parameters_are_the_assignments_of_its_tagged_cell(tmp_path: Path) -> None:
    source = 'epochs: int = 20\nrate = -1e-4  # a comment\nnames = ["a", "b"]\nlimit = None'
    notebook = write_notebook(tmp_path / "01_a.ipynb", source)
    assert parameters_of(notebook) == {
        "epochs": 20,
        "rate": -1e-4,
        "names": ["a", "b"],
        "limit": None,
    }


def test_a_lesson_without_the_cell_has_no_parameters(tmp_path: Path) -> None:
    nbformat.write(new_notebook(cells=[new_code_cell("epochs = 20")]), tmp_path / "01_a.ipynb")
    assert parameters_of(tmp_path / "01_a.ipynb") == {}


@pytest.mark.parametrize("source", ["a = b = 1", "a = len('x')", "import os", "a = ", "print(1)"])
def test_a_parameters_cell_that_does_more_is_refused(tmp_path: Path, source: str) -> None:
    notebook = write_notebook(tmp_path / "01_a.ipynb", source)
    with pytest.raises(ValueError, match=r"01_a\.ipynb may only give literal values to names"):
        parameters_of(notebook)


def test_values_of_the_lessons_own_types_pass_unchanged() -> None:
    given = {
        "dataset": "cifar10",
        "size": 32,
        "depths": [20],
        "rate": 0.5,
        "flip": False,
        "limit": "any",
        "extra": [1, "a"],
    }
    assert check(**given) == given
    assert check(depths=[]) == {"depths": []}


def test_a_whole_number_becomes_decimal_where_the_lesson_has_a_decimal_one() -> None:
    checked = check(rate=1, rates=[1, 0.5])
    assert checked == {"rate": 1.0, "rates": [1.0, 0.5]}
    assert isinstance(checked["rate"], float)


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ({"size": "32"}, ("a whole number", "a text")),
        ({"size": True}, ("a whole number", "true or false")),
        ({"size": 32.0}, ("a whole number", "a decimal number")),
        ({"flip": 1}, ("true or false", "a whole number")),
        ({"rate": "1e-4"}, ("a decimal number", "a text")),
        ({"rate": True}, ("a decimal number", "true or false")),
        ({"dataset": 1}, ("a text", "a whole number")),
        ({"depths": 8}, ("a list of: a whole number", "a whole number")),
        ({"depths": [8, "20"]}, ("a list of: a whole number", "a list of: a text, a whole number")),
        ({"depths": [8, True]}, ("a list of: a whole number", "true or false")),
        ({"depths": [[8]]}, ("a list of: a whole number", "a list of: a list of: a whole number")),
    ],
)
def test_a_value_of_another_type_is_refused_by_naming_both_types(
    given: dict[str, object], kinds: tuple[str, str]
) -> None:
    with pytest.raises(ValueError, match="must be") as refusal:
        check(**given)
    wanted, got = str(refusal.value).split(", and not ")
    assert f"must be {kinds[0]}, such as" in wanted
    assert kinds[1] in got
    assert next(iter(given)) in wanted


def test_a_parameter_that_is_not_there_is_refused_with_the_closest_name_or_all() -> None:
    with pytest.raises(ValueError, match=r"no parameter 'depth' \(did you mean 'depths'\?\)"):
        check(depth=[8])
    with pytest.raises(
        ValueError, match=r"no parameter 'zzz'\. Its parameters are dataset, size, depths"
    ):
        check(zzz=1)


def test_a_setting_that_no_recipe_has_is_refused_with_the_closest_one_or_all() -> None:
    own = {"recipe": {}}
    recipe = {"batch_size": 64, "device": "cuda", "compiled": True}
    assert check_parameters({"recipe": recipe}, own, "quick", "03_degradation") == {
        "recipe": recipe
    }
    with pytest.raises(
        ValueError, match=r"no setting 'batch_sise' \(did you mean 'batch_size'\?\)"
    ):
        check_parameters({"recipe": {"batch_sise": 64}}, own, "quick", "03_degradation")
    # What the lesson says itself is no setting of its recipe.
    with pytest.raises(
        ValueError, match=r"no setting 'seed'.* Its settings are epochs, steps, batch_size"
    ):
        check_parameters({"recipe": {"seed": 1}}, own, "quick", "03_degradation")


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"schedule": "stepp"}, "schedule"),
        ({"batch_size": "64"}, "batch_size must be"),
        ({"learning_rate": -0.1}, "learning_rate must be a finite number"),
        ({"learning_rate": 0}, "A learning rate must be positive"),
        ({"nesterov": 1}, "nesterov"),
        ({"device": "gpu"}, "device"),
        ({"precision": "fp16"}, "precision"),
        ({"warm_start": "110"}, "warm_start must be True, False or a list of depths"),
        ({"evaluate_every": 0}, "evaluate_every"),
        ({"lars": [1]}, "lars must be a number"),
    ],
)
def test_a_setting_with_a_value_that_no_run_has_is_refused_before_anything_runs(
    recipe: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=f"'quick', lesson '04_densenet', in the recipe: .*{said}"):
        check_parameters({"recipe": recipe}, {"recipe": {}}, "quick", "04_densenet")


def test_a_recipe_may_leave_the_precision_to_the_lessons_machine_and_list_warm_starts() -> None:
    recipe = {"precision": "auto", "device": "cuda", "warm_start": [110], "steps": 64000}
    said = check_parameters({"recipe": recipe}, {"recipe": {}}, "paper", "03_degradation")
    assert said == {"recipe": recipe}


@pytest.mark.parametrize("name", ["import os; x", "a-b", "class", "2x", ""])
def test_a_name_that_would_be_other_code_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a Python name"):
        check_parameters({name: 1}, {name: 2}, "quick", "03_degradation")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[03_degradatoin]\nepochs = 2", r"did you mean '03_degradation'\?"),
        ("[3]", r"the lesson '3', .*did you mean '03_degradation'\?\); the lessons are 03_deg"),
        ("[zzz]", r"the lesson 'zzz', which does not exist; the lessons are 03_degradation\."),
        ("epochs = 2", "'epochs' outside a table"),
        ("[03_degradation\n", r"'quick'.*is not valid TOML"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_in_a_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_profile(write_profile(tmp_path, text), {"03_degradation": tmp_path / "none.ipynb"})


def test_a_profile_gives_each_lesson_its_checked_values(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "03_degradation.ipynb", "epochs = 20\nseeds = [0]")
    profile = write_profile(tmp_path, "[03_degradation]\nseeds = [1, 2]")
    assert load_profile(profile, {"03_degradation": notebook}) == {
        "03_degradation": {"seeds": [1, 2]}
    }


def test_an_unknown_profile_is_refused_with_those_there_are(tmp_path: Path) -> None:
    write_profile(tmp_path, "")
    with pytest.raises(ValueError, match=r"'quikc' \(did you mean 'quick'\?\); .* are quick\."):
        profile_path(tmp_path, "quikc")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "profile", sorted((ROOT / "profiles").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_profile_of_the_course_fits_every_lesson(profile: Path, language: str) -> None:
    notebooks = {lesson.stem: lesson.path for lesson in find_lessons(ROOT, language)}
    assert load_profile(profile, notebooks).keys() <= notebooks.keys()


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
@pytest.mark.parametrize(
    "line", ["rate = {}", "rates = [0.5, {}]", "more = {{ a = [{{ b = {} }}] }}"]
)
def test_a_number_that_json_does_not_have_is_refused_wherever_it_stands(
    tmp_path: Path, line: str, value: str
) -> None:
    notebook = write_notebook(tmp_path / "01_a.ipynb", "rate = 0.1\nrates = [0.1]\nmore = {}")
    profile = write_profile(tmp_path, "[01_a]\n" + line.format(value))
    with pytest.raises(ValueError, match=rf"quick\.toml, \[01_a\] .* cannot be {value}"):
        load_profile(profile, {"01_a": notebook})


def test_a_date_is_refused_where_the_lesson_takes_anything(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="limit cannot be datetime"):
        notebook = write_notebook(tmp_path / "01_a.ipynb", "limit = None")
        load_profile(write_profile(tmp_path, "[01_a]\nlimit = 2026-01-01"), {"01_a": notebook})


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((8, 20), [8, 20]),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.arange(3), [0, 1, 2]),
        ({"a": (1, None)}, {"a": [1, None]}),
    ],
)
def test_values_from_python_become_what_a_notebook_holds(value: object, plain: object) -> None:
    found = literal("name", value)
    assert found == plain
    assert type(found) is type(plain)


@pytest.mark.parametrize("value", [np.inf, np.array([1, np.nan]), {1: 2}, {1, 2}, Path("a"), 1j])
def test_a_value_that_no_notebook_holds_is_refused_before_any_lesson_runs(
    tmp_path: Path, value: object
) -> None:
    folder = tmp_path / "notebooks" / "fr"
    folder.mkdir(parents=True)
    write_notebook(folder / "01_a.ipynb", "depths = [8]")
    (lesson,) = find_lessons(tmp_path, "fr")
    with pytest.raises(ValueError, match="01_a: depths cannot be"):
        list(run_lessons(tmp_path, {lesson: {"depths": value}}, progress=False))
    assert not (tmp_path / "build").exists()


@pytest.mark.slow
def test_a_tuple_and_a_numpy_number_reach_the_lesson_as_a_list_and_a_number(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks" / "fr"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    notebook = write_notebook(folder / "01_a.ipynb", "depths = [8]\nepochs = 1")
    document = nbformat.read(notebook, 4)
    document.cells.append(new_code_cell("print(depths, epochs + 1)"))
    nbformat.write(document, notebook)
    (lesson,) = find_lessons(tmp_path, "fr")
    values = {"depths": (8, 20), "epochs": np.int64(3)}
    (outcome,) = run_lessons(tmp_path, {lesson: values}, progress=False)
    assert outcome.error is None
    done = nbformat.read(tmp_path / "build" / "fr" / "01_a.ipynb", 4)
    assert done.cells[-1].outputs[0].text == "[8, 20] 4\n"
