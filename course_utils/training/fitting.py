"""Train a classifier in place: epochs of seeded batches, measured when asked."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from course_utils.arguments import flag, one_of, whole_number
from course_utils.datasets import Dataset, Split
from course_utils.i18n import _
from course_utils.inference import evaluating, kept_random_state
from course_utils.training import measuring
from course_utils.training.augmentation import Augmentation, augmented
from course_utils.training.gradients import limited
from course_utils.training.hardware import (
    Precision,
    autocast,
    deterministic_kernels,
    memory_format,
    resolved,
    weight_type,
)
from course_utils.training.memory import memory_kept
from course_utils.training.schedule import LearningRate, Schedule

__all__ = ["Evaluation", "History", "fit", "stream_seed"]

Evaluation = Literal["end", "epoch", "never"]


def stream_seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, so that the streams of one run do not depend on one another.

    Args:
        seed: the run's seed.
        purpose: ``"initialisation"``, ``"order"``, ``"augmentation"`` or any other word.

    >>> stream_seed(0, "order") == stream_seed(0, "augmentation")
    False
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:7], "little")


@contextmanager
def _seeded_noise(seed: int, device: str) -> Iterator[None]:
    """The model's own draws, dropout's for instance, follow ``seed``; then all is as before."""
    with kept_random_state(torch.device(device)):
        torch.manual_seed(stream_seed(seed, "noise"))
        yield


@dataclass(frozen=True)
class History:
    """What a training run gave.

    Attributes:
        loss: mean training loss of each epoch, as seen while training (nats).
        learning_rate: learning rate at the last step of each epoch.
        running_errors: error of each epoch on its batches as they were learnt, in training mode.
        evaluated_at: the epochs, from 1, after which both splits were measured.
        train_errors, test_errors: the errors in eval mode measured then, in [0, 1].
        steps: number of steps done.
        images_per_second: images trained on, over the time spent training (not measuring).
        seconds: whole time, measuring included.
        diverged: the loss stopped being a finite number; training ended there.
        device, precision, memory_format: what the run used.
        warm_start_steps: steps done at the low rate of a warm start, all of them if it never
            ended; None without one.
    """

    loss: tuple[float, ...]
    learning_rate: tuple[float, ...]
    running_errors: tuple[float, ...]
    evaluated_at: tuple[int, ...]
    train_errors: tuple[float, ...]
    test_errors: tuple[float, ...]
    steps: int
    images_per_second: float
    seconds: float
    diverged: bool
    device: str
    precision: str
    memory_format: str
    warm_start_steps: int | None = None

    @property
    def train_error(self) -> float | None:
        """Error on the whole training split in eval mode after the last epoch."""
        return self.train_errors[-1] if self.train_errors else None

    @property
    def test_error(self) -> float | None:
        """Error on the whole test split in eval mode after the last epoch."""
        return self.test_errors[-1] if self.test_errors else None


class _Epoch(NamedTuple):
    loss: float
    error: float
    learning_rate: float


Batch = tuple[Tensor, Tensor]
"""Images ``(B, C, H, W)``, normalised and augmented, and labels ``(B,)``."""


def _epochs(
    train: Split, size: int, augmentation: Augmentation, seed: int, device: str
) -> Iterator[Iterator[Batch]]:
    """The split in a new random order each time, cut into whole batches."""
    images, labels = train.images.to(device), train.labels.to(device)
    order, changes = (
        torch.Generator().manual_seed(stream_seed(seed, purpose))
        for purpose in ("order", "augmentation")
    )
    whole = len(train) // size * size
    while True:
        shuffled = torch.randperm(len(train), generator=order)[:whole].to(device)
        yield (
            (augmented(train.normalised(images[chosen]), augmentation, changes), labels[chosen])
            for chosen in shuffled.view(-1, size)
        )


@dataclass
class _Training:
    """A net and all that its steps need, and what they gave so far."""

    model: nn.Module
    forward: Callable[[Tensor], Tensor]
    optimiser: torch.optim.Optimizer
    learning_rate: LearningRate
    limit: Callable[[nn.Module], None]
    dataset: Dataset
    device: str
    precision: Literal["fp32", "bf16"]
    layout: torch.memory_format
    on_step: Callable[[int, nn.Module], None] | None
    step: int = 0
    seconds: float = 0.0
    epochs: list[_Epoch] = field(default_factory=list)
    measured: dict[int, list[float]] = field(default_factory=dict)  # train and test error, by epoch

    def __post_init__(self) -> None:
        self.splits = (self.dataset.train, self.dataset.test)
        self.classes = 1 + max(int(split.labels.max()) for split in self.splits)

    def epoch(self, batches: Iterable[Batch]) -> _Epoch:
        """Learn from each of the batches."""
        started, first, kind = time.perf_counter(), self.step, weight_type(self.model)
        summed = torch.zeros(2, device=self.device)  # loss, wrong answers
        self.model.train()
        for images, labels in batches:
            rate = self.learning_rate.at(self.step)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            with autocast(self.device, self.precision):
                answer = self.forward(images.to(kind).contiguous(memory_format=self.layout))
                logits = measuring.checked_logits(answer, len(labels), self.classes)
                loss = F.cross_entropy(logits, labels)
            self.optimiser.zero_grad()
            torch.autograd.backward(loss)
            if self.on_step is not None:
                self.on_step(self.step, self.model)
            self.limit(self.model)
            self.optimiser.step()
            self.step += 1
            wrong = measuring.wrong_answers(logits.detach(), labels).float().mean()
            self.learning_rate.note(wrong)
            summed += torch.stack((loss.detach(), wrong))
        mean_loss, error = (summed / (self.step - first)).tolist()  # the epoch's only wait
        self.seconds += time.perf_counter() - started
        self.epochs.append(_Epoch(mean_loss, error, rate))
        return self.epochs[-1]

    def measure(self) -> None:
        """Note the errors of both splits in eval mode, as the net is after the last epoch."""
        self.measured[len(self.epochs)] = [
            measuring.evaluate(
                self.model, split, device=self.device, precision=self.precision
            ).error
            for split in self.splits
        ]

    def history(self, batch_size: int, seconds: float) -> History:
        return History(
            loss=tuple(epoch.loss for epoch in self.epochs),
            learning_rate=tuple(epoch.learning_rate for epoch in self.epochs),
            running_errors=tuple(epoch.error for epoch in self.epochs),
            evaluated_at=tuple(self.measured),
            train_errors=tuple(errors[0] for errors in self.measured.values()),
            test_errors=tuple(errors[1] for errors in self.measured.values()),
            steps=self.step,
            images_per_second=self.step * batch_size / self.seconds,
            seconds=seconds,
            diverged=not math.isfinite(self.epochs[-1].loss),
            device=self.device,
            precision=self.precision,
            memory_format=str(self.layout).removeprefix("torch."),
            warm_start_steps=rate.warm_steps if (rate := self.learning_rate).warm_start else None,
        )


def _compiled(model: nn.Module, device: str) -> Callable[[Tensor], Tensor]:
    """``model`` compiled; on CUDA its kernels are captured and launched as one."""
    compiled: Callable[[Tensor], Tensor] = torch.compile(
        model, dynamic=False, mode="reduce-overhead" if device.startswith("cuda") else None
    )

    def forward(images: Tensor) -> Tensor:
        # What the step before answered may be written over.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return compiled(images)

    return forward


def _count_steps(epochs: int | None, steps: int | None, per_epoch: int) -> int:
    if steps is None and epochs is not None:
        return whole_number("epochs", epochs, at_least=1) * per_epoch
    if steps is not None and epochs is None:
        return whole_number("steps", steps, at_least=1)
    raise ValueError(_("Say how long to train, with epochs=… or with steps=…."))


def _check_trainable(model: nn.Module) -> None:
    if not torch.is_grad_enabled():
        raise ValueError(
            _("Training needs gradients: call fit outside torch.no_grad() and inference_mode().")
        )
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ValueError(
            _(
                "No weight of this network can learn: either it has none, or all are frozen, and "
                "requires_grad_(True) frees them."
            )
        )


@contextmanager
def _borrowed(model: nn.Module, layout: torch.memory_format) -> Iterator[None]:
    """The net with its weights in ``layout``; then they lie in memory as they did.

    However that ends, the net is then in eval mode and has no gradients.
    """

    def weights() -> dict[str, Tensor]:
        return dict([*model.named_parameters(), *model.named_buffers()])

    strides = {name: tensor.stride() for name, tensor in weights().items()}
    model.to(memory_format=layout)
    try:
        yield
    finally:
        model.eval()
        model.zero_grad()
        for name, tensor in weights().items():
            if tensor.stride() != strides[name]:
                before = torch.empty_strided(
                    tensor.shape, strides[name], dtype=tensor.dtype, device=tensor.device
                )
                tensor.data = before.copy_(tensor.data)


def _layout_of(
    model: nn.Module, train: Split, batch_size: int, device: str, precision: str
) -> torch.memory_format:
    """Pixels first where that is faster and the net's own code works so: ``.view`` may not."""
    layout = memory_format(device, precision)
    if layout == torch.contiguous_format:
        return layout
    images, _labels = next(measuring.batches(model, train, batch_size, device))
    try:
        with (
            kept_random_state(torch.device(device)),
            evaluating(model),
            _borrowed(model, layout),
            autocast(device, precision),
        ):
            model(images.contiguous(memory_format=layout))
    except RuntimeError:  # if it is something else, the first step says so
        return torch.contiguous_format
    return layout


def fit(
    model: nn.Module,
    dataset: Dataset,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    evaluate: Evaluation = "end",
    evaluate_every: int = 1,
    learning_rate: float = 0.1,
    schedule: Schedule = "linear",
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay: float = 1e-4,
    augmentation: Augmentation = "none",
    gradient_clip: float | None = None,
    lars: float | None = None,
    warm_start: bool = False,
    reestimate_bn: bool = False,
    compiled: bool = False,
    device: str | None = None,
    precision: Precision = "auto",
    progress: bool = True,
    stop_after: int | None = None,
    on_step: Callable[[int, nn.Module], None] | None = None,
) -> History:
    """Train ``model`` in place with SGD and say how it went.

    Images stay where the model is, and a batch is gathered, normalised and augmented as one
    tensor. An epoch is a new random order of the training split, cut into whole batches (what is
    left over waits for the next order). The model ends in eval mode, without gradients, and its
    weights lie in memory as they did before.

    Args:
        model: from ``(B, C, H, W)`` images, in the type of its weights, to ``(B, num_classes)``
            logits. Its initial weights are the caller's choice: call ``torch.manual_seed`` before
            building it.
        dataset: ``train`` is learnt, ``test`` only measured.
        epochs, steps: how long, one of the two.
        batch_size: images a step; a smaller training split makes one batch.
        seed: of the order, of the augmentation and of what the model draws itself (dropout), each
            with a stream of its own.
        evaluate: measure both splits in eval mode after the ``"end"``, each ``"epoch"``, or
            ``"never"``.
        evaluate_every: with ``"epoch"``, measure after every so many epochs, and after the last.
        learning_rate: its highest value.
        schedule: ``"linear"`` or ``"step"``, see :func:`learning_rate_at`.
        momentum, nesterov, weight_decay: of SGD.
        augmentation: ``"none"``, ``"crop"`` (shifts) or ``"crop_flip"`` (shifts and mirrors).
            Padding comes after normalisation, so that the border has the mean colour.
        gradient_clip: shorten the gradient of all weights together to this norm, where it is
            longer.
        lars: give the gradient of each convolution this share of the norm of its weights, as You
            et al. 2017 do (arXiv 1708.03888).
        warm_start: begin at a tenth of the learning rate, until the error of the last hundred
            batches as they were learnt, looked at every hundred steps, is below 80%: the ResNet
            paper's way to start its net of depth 110. The steps count as any others.
        reestimate_bn: after the last step, and before the last measurement, take the statistics
            of batch normalisation anew, see :func:`reestimate_batch_norm`.
        compiled: let torch.compile fuse the layers of the training steps. It takes a minute to
            begin with, some seconds for a net that it has compiled before on this machine, and, on
            the CPU, needs a C++ compiler; the numbers differ in their last digits. The command
            ``sweep`` tries it where runs last ten minutes or more.
        device, precision: by default the fastest of this machine.
        progress: show a bar.
        stop_after: end after so many steps of the schedule, to look at the start of a longer run.
        on_step: called as ``on_step(step, model)`` between the backward pass and the update,
            when the gradients are there to be read.

    Returns:
        A :class:`History`. A loss that is no longer a finite number ends the training there and
        is reported in ``diverged``, with the errors of the net as it is.

    Raises:
        ValueError: neither or both of ``epochs`` and ``steps``, a number below 1, an unknown
            choice, fewer than two images a batch; a model that has nothing to learn or does not
            return a logit for each class; a call under ``torch.no_grad()``.
        TypeError: a number of epochs, steps or images that is not whole.

    >>> from course_utils.datasets import load
    >>> from course_utils.models import cifar_net
    >>> net = cifar_net(8, in_channels=1, width=4)
    >>> fit(net, load("digits", size=8), steps=2, progress=False).steps
    2
    """
    one_of("evaluate", evaluate, get_args(Evaluation))
    one_of("augmentation", augmentation, get_args(Augmentation))
    evaluate_every = whole_number("evaluate_every", evaluate_every, at_least=1)
    flag("reestimate_bn", reestimate_bn)
    train = dataset.train
    batch_size = min(whole_number("batch_size", batch_size, at_least=1), len(train))
    if batch_size < 2:
        raise ValueError(_("A batch needs at least two images: batch normalisation compares them."))
    total = _count_steps(epochs, steps, len(train) // batch_size)
    last = total if stop_after is None else min(_count_steps(None, stop_after, 1), total)
    limit = limited(gradient_clip, lars)
    rates = LearningRate(total, learning_rate, schedule, flag("warm_start", warm_start))
    device, precision = resolved(device, precision)
    _check_trainable(model)

    model.to(device)
    forward = _compiled(model, device) if flag("compiled", compiled) else model
    layout = _layout_of(model, train, batch_size, device, precision)
    started = time.perf_counter()
    with (
        tqdm(total=last, disable=not progress, unit="step", leave=False) as bar,
        memory_kept(),
        _borrowed(model, layout),
        deterministic_kernels(),
        _seeded_noise(seed, device),
    ):
        optimiser = torch.optim.SGD(
            model.parameters(),
            lr=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            fused=device != "mps",
        )
        training = _Training(
            model, forward, optimiser, rates, limit, dataset, device, precision, layout, on_step
        )
        for batches in _epochs(train, batch_size, augmentation, seed, device):
            epoch = training.epoch(islice(batches, last - training.step))
            ended = training.step == last or not math.isfinite(epoch.loss)
            if ended and reestimate_bn:
                measuring.reestimate_batch_norm(
                    model, train, batch_size=batch_size, device=device, precision=precision
                )
            due = ended or (evaluate == "epoch" and len(training.epochs) % evaluate_every == 0)
            if due and evaluate != "never":
                training.measure()
            bar.update(training.step - bar.n)
            bar.set_postfix(loss=f"{epoch.loss:.3f}")
            if ended:
                break
    return training.history(batch_size, time.perf_counter() - started)
