"""The networks of the course, the blocks that they are made of, and what they cost."""

from course_utils.models.blocks import (
    BottleneckBlock,
    ConvBNReLU,
    PadShortcut,
    ResidualBlock,
    identity_block,
    projection_block,
    stage,
)
from course_utils.models.cifar import CifarNet, cifar_net, deepen
from course_utils.models.counting import count_macs, count_parameters
from course_utils.models.densenet import (
    DenseBlock,
    DenseLayer,
    DenseNet,
    Transition,
    densenet,
)
from course_utils.models.gap import GapNet, gap_net

__all__ = [
    "BottleneckBlock",
    "CifarNet",
    "ConvBNReLU",
    "DenseBlock",
    "DenseLayer",
    "DenseNet",
    "GapNet",
    "PadShortcut",
    "ResidualBlock",
    "Transition",
    "cifar_net",
    "count_macs",
    "count_parameters",
    "deepen",
    "densenet",
    "gap_net",
    "identity_block",
    "projection_block",
    "stage",
]
