"""The networks of the course, the blocks that they are made of, and what they cost."""

from typing import NoReturn

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
from course_utils.models.convolutionalise import (
    convolutionalise,
    linear_to_conv,
    sliding_window,
)
from course_utils.models.counting import count_macs, count_parameters
from course_utils.models.densenet import (
    DenseBlock,
    DenseLayer,
    DenseNet,
    Transition,
    densenet,
)
from course_utils.models.design import (
    Composed,
    as_options,
    channel_trace,
    compose,
    design_depth,
    from_options,
)
from course_utils.models.digit_classifier import digit_classifier
from course_utils.models.efficientnet_lite import (
    EfficientNetLite0,
    InvertedResidual,
    efficientnet_lite0,
)
from course_utils.models.gap import GapNet, gap_net
from course_utils.models.inspection import Budget, Row, Summary, activation_memory, summary
from course_utils.models.nin import mlpconv, nin
from course_utils.models.receptive_field import cell_centres, receptive_field, receptive_fields
from course_utils.models.stages import StageSpec
from course_utils.moved import moved_name

__all__ = [
    "BottleneckBlock",
    "Budget",
    "CifarNet",
    "Composed",
    "ConvBNReLU",
    "DenseBlock",
    "DenseLayer",
    "DenseNet",
    "EfficientNetLite0",
    "GapNet",
    "InvertedResidual",
    "PadShortcut",
    "ResidualBlock",
    "Row",
    "StageSpec",
    "Summary",
    "Transition",
    "activation_memory",
    "as_options",
    "cell_centres",
    "channel_trace",
    "cifar_net",
    "compose",
    "convolutionalise",
    "count_macs",
    "count_parameters",
    "deepen",
    "densenet",
    "design_depth",
    "digit_classifier",
    "efficientnet_lite0",
    "from_options",
    "gap_net",
    "identity_block",
    "linear_to_conv",
    "mlpconv",
    "nin",
    "projection_block",
    "receptive_field",
    "receptive_fields",
    "sliding_window",
    "stage",
    "summary",
]

_STAGES = (
    *("bottleneck", "conv", "dense", "gap_head"),
    *("identity", "plain", "projection", "transition"),
)


def __getattr__(name: str) -> NoReturn:
    raise moved_name(__name__, name, dict.fromkeys(_STAGES, "course_utils.models.stages"))
