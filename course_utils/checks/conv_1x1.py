"""Checkers for the exercises of lesson 1: counting heads, 1×1 convolutions, dense layers, NIN."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.answers import Wrong, require_answers, require_function
from course_utils.checks.equivalence import Mistake, require_differentiable, require_equal, run
from course_utils.checks.feedback import (
    Feedback,
    build,
    checker,
    correct,
    is_blank,
    kind_of,
    reject,
    unfilled,
)
from course_utils.i18n import _
from course_utils.models.convolutionalise import linear_to_conv
from course_utils.models.nin import mlpconv

__all__ = [
    "check_conv_1x1",
    "check_fold",
    "check_head_parameters",
    "check_linear_to_conv",
    "check_nin_block",
    "check_window_of",
]

Pair = tuple[Tensor, Tensor]
Layers = Sequence[int]


# --- 1. parameters of two heads ---------------------------------------------------------------


@checker
def check_head_parameters(function: object) -> Feedback:
    """Check ``head_parameters(maps, side, hidden, classes)``: those of a dense head and of GAP's.

    >>> def head_parameters(maps, side, hidden, classes):
    ...     dense = maps * side**2 * hidden + hidden + hidden**2 + hidden + hidden * classes
    ...     return dense + classes, maps * classes + classes
    >>> print(check_head_parameters(head_parameters).verdict)
    Correct
    """

    def count(
        maps: int, side: int, hidden: int, classes: int, *, bias: int = 1, middle: int = 1
    ) -> tuple[int, int]:
        def layer(features: int, units: int) -> int:
            return (features + bias) * units

        dense = layer(maps * side * side, hidden) + middle * layer(hidden, hidden)
        return dense + layer(hidden, classes), layer(maps, classes)

    def from_flat(maps: int, side: int, hidden: int, classes: int) -> tuple[int, int]:
        dense, _gap = count(maps, side, hidden, classes)
        return dense, (maps * side * side + 1) * classes

    layers = _("A linear layer of n features and m units has n·m weights and m biases.")
    require_answers(
        function,
        "head_parameters",
        [(512, 7, 4096, 1000), (64, 8, 256, 10)],
        count,
        [
            Wrong(
                lambda *sizes: count(*sizes, bias=0),
                _("the biases are missing: one a unit, in every layer."),
                layers,
            ),
            Wrong(
                lambda *sizes: count(*sizes, middle=0),
                _("the second hidden layer, from `hidden` units to `hidden` units, is missing."),
            ),
            Wrong(
                lambda maps, side, hidden, classes: count(maps, 1, hidden, classes),
                _("the dense head sees only one number a map; flattened, a map has side × side."),
                layers,
            ),
            Wrong(
                lambda maps, side, hidden, classes: (
                    count(maps, 1, hidden, classes)[0] + maps * (side - 1) * hidden,
                    count(maps, 1, hidden, classes)[1],
                ),
                _("a map has `side` rows *and* `side` columns: side × side numbers."),
                layers,
            ),
            Wrong(
                from_flat,
                _("the second head still sees every position; after GAP one number a map is left."),
                _("GAP has no parameter, and hands on as many features as there are maps."),
            ),
            Wrong(
                lambda *sizes: count(*sizes)[::-1],
                _("the two numbers are swapped: the dense head comes first."),
            ),
        ],
        layers,
    )
    return correct(
        _("for VGG's head, {dense:,} parameters against {gap:,}.").format(
            dense=count(512, 7, 4096, 1000)[0], gap=count(512, 7, 4096, 1000)[1]
        )
    )


# --- 2. a 1×1 convolution by hand -------------------------------------------------------------


@checker
def check_conv_1x1(function: object) -> Feedback:
    """Check ``conv_1x1(x, weight, bias)``: ``(B, C, H, W)`` to ``(B, O, H, W)``, weight (O, C).

    >>> def conv_1x1(x, weight, bias):
    ...     return torch.einsum("oc,bchw->bohw", weight, x) + bias[:, None, None]
    >>> print(check_conv_1x1(conv_1x1).verdict)
    Correct
    """
    name = "conv_1x1"

    def case(batch: int, channels: int, out: int, height: int, width: int) -> tuple[Tensor, ...]:
        shapes = ((batch, channels, height, width), (out, channels), (out,))
        return tuple(torch.randn(shape, dtype=torch.float64) for shape in shapes)

    def pixelwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.linear(x.movedim(1, -1), weight, bias)  # (B, H, W, O)

    def misread(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        mixed = F.linear(x.reshape(batch, height, width, channels), weight, bias)
        return mixed.reshape(batch, len(weight), height, width)

    def miswritten(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        mixed = pixelwise(x, weight, bias)
        return mixed.reshape(len(x), len(weight), *x.shape[2:])

    pixel = _("At each position: `weight @ x[b, :, i, j] + bias`, a vector of O numbers.")
    order = _(
        "`reshape` and `view` cut the same row of numbers in another way; `permute` and `movedim` "
        "move a dimension."
    )
    mistakes = [
        Wrong(
            lambda x, w, b: _conv(x, w, torch.zeros_like(b)),
            _("the bias is missing."),
            _("One number an output map, added at every position: `bias[:, None, None]`."),
        ),
        Wrong(
            lambda x, w, b: _conv(x, w.T, b),
            _("the weight is transposed: its rows are the output maps, its columns the input's."),
            pixel,
        ),
        Wrong(
            pixelwise,
            _("the values are right, but the channels come last: (B, H, W, O)."),
            order,
        ),
        Wrong(misread, _("the channels are read with `reshape`, which mixes up positions."), order),
        Wrong(
            miswritten, _("the channels come back with `reshape`, which mixes up positions."), order
        ),
        Wrong(
            lambda x, w, b: _conv(x, w / w.shape[1], b),
            _("the sum over the channels is divided by their number; it should be a sum."),
            pixel,
        ),
        Wrong(
            lambda x, w, b: _conv(x, w, b).relu(),
            _("a ReLU follows; the 1×1 convolution itself is linear."),
        ),
        Wrong(
            lambda x, w, b: _conv(x, w, b).mean((2, 3)),
            _("the positions are averaged away; each keeps its own answer."),
            pixel,
        ),
    ]
    # With as many maps out as in, a transposed weight fits too, and can be told apart.
    square = [case(2, 4, 4, 5, 3), case(1, 6, 6, 2, 7)]
    require_answers(function, name, square, _conv, mistakes, pixel)
    require_answers(function, name, [case(3, 5, 2, 4, 6)], _conv, mistakes, pixel)
    x, weight, bias = case(2, 3, 4, 5, 6)
    answer = run(
        lambda x: require_function(function, name)(x, weight, bias), x.requires_grad_(), name
    )
    require_differentiable(answer, name)
    return correct(_("equal to torch's own, at every pixel."))


def _conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x, weight[:, :, None, None], bias)


# --- 3. two in a row are one ------------------------------------------------------------------


@checker
def check_fold(function: object) -> Feedback:
    """Check ``fold(weight1, bias1, weight2, bias2)``: the weight and bias of the two in a row.

    >>> def fold(weight1, bias1, weight2, bias2):
    ...     return weight2 @ weight1, weight2 @ bias1 + bias2
    >>> print(check_fold(fold).verdict)
    Correct
    """
    name = "fold"

    def case(maps: int, between: int, out: int) -> tuple[Tensor, ...]:
        shapes = ((between, maps), (between,), (out, between), (out,))
        return tuple(torch.randn(shape, dtype=torch.float64) for shape in shapes)

    def folded(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Pair:
        return w2 @ w1, w2 @ b1 + b2

    def answer(*tensors: Tensor) -> object:
        pair = require_function(function, name)(*tensors)
        if is_blank(pair):
            unfilled(name)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            reject(
                _("`{name}` should give back two tensors, a weight and a bias.").format(name=name),
                _("It gives a value of type `{kind}`.").format(kind=kind_of(pair)),
            )
        for part, wanted, what in zip(pair, folded(*tensors), ("weight", "bias"), strict=True):
            if not isinstance(part, Tensor):
                reject(
                    _("`{name}` gives a `{kind}` as {what}; a tensor is expected.").format(
                        name=name, kind=kind_of(part), what=what
                    )
                )
            if part.shape != wanted.shape:
                reject(
                    _("`{name}` gives a {what} of shape {given}; {wanted} is expected.").format(
                        name=name, what=what, given=tuple(part.shape), wanted=tuple(wanted.shape)
                    ),
                    _("The first maps `x` to `weight1 @ x + bias1`: put that into the second."),
                )
        return _packed((pair[0], pair[1]))

    def wrong(pair: Callable[..., Pair], message: str, hint: str | None = None) -> Wrong:
        return Wrong(lambda *tensors: _packed(pair(*tensors)), message, hint)

    algebra = _("Expand `weight2 @ (weight1 @ x + bias1) + bias2`.")
    mistakes = [
        wrong(
            lambda w1, b1, w2, b2: (w1 @ w2, w2 @ b1 + b2),
            _("the weights are multiplied in the wrong order: the second acts last."),
            algebra,
        ),
        wrong(
            lambda w1, b1, w2, b2: (w1 @ w2, w1 @ b2 + b1),
            _("the two convolutions are folded in the wrong order: the second acts last."),
            algebra,
        ),
        wrong(
            lambda w1, b1, w2, b2: (w2 @ w1, b2),
            _("the first bias is forgotten: it goes through the second convolution."),
            algebra,
        ),
        wrong(
            lambda w1, b1, w2, b2: (w2 @ w1, b1 + b2),
            _("the biases are added as they are; the first goes through the second weight."),
            algebra,
        ),
        wrong(
            lambda w1, b1, w2, b2: (w2 @ w1, w2 @ b1),
            _("the second bias is forgotten."),
            algebra,
        ),
        wrong(
            lambda w1, b1, w2, b2: (w2 + w1, b1 + b2),
            _("weights and biases are added; applying one after the other is no sum."),
            algebra,
        ),
        wrong(
            lambda w1, b1, w2, b2: (w2 * w1, w2 @ b1 + b2),
            _("the weights are multiplied number by number (`*`); a matrix product is needed."),
            _("In Python the matrix product is `@`."),
        ),
    ]
    require_function(function, name)
    # With equal sizes a product in the wrong order fits too, and can be told apart.
    for cases in ([case(4, 4, 4), case(3, 3, 3)], [case(3, 5, 2)]):
        require_answers(
            answer, name, cases, lambda *tensors: _packed(folded(*tensors)), mistakes, algebra
        )
    return correct(_("one convolution, which answers like the two in a row."))


def _packed(pair: Pair) -> Tensor:
    return torch.cat([part.flatten() for part in pair])


# --- 4. a dense layer as a convolution --------------------------------------------------------


@checker
def check_linear_to_conv(function: object) -> Feedback:
    """Check ``linear_to_conv(linear, channels, height, width)``: the convolution equal to it.

    >>> print(check_linear_to_conv(linear_to_conv).verdict)
    Correct
    """
    name = "linear_to_conv"
    for sizes in ((3, 4, 5), (6, 1, 1)):
        channels, height, width = sizes
        label = f"{name}(linear, {channels}, {height}, {width})"
        linear = nn.Linear(channels * height * width, 7).double()
        state = {key: value.clone() for key, value in linear.state_dict().items()}
        conv = build(function, name, linear, *sizes)
        if any(not torch.equal(value, state[key]) for key, value in linear.state_dict().items()):
            reject(_("`{label}` changes the weights of the linear layer.").format(label=label))
        _require_conv(conv, label, *sizes)
        assert isinstance(conv, nn.Conv2d)
        _require_weights(conv, linear, label, sizes)
        x = torch.randn(2, channels, height, width, dtype=torch.float64)
        if not torch.allclose(conv(x).flatten(1), linear(x.flatten(1))):
            reject(
                _("`{label}` has the right weights, but another answer.").format(label=label),
                _("A plain `nn.Conv2d` is enough, whose `forward` is torch's own."),
            )
    return correct(_("weight for weight the linear layer, and free of the image's size."))


def _require_conv(conv: nn.Module, label: str, channels: int, height: int, width: int) -> None:
    if not isinstance(conv, nn.Conv2d):
        reject(
            _("`{label}` gives a `{kind}`; an `nn.Conv2d` is expected.").format(
                label=label, kind=kind_of(conv)
            )
        )
    if conv.kernel_size != (height, width):
        kernel = "×".join(map(str, conv.kernel_size))
        reject(
            _("`{label}` has a kernel of {kernel}; {wanted} is expected.").format(
                label=label, kernel=kernel, wanted=f"{height}×{width}"
            ),
            _("The kernel that sees the whole map once has the map's height and width.")
            if conv.kernel_size != (width, height)
            else _("`kernel_size` is (height, width), in this order."),
        )
    if (conv.in_channels, conv.out_channels) != (channels, 7):
        reject(
            _("`{label}` goes from {given} channels to {out}; from {wanted} to {units}.").format(
                label=label,
                given=conv.in_channels,
                out=conv.out_channels,
                wanted=channels,
                units=7,
            ),
            _("Maps come in, and one map a unit of the linear layer goes out."),
        )
    if conv.padding not in ((0, 0), "valid"):
        reject(
            _("`{label}` pads its input; then it answers at more than one position.").format(
                label=label
            )
        )
    if conv.stride != (1, 1):
        stride = "×".join(map(str, conv.stride))
        reject(
            _("`{label}` has a stride of {stride}: on a larger map it would skip places.").format(
                label=label, stride=stride
            )
        )
    if conv.bias is None:
        reject(_("`{label}` has no bias, and the linear layer has one.").format(label=label))


def _require_weights(
    conv: nn.Conv2d, linear: nn.Linear, label: str, sizes: tuple[int, int, int]
) -> None:
    channels, height, width = sizes
    wanted = linear_to_conv(linear, channels, height, width).weight
    matrix = linear.weight

    def order(*dimensions: int) -> Tensor:
        """The matrix read in another order of (channels, height, width), then put in this one."""
        read = matrix.view(len(matrix), *(sizes[d] for d in dimensions))
        return read.permute(0, *(1 + dimensions.index(d) for d in range(3)))

    if not torch.allclose(conv.weight, wanted):
        for other in ((1, 2, 0), (0, 2, 1), (2, 1, 0), (1, 0, 2), (2, 0, 1)):
            if torch.allclose(conv.weight, order(*other)):
                names = ("channels", "height", "width")
                reject(
                    _(
                        "`{label}` reads the rows of the matrix in the order ({given}); "
                        "`nn.Flatten` lays out (channels, height, width)."
                    ).format(label=label, given=", ".join(names[d] for d in other)),
                    _("Each row of `linear.weight` is one flattened (C, H, W) block."),
                )
        reject(
            _("`{label}` does not have the weights of the linear layer.").format(label=label),
            _("Copy them under `torch.no_grad()`: `conv.weight.copy_(…)`."),
        )
    assert conv.bias is not None
    if not torch.allclose(conv.bias, linear.bias):
        reject(
            _("`{label}` has the weights, but not the bias of the linear layer.").format(
                label=label
            ),
            _("Copy it as well: it has the same shape in both layers."),
        )


# --- 5. a block of NIN ------------------------------------------------------------------------


@checker
def check_nin_block(function: object) -> Feedback:
    """Check ``nin_block(in_channels, out_channels, kernel_size, last_relu=True)``.

    >>> def nin_block(in_channels, out_channels, kernel_size, last_relu=True):
    ...     return mlpconv(in_channels, 3 * (out_channels,), kernel_size, last_relu=last_relu)
    >>> print(check_nin_block(nin_block).verdict)
    Correct
    """
    name = "nin_block"
    for kernel, options in ((5, {}), (3, {}), (3, {"last_relu": False})):
        written = "".join(f", {key}={value}" for key, value in options.items())
        label = f"{name}(3, 6, {kernel}{written})"
        block = build(function, name, 3, 6, kernel, **options)
        for inner, layer in block.named_modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is None:
                reject(
                    _("`{label}` – the convolution `{inner}` has no bias.").format(
                        label=label, inner=inner
                    ),
                    _("No batch normalisation follows here: the bias is useful."),
                )
        last = options.get("last_relu", True)

        def reference(kernel: int = kernel, last: bool = last) -> nn.Sequential:
            return mlpconv(3, (6, 6, 6), kernel, last_relu=last)

        require_equal(
            block,
            reference(),
            torch.randn(2, 3, 8, 8, dtype=torch.float64),
            label,
            _nin_mistakes(reference, last),
        )
    return correct(_("a convolution, two 1×1, and a ReLU after each unless you say otherwise."))


def _nin_mistakes(make: Callable[[], nn.Sequential], last: bool) -> list[Mistake]:
    def kept(*places: int) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(*(make()[place] for place in places))

    linear = _("Without a ReLU between them, two convolutions in a row fold into one.")
    mistakes = [
        Mistake(kept(0, 2, 4), _("there is no ReLU at all."), linear),
        Mistake(
            kept(0, 1, 2, 4) if not last else kept(0, 1, 2, 4, 5),
            _("there is no ReLU between the two 1×1 convolutions."),
            linear,
        ),
        Mistake(
            kept(0, 2, 3, 4) if not last else kept(0, 2, 3, 4, 5),
            _("there is no ReLU after the first convolution."),
            linear,
        ),
        Mistake(
            kept(0, 2, 4, 5) if last else kept(0, 2, 4),
            _("there are no ReLUs between the convolutions."),
            linear,
        ),
    ]
    if last:
        mistakes.append(Mistake(kept(0, 1, 2, 3, 4), _("the last ReLU is missing.")))
    else:
        mistakes.append(
            Mistake(
                lambda: nn.Sequential(make(), nn.ReLU()),
                _("a ReLU ends the block although `last_relu=False` asks for none."),
            )
        )
    return mistakes


# --- 6. which window a position looks at ------------------------------------------------------


@checker
def check_window_of(function: object) -> Feedback:
    """Check ``window_of(row, column, kernels, strides)``: first and last pixel, top left first.

    >>> def window_of(row, column, kernels, strides):
    ...     side, jump = 1, 1
    ...     for kernel, stride in zip(kernels, strides):
    ...         side, jump = side + (kernel - 1) * jump, jump * stride
    ...     top, left = row * jump, column * jump
    ...     return top, left, top + side - 1, left + side - 1
    >>> print(check_window_of(window_of).verdict)
    Correct
    """

    def reach(kernels: Layers, strides: Layers, *, early: bool = False) -> tuple[int, int]:
        """The window's side, and the pixels from one position to the next."""
        side = jump = 1
        for kernel, stride in zip(kernels, strides, strict=True):
            if early:
                jump *= stride
            side += (kernel - 1) * jump
            if not early:
                jump *= stride
        return side, jump

    def window(row: int, column: int, side: int, jump: int, end: int = 1) -> tuple[int, ...]:
        top, left = row * jump, column * jump
        return top, left, top + side - end, left + side - end

    def right(row: int, column: int, kernels: Layers, strides: Layers) -> tuple[int, ...]:
        return window(row, column, *reach(kernels, strides))

    def side_without_strides(row: int, column: int, kernels: Layers, strides: Layers) -> object:
        side, _jump = reach(kernels, [1] * len(strides))
        return window(row, column, side, reach(kernels, strides)[1])

    def sum_of_kernels(row: int, column: int, kernels: Layers, strides: Layers) -> object:
        return window(row, column, sum(kernels), reach(kernels, strides)[1])

    def sum_of_strides(row: int, column: int, kernels: Layers, strides: Layers) -> object:
        return window(row, column, reach(kernels, strides)[0], sum(strides))

    rule = _(
        "A step in a layer's output is `stride` steps in its input: follow the step, and the side, "
        "layer by layer from the image on."
    )
    require_answers(
        function,
        "window_of",
        [
            (3, 5, (5, 2, 3, 6), (1, 2, 1, 1)),
            (0, 2, (3, 3, 2, 3), (2, 1, 2, 1)),
            (4, 1, (7, 3, 3), (2, 2, 2)),
        ],
        right,
        [
            Wrong(
                lambda row, column, k, s: window(row, column, *reach(k, s), end=0),
                _("the last pixel is one too far: the last one *inside* is asked for."),
                _("From 0, a window of 20 pixels ends at pixel 19."),
            ),
            Wrong(
                lambda row, column, k, s: right(column, row, k, s),
                _("rows and columns are swapped: top, left, bottom, right."),
            ),
            Wrong(
                lambda row, column, k, s: window(row, column, reach(k, s)[0], 1),
                _("the window moves by one pixel a position, whatever the strides."),
                rule,
            ),
            Wrong(
                sum_of_strides,
                _("the strides are added; they multiply."),
                rule,
            ),
            Wrong(
                side_without_strides,
                _("the side of the window takes no account of the strides."),
                rule,
            ),
            Wrong(
                sum_of_kernels,
                _("the side of the window is the sum of the kernels."),
                rule,
            ),
            Wrong(
                lambda row, column, k, s: window(row, column, *reach(k, s, early=True)),
                _("a layer's own stride comes in too early: its kernel still steps on its input."),
                rule,
            ),
            Wrong(
                lambda row, column, k, s: (
                    *window(row, column, *reach(k, s))[:2],
                    reach(k, s)[0],
                    reach(k, s)[0],
                ),
                _("the last two numbers are the sides of the window, not its last row and column."),
            ),
        ],
        rule,
    )
    return correct(_("the product of the strides moves the window, and every layer widens it."))
