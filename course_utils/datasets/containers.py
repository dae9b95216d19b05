"""The one shape of every data set: splits of labelled images, with what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from course_utils.arguments import described
from course_utils.i18n import _, bracketed, number

__all__ = ["Dataset", "Split", "statistics"]


INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def _refuse(what: str, expected: str, found: str) -> ValueError:
    return ValueError(
        _("{what} should be {expected}, and is {found}.").format(
            what=what, expected=expected, found=found
        )
    )


def _check(
    what: str, tensor: object, types: Sequence[torch.dtype], shape: Sequence[int | str], said: str
) -> None:
    """Refuse what is not a tensor of one of the types and of the shape, whose letters are free."""
    if (
        not isinstance(tensor, Tensor)
        or tensor.dtype not in types
        or tensor.ndim != len(shape)
        or any(isinstance(n, int) and n != m for n, m in zip(shape, tensor.shape, strict=True))
        or 0 in tensor.shape[1:]
    ):
        raise _refuse(what, said, described(tensor))


def _broadcasts(tensor: Tensor, shape: Sequence[int]) -> bool:
    """Whether the tensor may be expanded to ``shape``."""
    sides = zip(reversed(tensor.shape), reversed(shape), strict=False)
    return tensor.ndim <= len(shape) and all(own in (1, wanted) for own, wanted in sides)


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images, with the statistics that normalise them.

    A model is fed ``(pixels - mean) / std``, where ``pixels`` are the images as float32 in
    [0, 1]: float images as they are, uint8 images divided by 255.

    Args:
        images: ``(N, C, H, W)``, float32 in [0, 1] or uint8 in 0..255; N is at least 1.
        labels: ``(N,)`` int64, the class of each image, counted from 0.
        mean: float32, broadcastable to ``(C, H, W)``, in the unit of pixels in [0, 1].
        std: float32, positive, as ``mean``.
        boxes: ``(N, D, 4)`` whole numbers x0, y0, x1, y1: the first and the last column and row,
            both inside the box, of each of the D objects of an image.
        box_labels: ``(N, D)`` int64, the class of each object; the first is the image's label.
        masks: ``(N, D, H, W)`` bool, the pixels of each object.

    Raises:
        ValueError: a tensor of the wrong type or shape, values out of range, or labels that
            contradict each other; the sentence names the tensor.

    Example:
        >>> split = Split(torch.zeros(5, 1, 8, 8), torch.arange(5), torch.zeros(1), torch.ones(1))
        >>> len(split), split.image_shape
        (5, (1, 8, 8))
        >>> split.subset([4, 0]).labels
        tensor([4, 0])
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    boxes: Tensor | None = None
    box_labels: Tensor | None = None
    masks: Tensor | None = None

    def __post_init__(self) -> None:
        self._check_images()
        self._check_labels()
        self._check_statistics()
        self._check_boxes()

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def subset(self, which: int | Sequence[int] | Tensor) -> Split:
        """A split of some of the images, normalised by the same statistics.

        Args:
            which: how many, from the first one on, or the images' indices, or a bool ``(N,)``.

        Returns:
            A split whose tensors share no memory with this one unless ``which`` is a number.

        Raises:
            ValueError: more images than there are, none, or an index out of range.
        """
        index = self._index(which)

        def chosen(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[index]

        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            boxes=chosen(self.boxes),
            box_labels=chosen(self.box_labels),
            masks=chosen(self.masks),
        )

    def normalised(self, images: Tensor | None = None) -> Tensor:
        """Images as a model takes them: ``(pixels - mean) / std``.

        ``plots.denormalised`` is the way back.

        Args:
            images: ``(..., C, H, W)`` uint8, or float in [0, 1]: some of this split's or others,
                on any device. All of this split's by default.

        Returns:
            The same shape, in float, on the images' device.

        Raises:
            ValueError: images of another type, or that the statistics do not fit.

        >>> split = Split(torch.rand(5, 1, 8, 8), torch.arange(5), torch.ones(1), torch.ones(1))
        >>> split.normalised().shape, float(split.normalised().max()) <= 0
        (torch.Size([5, 1, 8, 8]), True)
        """
        pixels = self.images if images is None else images
        if not isinstance(pixels, Tensor) or not (
            pixels.dtype == torch.uint8 or pixels.is_floating_point()
        ):
            raise _refuse("images", _("float or uint8 (…, C, H, W)"), described(pixels))
        if not (_broadcasts(self.mean, pixels.shape) and _broadcasts(self.std, pixels.shape)):
            expected = _("of a shape that fits the statistics {mean} and {std}").format(
                mean=tuple(self.mean.shape), std=tuple(self.std.shape)
            )
            raise _refuse("images", expected, described(pixels))
        if pixels.dtype == torch.uint8:
            pixels = pixels.float() / 255
        return (pixels - self.mean.to(pixels.device)) / self.std.to(pixels.device)

    def _index(self, which: int | Sequence[int] | Tensor) -> slice | Tensor:
        if isinstance(which, int) and not isinstance(which, bool):
            if not 1 <= which <= len(self):
                raise _refuse("subset", f"1..{len(self)}", str(which))
            return slice(which)
        index = torch.as_tensor(which, device=self.images.device)
        if index.dtype == torch.bool and index.shape == self.labels.shape:
            return index.nonzero().flatten()
        if index.dtype != torch.int64 or index.ndim != 1:
            raise _refuse("subset", _("a number, int64 (n,) or bool (N,)"), described(index))
        if len(index) and not (index.min() >= -len(self) and index.max() < len(self)):
            raise _refuse(
                "subset", f"0..{len(self) - 1}", f"{int(index.min())}..{int(index.max())}"
            )
        return index

    def _check_images(self) -> None:
        expected = _("float32 or uint8 (N, C, H, W)")
        images = self.images
        if isinstance(images, Tensor) and images.numel() == 0:
            raise _refuse("images", _("at least one image of at least one pixel"), str(len(images)))
        _check("images", images, (torch.float32, torch.uint8), "NCHW", expected)
        if images.dtype == torch.float32:
            low, high = (float(extreme) for extreme in torch.aminmax(images))
            if not (low >= 0 and high <= 1):  # written so that NaN fails too
                raise _refuse(
                    "images", _("float32 within [0, 1]"), bracketed(number(low, 6), number(high, 6))
                )

    def _check_labels(self) -> None:
        n = len(self)
        _check("labels", self.labels, (torch.int64,), (n,), f"int64 ({n},)")
        if self.labels.min() < 0:
            raise _refuse("labels", _("classes counted from 0"), str(int(self.labels.min())))

    def _check_statistics(self) -> None:
        for name, tensor in (("mean", self.mean), ("std", self.std)):
            if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
                raise _refuse(name, "float32", described(tensor))
            if not _broadcasts(tensor, self.image_shape):
                expected = _("broadcastable to {shape}").format(shape=self.image_shape)
                raise _refuse(name, expected, described(tensor))
            if not bool(tensor.isfinite().all()):
                raise _refuse(name, _("finite"), _("NaN or infinity"))
        if self.std.min() <= 0:
            raise _refuse("std", _("positive"), number(float(self.std.min()), 6))

    def _check_boxes(self) -> None:
        """Boxes, their labels and masks, each of the same number of objects an image."""
        n, (height, width) = len(self), self.images.shape[2:]
        objects: int | str = "D"
        if self.boxes is not None:
            _check("boxes", self.boxes, INTEGERS, (n, "D", 4), f"int64 ({n}, D, 4)")
            objects = self.boxes.shape[1]
            x0, y0, x1, y1 = self.boxes.unbind(-1)  # (N, D) each
            inside = (x0 >= 0) & (y0 >= 0) & (x0 <= x1) & (y0 <= y1) & (x1 < width) & (y1 < height)
            if not bool(inside.all()):
                expected = _("0 <= x0 <= x1 < {width} and 0 <= y0 <= y1 < {height}").format(
                    width=width, height=height
                )
                raise _refuse("boxes", expected, str(self.boxes[~inside][0].tolist()))
        if (labels := self.box_labels) is not None:
            _check("box_labels", labels, (torch.int64,), (n, objects), f"int64 ({n}, {objects})")
            if not torch.equal(labels[:, 0], self.labels):
                first = int((labels[:, 0] != self.labels).nonzero()[0])
                raise _refuse(
                    f"box_labels[{first}, 0]",
                    f"labels[{first}] = {int(self.labels[first])}",
                    str(int(labels[first, 0])),
                )
        if self.masks is not None:
            shape = (n, objects, height, width)
            said = f"bool ({n}, {objects}, {height}, {width})"
            _check("masks", self.masks, (torch.bool,), shape, said)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split of images of the same shape and the same classes.

    Args:
        train: what a model learns from; its statistics normalise every split.
        test: what a model is judged on, once it is chosen.
        classes: the name of each class, in the order of the labels.
        source: where the images come from, for records: English, whatever the language.
        name: the name that ``load`` knows it by, or a name of your own.
        validation: what choices are made by, where there are any to make.

    Raises:
        TypeError: a split is not a ``Split``, or ``classes`` are not strings.
        ValueError: the splits' images differ in shape, or a label has no class.

    Example:
        >>> images, labels = torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 0, 1, 0, 1])
        >>> mean, std = statistics(images)
        >>> split = Split(images, labels, mean, std)
        >>> own = Dataset(split.subset(4), split.subset([4, 5]), ("cat", "dog"))
        >>> own.image_shape, len(own.train), len(own.test)
        ((1, 8, 8), 4, 2)
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    source: str = "tensors given by the caller"
    name: str = "own"
    validation: Split | None = None

    @property
    def credit(self) -> str:
        """Whose images these are, shortly and in the reader's language; see ``source``."""
        credits = {
            "digits": _("scikit-learn's handwritten digits (UCI)"),
            "digit_scenes": _("scenes made of scikit-learn's handwritten digits (UCI)"),
            "cifar10": "CIFAR-10 (Krizhevsky, 2009)",
            "fashion_mnist": "Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017)",
            "folder": _("your own images"),
        }
        return credits.get(self.name, self.source)

    @property
    def splits(self) -> dict[str, Split]:
        """Those there are, by name."""
        chosen_by = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, "test": self.test, **chosen_by}

    def __post_init__(self) -> None:
        for side, split in self.splits.items():
            if not isinstance(split, Split):
                raise TypeError(
                    _("{side} must be a course_utils.datasets.Split, not {found}.").format(
                        side=side, found=type(split).__name__
                    )
                )
        if isinstance(self.classes, str) or not all(isinstance(c, str) for c in self.classes):
            raise TypeError(
                _("classes must be a tuple with one name per class, and is {found!r}.").format(
                    found=self.classes
                )
            )
        object.__setattr__(self, "classes", tuple(self.classes))  # a list is welcome
        for side, split in self.splits.items():
            if split.image_shape != self.image_shape:
                raise _refuse(f"{side}.images", str(self.image_shape), str(split.image_shape))
            known = split.labels if split.box_labels is None else split.box_labels
            if int(known.max()) >= len(self.classes):
                raise _refuse(
                    f"{side}.labels",
                    _("below {count}, the number of classes").format(count=len(self.classes)),
                    str(int(known.max())),
                )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image of every split."""
        return self.train.image_shape


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, over all images and all pixels.

    Args:
        images: ``(N, C, H, W)``, float32 in [0, 1] or uint8 (divided by 255 here).

    Returns:
        ``mean`` and ``std`` (of the population, not the sample), each ``(C, 1, 1)`` float32.

    Example:
        >>> chequers = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8)
        >>> mean, std = statistics(chequers.view(1, 1, 2, 2))
        >>> float(mean), float(std)
        (0.5, 0.5)
    """
    moments = [_moments(images[:, channel]) for channel in range(images.shape[1])]
    mean, std = torch.tensor(moments, dtype=torch.float32).unbind(1)
    return mean.view(-1, 1, 1), std.view(-1, 1, 1)


def _moments(pixels: Tensor) -> tuple[float, float]:
    if pixels.dtype != torch.uint8:
        values = pixels.to("cpu", torch.float64)  # float32 would lose digits over a whole set
        return float(values.mean()), float(values.std(correction=0))
    # 256 levels: their counts give exact sums without a float copy of the set.
    counts = torch.bincount(pixels.flatten(), minlength=256).to("cpu", torch.float64)
    share, level = counts / counts.sum(), torch.arange(256, dtype=torch.float64) / 255
    mean = float((share * level).sum())
    return mean, float((share * (level - mean) ** 2).sum().sqrt())
