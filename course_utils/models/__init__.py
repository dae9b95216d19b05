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
from course_utils.models.composing import (
    Composed,
    StageSpec,
    as_options,
    bottleneck,
    channel_trace,
    compose,
    conv,
    dense,
    design_depth,
    from_options,
    gap_head,
    identity,
    plain,
    projection,
    transition,
)
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
from course_utils.models.digit_classifier import digit_classifier
from course_utils.models.gap import GapNet, gap_net
from course_utils.models.inspection import Budget, Row, Summary, activation_memory, summary
from course_utils.models.nin import mlpconv, nin
from course_utils.models.receptive_field import receptive_field, receptive_fields

__all__ = [
    "BottleneckBlock",
    "Budget",
    "CifarNet",
    "Composed",
    "ConvBNReLU",
    "DenseBlock",
    "DenseLayer",
    "DenseNet",
    "GapNet",
    "PadShortcut",
    "ResidualBlock",
    "Row",
    "StageSpec",
    "Summary",
    "Transition",
    "activation_memory",
    "as_options",
    "bottleneck",
    "channel_trace",
    "cifar_net",
    "compose",
    "conv",
    "convolutionalise",
    "count_macs",
    "count_parameters",
    "deepen",
    "dense",
    "densenet",
    "design_depth",
    "digit_classifier",
    "from_options",
    "gap_head",
    "gap_net",
    "identity",
    "identity_block",
    "linear_to_conv",
    "mlpconv",
    "nin",
    "plain",
    "projection",
    "projection_block",
    "receptive_field",
    "receptive_fields",
    "sliding_window",
    "stage",
    "summary",
    "transition",
]
