"""The explorer, in a browser with a pointer and a keyboard, and as the figure that stands in."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
import torch
from browser import chromium, needs_chromium
from PIL import Image
from playwright.sync_api import Page
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.cam import CAM, class_activation_maps
from course_utils.explorer import HERE, Explorer, explore
from course_utils.i18n import LANGUAGES, speaking

NAMES = ["left", "right", "both"]
CELL = 4  # pixels
# A kernel's part of anywidget: values that can be read, set and listened to.
PAGE = """<!doctype html><html lang="en"><title>explorer</title><style>%s</style>
<body><main id="here"></main><script type="module">%s
const state = %s;
for (const name of ["maps", "pixels", "colours"]) {
  const bytes = Uint8Array.from(atob(state[name]), (c) => c.charCodeAt(0));
  state[name] = new DataView(bytes.buffer);
}
const heard = {};
window.state = state;
window.model = {
  get: (name) => state[name],
  set: (name, value) => {
    state[name] = value;
    (heard[`change:${name}`] ?? []).forEach((tell) => tell());
  },
  save_changes: () => {},
  on: (name, f) => (heard[name] ??= []).push(f),
};
render({ model: window.model, el: document.querySelector("#here") });
</script></body></html>"""


class Halves(nn.Module):
    """Classes that speak for the red of an image, for its blue, and for both."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.AvgPool2d(CELL)
        self.fc = nn.Linear(3, 3)
        self.fc.weight.data = torch.tensor([[1.0, 0, -1], [-1, 0, 1], [0.4, 0, 0.4]])
        self.fc.bias.data.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean((2, 3)))


def image() -> Tensor:
    """Red on the left, blue and a little less of it on the right; ``(3, 16, 32)``."""
    pixels = torch.zeros(3, 16, 32)
    pixels[0, :, :16] = 1
    pixels[2, :, 16:] = 0.9
    return pixels


def maps() -> CAM:
    return class_activation_maps(Halves(), image()[None])


def page_of(explorer: Explorer) -> str:
    """The explorer in a page of its own."""
    state = {
        name: b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in explorer.get_state().items()
        if not name.startswith("_")
    }
    script = (HERE / "explorer.js").read_text(encoding="utf-8")
    script = script.replace("export default { render };", "")
    return PAGE % ((HERE / "explorer.css").read_text(encoding="utf-8"), script, json.dumps(state))


@pytest.fixture(scope="module", params=LANGUAGES)
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    with speaking(request.param), chromium() as browser:
        tab = browser.new_page()
        tab.set_content(page_of(explore(maps(), image(), NAMES)))
        tab.wait_for_selector(".explorer canvas")
        yield tab


def state(page: Page, name: str) -> Any:
    return page.evaluate(f"state.{name}")


def colour(page: Page, canvas: int, x: int, y: int) -> list[int]:
    get = f"[...document.querySelectorAll('figure canvas')[{canvas}].getContext('2d')"
    return page.evaluate(f"{get}.getImageData({x}, {y}, 1, 1).data]")[:3]


@needs_chromium
@pytest.mark.slow
def test_the_pointer_says_what_a_cell_argues_for(page: Page) -> None:
    canvas = page.locator("figure canvas").first
    canvas.hover(position={"x": 5, "y": 9})
    assert state(page, "cell") == 2 * 8 + 1  # the third row of cells of 4 pixels, the second column
    words = page.locator(".readout").inner_text()
    assert words.index("left 1") < words.index("both 0") < words.rindex("right")
    assert "4×4" in words  # what an average of 4×4 pixels reads
    canvas.hover(position={"x": 30, "y": 2})
    assert page.locator(".readout").inner_text().index("right") < words.index("left") + 40
    assert state(page, "cell") == 7


@needs_chromium
@pytest.mark.slow
def test_the_arrow_keys_move_from_cell_to_cell_and_stop_at_the_border(page: Page) -> None:
    page.evaluate("model.set('cell', 0)")
    page.locator("figure canvas").first.focus()
    for key, cell in (("ArrowRight", 1), ("ArrowDown", 9), ("ArrowUp", 1), ("ArrowUp", 1)):
        page.keyboard.press(key)
        assert state(page, "cell") == cell


@needs_chromium
@pytest.mark.slow
def test_a_class_is_chosen_by_name_number_and_rank_by_the_keyboard_alone(page: Page) -> None:
    chosen, rank = page.locator("input[type=search]").first, page.locator("input[type=number]")
    for typed, number in (("Right", 1), ("2", 2), ("nothing", 2)):
        chosen.focus()
        page.keyboard.press("Control+A")
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
        assert state(page, "chosen") == number
        assert chosen.input_value() == NAMES[number]
    rank.fill("1")
    rank.press("Enter")
    assert state(page, "chosen") == int(maps().logits.argmax())


@needs_chromium
@pytest.mark.slow
def test_two_classes_are_compared_on_one_scale(page: Page) -> None:
    page.evaluate("model.set('cell', -1); model.set('chosen', 2); model.set('opacity', 1)")
    alone = colour(page, 0, 2, 2)
    page.evaluate("model.set('compared', 0)")
    assert page.locator("figure:not([hidden])").count() == 2
    # On the scale of the first class, the second reaches 0.4 of it alone: the grey shows through.
    assert colour(page, 1, 2, 2) == alone != colour(page, 0, 2, 2)
    low, high = page.locator(".scale span").all_inner_texts()
    assert (float(low.replace("−", "-").replace(",", ".")), float(high)) == (-1, 1)
    page.evaluate("model.set('compared', -1)")


@needs_chromium
@pytest.mark.slow
def test_without_opacity_the_image_is_seen_as_it_is(page: Page) -> None:
    page.evaluate("model.set('cell', -1); model.set('opacity', 0)")
    grey = int(0.2126 * 255)
    assert colour(page, 0, 2, 2) == [grey, grey, grey]


def test_where_widgets_do_not_run_a_figure_stands_in() -> None:
    data, about = explore(maps(), image(), NAMES)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert Image.open(BytesIO(b64decode(data["image/jpeg"]))).size[0] > 100
    assert "left" in about["image/jpeg"]["alt"] == data["text/plain"]


def test_cells_are_drawn_as_tiles_or_where_they_read() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    cam, pixels = class_activation_maps(net, torch.rand(1, 3, 17, 33)), torch.rand(3, 17, 33)
    # Kernels of 3 pixels at steps of 2: 8 rows and 16 columns, centred on pixels 1, 3, 5, …
    drawn = explore(cam, pixels, geometry="true")
    assert drawn.places == drawn.centres == [[1, 2], [1, 2]]
    assert drawn.field == [3, 3]
    tiles = explore(cam, pixels)
    assert tiles.places == [[17 / 16 - 0.5, 17 / 8], [33 / 32 - 0.5, 33 / 16]]
    assert tiles.centres == [[1, 2], [1, 2]]


def test_cells_without_a_place_of_their_own_are_drawn_as_tiles_and_read_the_image() -> None:
    class Everywhere(Halves):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + F.interpolate(x.flip(3), x.shape[2:]))

    cam = class_activation_maps(Everywhere(), image()[None])
    with pytest.raises(ValueError):
        explore(cam, image(), geometry="true")
    drawn = explore(cam, image())
    assert drawn.places == [[1.5, 4], [1.5, 4]]
    assert drawn.field == [64, 64]  # twice the image, wherever it is centred


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((maps().select(), image()), "maps of all classes"),
        ((maps(), image()[:, :8]), r"shape \(3, 8, 32\), and should have \(3, 16, 32\)"),
        ((maps(), image(), NAMES[:2]), "one name per class, 3 in all: there are 2"),
    ],
    ids=["chosen", "size", "names"],
)
def test_what_does_not_fit_is_refused(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        explore(*arguments)
