"""The plain and residual CIFAR nets: one class, the same net but for the additions."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from course_utils.arguments import one_of, whole_number
from course_utils.i18n import _
from course_utils.models.blocks import (
    ConvBNReLU,
    PaddingMode,
    ResidualBlock,
    Shortcut,
    he_initialised,
    stage,
)

Start = Literal["he", "dirac", "deepened", "zero_residual"]

__all__ = ["CifarNet", "blocks_per_stage", "cifar_net", "deepen"]


def blocks_per_stage(depth: int) -> int:
    """``n`` of a net of depth ``6n + 2``: three stages of ``n`` blocks of two convolutions.

    Raises:
        ValueError: ``depth`` is not of that form.
        TypeError: ``depth`` is not a whole number.

    >>> blocks_per_stage(56)
    9
    """
    depth = whole_number("depth", depth, at_least=1)
    if depth < 8 or (depth - 2) % 6:
        lower = max(8, 6 * ((depth - 2) // 6) + 2)
        raise ValueError(
            _(
                "There is no network of depth {depth}: a depth is 6n+2 (8, 14, 20, 26, 32 …), and "
                "the nearest are {lower} and {upper}."
            ).format(depth=depth, lower=lower, upper=lower + 6)
        )
    return (depth - 2) // 6


class CifarNet(nn.Module):
    """Stem, three stages, global average pooling, one linear layer. See :func:`cifar_net`."""

    def __init__(
        self,
        depth: int,
        shortcut: Shortcut = None,
        width: int = 16,
        in_channels: int = 3,
        num_classes: int = 10,
        slope: float = 0.0,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__()
        n = blocks_per_stage(depth)
        width = whole_number("width", width, at_least=1)
        in_channels = whole_number("in_channels", in_channels, at_least=1)
        num_classes = whole_number("num_classes", num_classes, at_least=1)
        self.depth = depth
        kind = (slope, padding_mode)
        with he_initialised(self):
            self.stem = ConvBNReLU(in_channels, width, 3, 1, *kind)
            self.stages = nn.Sequential(
                stage(n, width, width, 1, shortcut, *kind),
                stage(n, width, 2 * width, 2, shortcut, *kind),
                stage(n, 2 * width, 4 * width, 2, shortcut, *kind),
            )
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.linear = nn.Linear(4 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, in_channels, H, W)`` to logits ``(B, num_classes)``; any H, W ≥ 1."""
        x = self.stem(x)  # (B, width, H, W)
        x = self.stages(x)  # (B, 4·width, H/4, W/4)
        x = self.pool(x).flatten(1)  # (B, 4·width)
        return self.linear(x)  # (B, num_classes)


def cifar_net(
    depth: int,
    shortcut: Shortcut = None,
    width: int = 16,
    in_channels: int = 3,
    num_classes: int = 10,
    slope: float = 0.0,
    padding_mode: PaddingMode = "zeros",
    start: Start = "he",
) -> CifarNet:
    """The CIFAR-10 net of the ResNet paper, plain or residual.

    A 3×3 stem, three stages of ``n`` two-layer blocks at ``width``, ``2·width`` and ``4·width``
    maps, the size halved at the start of stages 2 and 3, global average pooling and one linear
    layer: ``6n + 2`` weight layers.

    Args:
        depth: ``6n + 2``: 8, 14, 20, 32, 44, 56, 110 …
        shortcut: ``None`` for the plain net, ``"A"`` or ``"B"`` for the paper's options. With
            one seed all three have the same weights in the layers that they share.
        width: number of maps of the first stage (16 in the paper).
        in_channels: 3 for colour, 1 for grey.
        num_classes: length of the answer.
        slope: of the activations below zero: 0 for ReLU, more for leaky ReLU.
        padding_mode: what the convolutions see outside the maps, as in ``nn.Conv2d``.
        start: the initial weights. ``"he"`` for those of :func:`~.blocks.initialise`; ``"dirac"``
            for half of those, and a copy of what a convolution reads, in the blocks; ``"deepened"``
            for those of the net of depth 8, its other blocks copying (see :func:`deepen`; plain
            nets only); ``"zero_residual"`` for residuals that begin at zero (nets with shortcuts
            only).

    Returns:
        A module from images ``(B, in_channels, H, W)`` to logits ``(B, num_classes)``.

    Raises:
        ValueError: a depth that is not ``6n + 2``, an unknown shortcut, a number below 1, a
            ``start`` that the net cannot have.
        TypeError: a depth or another number that is not whole.

    Source: He et al. 2015, arXiv 1512.03385, section 4.2.

    >>> cifar_net(20, shortcut="A")(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    one_of("start", start, get_args(Start))
    if start == "deepened":
        shallow = CifarNet(8, shortcut, width, in_channels, num_classes, slope, padding_mode)
        return deepen(shallow, depth)
    net = CifarNet(depth, shortcut, width, in_channels, num_classes, slope, padding_mode)
    if start == "dirac":
        _add_dirac(net)
    elif start == "zero_residual":
        _zero_residuals(net)
    return net


@torch.no_grad()
def _add_dirac(net: CifarNet) -> None:
    """Start each block's convolutions from half their noise and a copy of what they read."""
    for convolution in (m for m in net.stages.modules() if isinstance(m, nn.Conv2d)):
        if convolution.kernel_size == (3, 3):
            copying = nn.init.dirac_(torch.empty_like(convolution.weight))
            convolution.weight.mul_(0.5).add_(copying)


@torch.no_grad()
def _zero_residuals(net: CifarNet) -> None:
    """Start each block with a residual of zero: the weight of its last BN is 0."""
    for block in (m for m in net.stages.modules() if isinstance(m, ResidualBlock)):
        if block.shortcut is None:
            raise ValueError(
                _("A plain block whose residual is zero outputs zero: give the network shortcuts.")
            )
        norm = [module for module in block.body.modules() if isinstance(module, nn.BatchNorm2d)][-1]
        norm.weight.zero_()


@torch.no_grad()
def _become_identity(block: nn.Module) -> None:
    """Set a *plain* block so that it gives back any non-negative input, in eval mode."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)  # 1 at the centre, each map to itself
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()  # mean 0, variance 1
            module.weight.fill_((1 + module.eps) ** 0.5)  # BN divides by sqrt(1 + eps)
            module.bias.zero_()


def deepen(model: CifarNet, depth: int) -> CifarNet:
    """The same function, deeper: a trained *plain* net with identity layers added to its stages.

    The blocks added are set to give back their input, so the new net answers as the old one in
    eval mode, whatever the image. It shows that the deeper class contains the shallower one.

    Args:
        model: a plain net (``shortcut=None``).
        depth: the new depth, ``6n + 2``, not smaller than the model's.

    Returns:
        A new net; ``model`` is left as it was.

    Raises:
        ValueError: ``model`` is not plain, or ``depth`` is smaller or not ``6n + 2``.

    Source: the construction is the one that section 1 of He et al. 2015 argues with.

    >>> shallow = cifar_net(8, in_channels=1).eval()
    >>> x = torch.rand(2, 1, 16, 16)
    >>> torch.allclose(deepen(shallow, 20).eval()(x), shallow(x), atol=1e-5)
    True
    """
    blocks = [block for block in model.modules() if isinstance(block, ResidualBlock)]
    if any(block.shortcut is not None or block.slope for block in blocks):
        raise ValueError(
            _(
                "Only a plain network (shortcut=None) with ReLUs can be deepened with identity "
                "layers, since these copy what is not negative."
            )
        )
    added = blocks_per_stage(depth) - blocks_per_stage(model.depth)
    if added < 0:
        raise ValueError(
            _(
                "A network of depth {old} cannot be deepened to {new}: ask for a depth of {old} or "
                "more."
            ).format(old=model.depth, new=depth)
        )
    convolution = model.stem[0]
    assert isinstance(convolution, nn.Conv2d)  # a stem is conv, BN, ReLU
    deeper = CifarNet(
        depth,
        None,
        convolution.out_channels,
        convolution.in_channels,
        model.linear.out_features,
        padding_mode=convolution.padding_mode,
    ).to(convolution.weight)
    deeper.load_state_dict(model.state_dict(), strict=False)  # the first blocks of every stage
    for new_stage in deeper.stages:
        for block in list(new_stage.children())[blocks_per_stage(model.depth) :]:
            _become_identity(block)
    return deeper.train(model.training)
