"""Explore the maps of an image in a notebook: any class, any cell, two classes on one scale."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
import traitlets
from anywidget import AnyWidget
from torch import Tensor

from course_utils.arguments import one_of
from course_utils.cam import CAM, GEOMETRIES
from course_utils.i18n import _, current_language, percent
from course_utils.models.receptive_field import Field, receptive_fields
from course_utils.plots import map_grid

__all__ = ["Explorer", "explore"]

HERE = Path(__file__).parent
COLOURS = matplotlib.colormaps["RdBu_r"](np.linspace(0, 1, 256))[:, :3]
LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722])  # of R, G and B: ITU-R BT.709
STATIC = 3  # classes of the figure that stands in where widgets do not run


class Explorer(AnyWidget):
    """The widget that :func:`explore` makes; what is chosen in it can be read and set here.

    Attributes:
        chosen: number of the class whose map is shown.
        compared: number of a second class, on the same scale; -1 for none.
        opacity: of the largest value, from 0 to 1.
        cell: number of the cell that is pointed at, row by row; -1 for none.
    """

    _esm = HERE / "explorer.js"
    _css = HERE / "explorer.css"

    chosen = traitlets.Int(0).tag(sync=True)
    compared = traitlets.Int(-1).tag(sync=True)
    opacity = traitlets.Float(0.85).tag(sync=True)
    cell = traitlets.Int(-1).tag(sync=True)

    maps = traitlets.Bytes().tag(sync=True)  # float32, classes × rows × columns
    pixels = traitlets.Bytes().tag(sync=True)  # grey, height × width
    colours = traitlets.Bytes().tag(sync=True)  # RGB of 256 values from -1 to 1
    shape: traitlets.List[Any] = traitlets.List().tag(sync=True)
    size: traitlets.List[Any] = traitlets.List().tag(sync=True)
    places: traitlets.List[Any] = traitlets.List().tag(sync=True)
    centres: traitlets.List[Any] = traitlets.List().tag(sync=True)
    geometry = traitlets.Unicode("stretched")
    field: traitlets.List[Any] = traitlets.List().tag(sync=True)
    names: traitlets.List[Any] = traitlets.List().tag(sync=True)
    logits: traitlets.List[Any] = traitlets.List().tag(sync=True)
    chances: traitlets.List[Any] = traitlets.List().tag(sync=True)
    words = traitlets.Dict().tag(sync=True)
    language = traitlets.Unicode().tag(sync=True)

    def __init__(self, cam: CAM, image: Tensor, **state: Any) -> None:
        super().__init__(**state)
        self._cam, self._image = cam, image

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and a figure of the most likely classes where it does not run."""
        bundle: Any = super()._repr_mimebundle_(**options) or {}
        data, about = bundle if isinstance(bundle, tuple) else (bundle, {})
        likely = self._cam.logits.topk(min(STATIC, len(self.names))).indices
        figure = map_grid(
            self._cam.select(likely).resized(tuple(self.size), geometry=self.geometry).maps[0],
            self._image[None],
            titles=[f"{self.names[c]}\n{percent(self.chances[c])}" for c in likely[0].tolist()],
            shared=True,
            columns=STATIC,
            label=self._cam.method,
            description=_("The maps of the most likely classes, over the image in grey."),
        )
        picture = {"image/jpeg": b64encode(figure.jpeg()).decode()}
        return (
            {**data, **picture, "text/plain": figure.description},
            {**about, "image/jpeg": {"alt": figure.description}},
        )


def explore(
    cam: CAM,
    image: Tensor,
    names: Sequence[str] = (),
    *,
    index: int = 0,
    geometry: str = "stretched",
) -> Explorer:
    """A widget that shows the map of any class over an image, and what any cell argues for.

    Classes are chosen by name or rank, and two may be compared on one scale. Pointing at a cell, or
    moving with the arrow keys, says which classes it argues for, and outlines the pixels that it
    reads. All of it happens in the browser; where widgets do not run, a figure stands in.

    Args:
        cam: the maps of all classes, as ``class_activation_maps`` returns them.
        image: ``(3, H, W)`` or ``(1, H, W)``, uint8 or float in [0, 1], as the network saw it
            before its normalisation.
        names: of the classes, in the order of the logits; their numbers by default.
        index: which image of the batch.
        geometry: where the cells are drawn, as in :meth:`CAM.resized`. The pixels that a cell reads
            are outlined where they are, whichever it is.

    Raises:
        ValueError: the classes of the maps are already chosen, the image or the names do not fit
            them, or the geometry is unknown.
    """
    if cam.classes is not None or cam.source is None:
        raise ValueError(
            _("The explorer needs the maps of all classes, as class_activation_maps returns them.")
        )
    classes, rows, columns = cam.maps.shape[1:]
    height, width = cam.source.shape[1:]
    if image.dim() != 3 or tuple(image.shape[1:]) != (height, width):
        raise ValueError(
            _("The image has shape {found}, and should have (3, {height}, {width}).").format(
                found=tuple(image.shape), height=height, width=width
            )
        )
    if names and len(names) != classes:
        raise ValueError(
            _("Give one name per class, {expected} in all: there are {found}.").format(
                found=len(names), expected=classes
            )
        )
    one_of("geometry", geometry, GEOMETRIES)
    stretched = [[jump / 2 - 0.5, jump] for jump in (height / rows, width / columns)]
    try:
        centres, field = cam.centres, _field(cam)
    except ValueError:
        if geometry == "true":
            raise
        centres, field = ((0, 0), (0, 0)), (math.inf, math.inf)  # the image
    one = replace(cam, maps=cam.maps[index, None], logits=cam.logits[index, None])
    grey = (image.float() / (255 if image.dtype == torch.uint8 else 1)).cpu()
    weights = LUMINANCE if len(grey) == 3 else torch.ones(1)
    logits = one.logits[0].float()
    return Explorer(
        one,
        image,
        chosen=int(logits.argmax()),
        maps=one.maps.float().cpu().numpy().tobytes(),
        pixels=torch.einsum("chw,c->hw", grey, weights).mul(255).byte().numpy().tobytes(),
        colours=(COLOURS * 255).astype(np.uint8).tobytes(),
        shape=[classes, rows, columns],
        size=[height, width],
        geometry=geometry,
        places=stretched if geometry == "stretched" else [list(side) for side in centres],
        centres=[list(side) for side in centres],
        field=[min(side, 2.0 * max(height, width)) for side in field],
        names=list(names) or [str(number) for number in range(classes)],
        logits=logits.tolist(),
        chances=logits.softmax(0).tolist(),
        words=_words(),
        language=current_language(),
    )


def _field(cam: CAM) -> Field:
    """Height and width of what a cell reads, in pixels."""
    assert cam.source is not None
    if not cam.source.layer:
        return (1, 1) if cam.source.layer == "" else (math.inf, math.inf)
    layer = cam.source.layer
    return receptive_fields(cam.source.model, cam.source.shape, [layer])[layer]


def _words() -> dict[str, str]:
    """What the widget says, with the names that it fills in."""
    return {
        "class": _("Class"),
        "rank": _("Rank"),
        "compare": _("Compare with"),
        "none": _("no other"),
        "opacity": _("Opacity"),
        "caption": _("{name}: logit {logit}, probability {chance}"),
        "picture": _(
            "Map of {name}, with a logit of {logit}. The arrow keys move from cell to cell."
        ),
        "point": _(
            "Point at a cell, or move with the arrow keys: you will read here what it argues for."
        ),
        "reading": _(
            "The cell in row {row}, column {column} reads {height}×{width} pixels (dashed "
            "frame). It argues for {best}, and against {worst}."
        ),
    }
