"""The figures of maps: faithful colours, one scale or one each, and refusals."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from seeing import panels

from course_utils import plots
from course_utils.plots import cam


def test_denormalising_undoes_the_normalisation() -> None:
    pixels = torch.rand(2, 3, 4, 4)
    mean, std = torch.rand(3, 1, 1), torch.rand(3, 1, 1) + 0.1
    torch.testing.assert_close(plots.denormalised((pixels - mean) / std, mean, std), pixels)


@pytest.mark.parametrize(
    ("values", "alphas"),
    [
        ([[0.0, 0.25], [0.5, 1.0]], [[0, 0.2], [0.4, 0.8]]),
        ([[-2.0, 0.0], [1.0, 2.0]], [[0.8, 0], [0.4, 0.8]]),
    ],
)
def test_opacity_grows_linearly_with_the_size_of_the_value(
    values: list[list[float]], alphas: list[list[float]]
) -> None:
    figure = plots.map_grid(torch.tensor([values]), torch.rand(1, 3, 8, 8), opacity=0.8)
    _grey, drawn = panels(figure)[0].images
    shown = drawn.cmap(drawn.norm(np.array(values)))[..., 3]
    np.testing.assert_allclose(shown, alphas, atol=2 * 0.8 / 255)


def test_the_image_under_a_map_is_grey_and_keeps_its_values() -> None:
    image = torch.full((1, 3, 4, 4), 51, dtype=torch.uint8)
    grey = panels(plots.map_grid(torch.rand(1, 2, 2), image))[0].images[0]
    np.testing.assert_allclose(grey.get_array(), 0.2, atol=1e-6)
    assert grey.get_clim() == (0, 1)


def test_a_signed_map_is_drawn_around_zero_and_another_from_zero() -> None:
    maps = torch.tensor([[[-1.0, 3.0]], [[1.0, 2.0]]])
    signed, positive = (axes.images[0] for axes in panels(plots.map_grid(maps)))
    assert signed.get_clim() == (-3, 3) and signed.cmap.name == "RdBu_r"
    assert positive.get_clim() == (0, 2) and positive.cmap.name == "viridis"


def test_a_shared_scale_is_the_same_for_all_maps_with_one_colour_bar() -> None:
    maps = torch.tensor([[[-1.0, 3.0]], [[1.0, 2.0]]])
    each, shared = plots.map_grid(maps), plots.map_grid(maps, shared=True)
    assert {axes.images[0].get_clim() for axes in panels(shared)} == {(-3.0, 3.0)}
    assert len(each.axes) - len(panels(each)) == 2
    assert len(shared.axes) - len(panels(shared)) == 1


def test_a_map_covers_the_image_and_keeps_its_cells() -> None:
    figure = plots.map_grid(torch.rand(1, 4, 2), torch.rand(1, 1, 16, 8))
    grey, drawn = panels(figure)[0].images
    assert tuple(grey.get_extent()) == tuple(drawn.get_extent()) == (-0.5, 7.5, 15.5, -0.5)
    assert drawn.get_array().shape == (4, 2) and drawn.get_interpolation() == "nearest"


def test_cells_stand_around_their_centres_and_the_image_keeps_its_size() -> None:
    """With two 3×3 convolutions of stride 2 and padding 1, cell i is centred on pixel 4 i."""
    figure = plots.map_grid(
        torch.rand(1, 4, 2), torch.rand(1, 1, 16, 8), centres=((0.0, 4.0), (1.5, 4.0))
    )
    (axes,) = panels(figure)
    grey, drawn = axes.images
    assert tuple(drawn.get_extent()) == (-0.5, 7.5, 14, -2)
    assert (
        (*axes.get_xlim(), *axes.get_ylim()) == tuple(grey.get_extent()) == (-0.5, 7.5, 15.5, -0.5)
    )


@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("shared", [False, True])
def test_every_colour_of_a_map_over_an_image_is_in_its_colour_bar(low: float, shared: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = low + (1 - low) * torch.rand(2, 8, 8, generator=generator)
    figure = plots.map_grid(maps, torch.rand(2, 1, 8, 8, generator=generator), shared=shared)
    drawn_panels = panels(figure)
    bars = [axes for axes in figure.axes if axes not in drawn_panels]
    for axes, bar in zip(drawn_panels, bars * (2 if shared else 1), strict=True):
        grey, drawn = (image.make_image(None, unsampled=True)[0] / 255 for image in axes.images)
        opacity = drawn[..., 3:]
        seen = drawn[..., :3] * opacity + grey[..., :3] * (1 - opacity)
        (scale,) = bar.images
        low_end, high_end = scale.get_extent()[2:]
        assert (low_end, high_end) == axes.images[1].get_clim()
        share = (np.asarray(axes.images[1].get_array()) - low_end) / (high_end - low_end)
        height, across = (
            np.minimum(np.asarray(one) * 256, 255).astype(int)
            for one in (share, axes.images[0].get_array())
        )
        found = np.asarray(scale.get_array())[height, across]
        # Rounded to 8 bits: the map's colour, its opacity, the image's grey.
        np.testing.assert_allclose(found, seen, atol=3 / 255)


def test_boxes_go_around_the_pixels_that_they_include() -> None:
    truth, none = torch.tensor([[[1, 2, 3, 6]]]), torch.full((1, 4), -1)
    figure = plots.map_grid(torch.rand(1, 8, 8), torch.rand(1, 3, 8, 8), truth=truth, found=none)
    outlines = [patch for patch in panels(figure)[0].patches if isinstance(patch, Rectangle)]
    assert {(o.get_xy(), o.get_width(), o.get_height()) for o in outlines} == {((0.5, 1.5), 3, 5)}


def test_the_description_says_the_extremes_and_where_the_highest_is() -> None:
    maps = torch.zeros(1, 3, 4)
    maps[0, 1, 2], maps[0, 0, 0] = 2.5, -1
    said = plots.map_grid(maps, titles=["seven"], description="A map.").description
    assert said.startswith("A map.")
    assert "seven: from −1 to 2.5, with its maximum at column 3 and row 2 of 4×3" in said


def test_masks_stand_under_their_images() -> None:
    masks = torch.zeros(2, 2, 4, 4, dtype=torch.bool)
    masks[1, 1, 0, 3] = True
    figure = plots.scene_grid(torch.rand(2, 3, 4, 4), masks=masks, description="Two scenes.")
    shown = [axes.images[0].get_array() for axes in panels(figure)]
    assert len(shown) == 4 and shown[2].sum() == 0 and shown[3][0, 3] == 1


def test_the_ladder_says_every_median() -> None:
    scores = {"pointing": {"CAM": [0.9, 0.8, 1.0], "chance": [0.1]}}
    figure = plots.score_ladder(scores, xlabel="score (%)", description="Scores.")
    assert "pointing, CAM: 90.0%; pointing, chance: 10.0%" in figure.description
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["pointing"]


def test_a_title_is_wanted_for_each_map_or_for_none() -> None:
    with pytest.raises(ValueError, match="there are 1 and 2"):
        plots.map_grid(torch.rand(2, 4, 4), titles=["one"])


def test_the_colour_maps_are_perceptual_and_diverging() -> None:
    lightness = matplotlib.colormaps[cam.SEQUENTIAL](np.linspace(0, 1, 64))[:, :3] @ cam.LUMINANCE
    assert (np.diff(lightness) > 0).all()
    both = matplotlib.colormaps[cam.DIVERGING](np.linspace(0, 1, 65))[:, :3] @ cam.LUMINANCE
    assert both.argmax() == 32
