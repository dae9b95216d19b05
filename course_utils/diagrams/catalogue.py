"""Every picture of the course by its name, and the module that it is drawn from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from course_utils.arguments import one_of
from course_utils.diagrams import dense, maps, residual
from course_utils.diagrams.sketch import Diagram, Sketch
from course_utils.models import (
    ConvBNReLU,
    DenseBlock,
    Transition,
    cifar_net,
    densenet,
    identity_block,
    projection_block,
    stage,
)

__all__ = ["PICTURES", "picture"]

PICTURES: dict[str, Callable[[], Sketch]] = {
    "conv1": lambda: maps.conv_1x1(nn.Conv2d(6, 3, 1)),
    "conv1_final": lambda: maps.conv_1x1_pixel(nn.Conv2d(3, 1, 1)),
    "heads": maps.heads,
    "receptive_field": maps.receptive_field,
    "GlobalAVG_final": maps.global_average,
    "cam": maps.class_map,
    "function_classes": maps.function_classes,
    "plain_residual": residual.plain_and_residual,
    "Conv_Bn_Relu": lambda: residual.conv_bn_relu(ConvBNReLU(3, 16)),
    "id_block": lambda: residual.identity(identity_block(16)),
    "id_block_math": lambda: residual.identity_math(identity_block(16)),
    "proj_block": lambda: residual.projection(projection_block(16, 32)),
    "proj_block_math": lambda: residual.projection_math(projection_block(16, 32)),
    "Resnet_block": lambda: residual.resnet_stage(stage(3, 16, 32, stride=2, shortcut="B")),
    "resnet_archi": lambda: residual.resnet(cifar_net(20, "B")),
    "densenet_k_4": lambda: dense.densenet_growth(DenseBlock(4, 6, 4, bottleneck=False)),
    "dense_block_final": lambda: dense.dense_block(DenseBlock(4, 24, growth_rate=12)),
    "transition_block_final": lambda: dense.transition(Transition(72, 36)),
    "densenet_archi": lambda: dense.densenet_row(densenet(28, 12)),
    "densenet_final": lambda: dense.densenet_zoom(densenet(28, 12)),
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
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights
        return Diagram(PICTURES[one_of("picture", name, tuple(PICTURES))]())
