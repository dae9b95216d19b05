"""The explorables in Chromium: they compute what torch computes, for pointer and keyboard."""

from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from browser import chromium, needs_chromium
from built_site import site
from playwright.sync_api import Page

from course.site.explorables import stored_data, stored_network

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(1200)]
CLOSE = {"rtol": 0, "atol": 1e-4}


@contextmanager
def opened(name: str, **options: Any) -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page(**options)
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: said.append(asked.url) if asked.url[:4] == "http" else 0)
        page.goto((site() / "en" / "explorables" / f"{name}.html").as_uri())
        page.wait_for_function("window.explorable")
        yield page
        assert said == []  # neither an error nor anything fetched from elsewhere


def state(page: Page) -> Any:
    """What the page shows, once it has drawn what it was last told."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return page.evaluate("() => window.explorable")


def drag(page: Page, *places: tuple[float, float]) -> None:
    """Over the canvas, from the first place to the last, as shares of its sides."""
    page.locator(".explorable .stage canvas").scroll_into_view_if_needed()
    box = page.locator(".explorable .stage canvas").bounding_box()
    assert box
    for number, (x, y) in enumerate(places):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def maps_of_torch(pixels: list[int]) -> torch.Tensor:
    data = stored_data("class_maps")
    mean, std = (torch.tensor(data[name])[:, None, None] for name in ("mean", "std"))
    scene = torch.tensor(pixels).view(3, 64, 64) / 255
    with torch.no_grad():
        return stored_network("class_maps")(((scene - mean) / std)[None])[0].flatten(1)


def test_the_maps_and_scores_of_a_scene_are_those_of_torch() -> None:
    with opened("class_maps") as page:
        scenes = [state(page)]
        drag(page, (0.3, 0.35), (0.7, 0.6))
        scenes.append(state(page))
        page.get_by_label("Second digit").select_option("7")
        scenes.append(state(page))
        page.get_by_role("button", name="Blank scene").click()
        drag(page, (0.4, 0.25), (0.55, 0.25), (0.5, 0.75))
        scenes.append(state(page))
    assert len({tuple(each["pixels"]) for each in scenes}) == 4
    for each in scenes:
        exact = maps_of_torch(each["pixels"])
        page_maps = torch.tensor(each["maps"])
        torch.testing.assert_close(page_maps, exact, **CLOSE)
        torch.testing.assert_close(torch.tensor(each["logits"]), exact.mean(1), **CLOSE)


def test_the_digits_that_can_be_placed_are_read_as_what_they_are() -> None:
    with opened("class_maps") as page:
        page.get_by_label("Scraps of other digits").fill("0")
        read = []
        for digit in range(10):
            page.locator("[data-part=first]").select_option(str(digit))
            logits = state(page)["logits"]
            read.append(logits.index(max(logits)))
    assert sum(digit == each for digit, each in enumerate(read)) >= 9


def test_a_scene_is_made_with_the_keyboard_alone() -> None:
    with opened("class_maps") as page:
        page.get_by_label("Scraps of other digits").fill("0")
        scene = page.locator("[data-part=scene]")
        scene.focus()
        before = state(page)["pixels"]
        for _step in range(6):
            page.keyboard.press("ArrowRight")
        moved = torch.tensor(state(page)["pixels"]).view(3, 64, 64)
        assert torch.equal(moved[:, :, 6:], torch.tensor(before).view(3, 64, 64)[:, :, :-6])
        page.get_by_role("button", name="Blank scene").press("Enter")
        blank = state(page)["pixels"]
        scene.focus()
        page.keyboard.press("Space")
        for _step in range(5):
            page.keyboard.press("ArrowDown")
        drawn = torch.tensor(state(page)["pixels"]) - torch.tensor(blank)
        assert (drawn != 0).view(3, 64, 64).any(0).any(1).sum() >= 9  # five steps and the pen


def test_the_classifier_slides_over_the_sheet_as_torch_does() -> None:
    sheets = stored_data("sliding_window")["sheets"]
    net = stored_network("sliding_window")
    with opened("sliding_window") as page:
        asked = [state(page)]
        drag(page, (0.2, 0.3), (0.5, 0.5))
        asked.append(state(page))
        page.locator("[data-part=sheet]").press("ArrowLeft")
        asked.append(state(page))
        assert asked[2]["column"] == asked[1]["column"] - 2
        page.locator("[data-part=which]").select_option("2")
        page.get_by_role("button", name="Answer everywhere").click()
        asked.append(state(page))
        label = page.locator("[data-part=says]").inner_text()
    for each in asked:
        sheet = sheets[each["sheet"]]
        ink = torch.frombuffer(bytearray(b64decode(sheet["ink"])), dtype=torch.uint8)
        image = (ink / 255).view(1, 1, *sheet["shape"])
        with torch.no_grad():
            answers = net(image)[0]
        exact = answers[:, each["row"] // 2, each["column"] // 2]
        for scores in (each["scores"], each["map"]):
            torch.testing.assert_close(torch.tensor(scores), exact, **CLOSE)
    assert asked[-1]["asked"] == answers[0].numel()
    assert f"reads a {sheets[1]['labels'][0]}." in label


def test_the_signal_of_each_network_is_what_was_measured() -> None:
    measured = stored_data("signal")["travelled"]
    with opened("signal", reduced_motion="reduce") as page:
        assert state(page)["name"] == "56 plain 0"
        page.get_by_label("Shortcuts").check()
        page.get_by_label("Depth").press("ArrowLeft")
        page.get_by_label("Slope").press("ArrowRight")
        shown = state(page)
        lines = page.locator("polyline.now").evaluate_all(
            "(all) => all.map((line) => line.getAttribute('points').split(' ').length)"
        )
        assert page.locator("circle:visible").count() == 0  # nothing travels for who asks for rest
    assert shown["name"] == "44 residual 0.01"
    assert shown["values"] == measured["44 residual 0.01"]
    assert lines == [43, 43]
