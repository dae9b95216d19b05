"""Every picture of ``images/`` by its name: shown in a lesson, written to files, in a gallery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

import torch

from course_utils.diagrams import dense, maps, residual
from course_utils.diagrams.sketch import Diagram, Sketch
from course_utils.diagrams.style import NARROWEST, SMALL, WIDEST
from course_utils.i18n import LANGUAGES, _, speaking

__all__ = ["PICTURES", "draw_all", "files", "picture"]

PICTURES: dict[str, Callable[[], Sketch]] = {
    "conv1": maps.conv_1x1,
    "conv1_final": maps.conv_1x1_pixel,
    "heads": maps.heads,
    "receptive_field": maps.receptive_field,
    "GlobalAVG_final": maps.global_average,
    "cam": maps.class_map,
    "function_classes": maps.function_classes,
    "plain_residual": residual.plain_and_residual,
    "Conv_Bn_Relu": residual.conv_bn_relu,
    "id_block": residual.identity,
    "id_block_math": residual.identity_math,
    "proj_block": residual.projection,
    "proj_block_math": residual.projection_math,
    "Resnet_block": residual.resnet_stage,
    "resnet_archi": residual.resnet,
    "densenet_k_4": dense.densenet_growth,
    "dense_block_final": dense.dense_block,
    "transition_block_final": dense.transition,
    "densenet_archi": dense.densenet_row,
    "densenet_final": dense.densenet_zoom,
}
"""What draws each picture, in the order of the lessons."""


def picture(name: str) -> Diagram:
    """A picture of the course, described in the reader's language.

    It is drawn anew from the modules, so that it shows wherever the course is installed, with or
    without its files; torch's random numbers stay as they were.

    Args:
        name: that of the file in ``images/``, without its ending.

    Returns:
        A figure that a notebook shows as a PNG, with a description.

    Raises:
        ValueError: there is no picture of this name.

    >>> picture("id_block").title
    'The identity block'
    """
    if name not in PICTURES:
        raise ValueError(
            _("There is no picture {name!r}; there are {names}.").format(
                name=name, names=", ".join(PICTURES)
            )
        )
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights
        return PICTURES[name]().figure()


def files() -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of ``images/``: an SVG and a PNG a picture, the gallery."""
    said = {}
    for name in PICTURES:
        words = {}
        for language in LANGUAGES:
            with speaking(language):
                drawn = picture(name)
                words[language] = (drawn.title, drawn.description)
        said[name] = words
        yield f"{name}.svg", drawn.svg(words)
        yield f"{name}.png", drawn.png()
    yield "README.md", _gallery(said).encode()


def draw_all(folder: Path) -> list[Path]:
    """Write every picture, and the page that shows them all.

    Args:
        folder: made if it is not there; files of the same names are replaced.

    Returns:
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in files():
        (folder / name).write_bytes(content)
        written.append(folder / name)
    return written


def _gallery(said: dict[str, dict[str, tuple[str, str]]]) -> str:
    parts = [
        "# The pictures / Les images",
        "Drawn from the modules of `course_utils` by `make images`: change the module, not the "
        "file. SVG is the source; the PNG beside it has twice the size. All are made to be shown "
        f"at their own size, up to {WIDEST} pixels wide; their smallest text has {SMALL:g} pixels "
        f"there, and 11 on a page of {NARROWEST}. A lesson shows one with "
        '`diagrams.picture("id_block")`, and any block with `diagrams.draw(block, x)`. '
        "Licence: CC BY 4.0.",
        "Dessinées à partir des modules de `course_utils` par `make images` : c'est le module que "
        "l'on change, pas le fichier. Le SVG est la source ; le PNG à côté a deux fois sa taille. "
        'Une leçon en montre une par `diagrams.picture("id_block")`, et n\'importe quel bloc par '
        "`diagrams.draw(bloc, x)`. Licence : CC BY 4.0.",
    ]
    for name, words in said.items():
        (titre, texte), (title, text) = words["fr"], words["en"]
        parts += [
            f"## {name}",
            f"![{title}. {text}]({name}.svg)",
            f"**{title}.** [SVG]({name}.svg), [PNG]({name}.png)",
            f"**{titre}.**",
            f"<details><summary>Description</summary><p>{escape(text, quote=False)}</p>"
            f'<p lang="fr">{escape(texte, quote=False)}</p></details>',
        ]
    return "\n\n".join(parts) + "\n"
