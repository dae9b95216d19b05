"""Do many runs, once each, on whatever executor there is, and remember them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool

import joblib
import torch

from course_utils.arguments import whole_number
from course_utils.experiments.claims import Claims
from course_utils.experiments.interrupting import PATIENCE, postponed
from course_utils.experiments.processes import Processes, ending
from course_utils.experiments.progress import Bar, Progress, news_of
from course_utils.experiments.record import Record
from course_utils.experiments.running import check_device, run
from course_utils.experiments.spec import Spec
from course_utils.experiments.store import Store
from course_utils.i18n import _, ngettext

__all__ = ["SweepError", "local_executor", "sweep"]

TRIES = 2
UNDER_WAY = 4000
"""Runs claimed and handed to the executor at once: what a system does to find a lock, and an
executor to keep a call, grows with their number."""


class SweepError(RuntimeError):
    """Some runs gave no record; those that did are saved."""


def _cores() -> int:
    """Cores that this process may use: fewer than there are where a container has its share."""
    return int(joblib.cpu_count())


def local_executor(
    runs: int,
    threads: int = 1,
    *,
    device: str = "cpu",
    per_gpu: int = 1,
    workers: int | None = None,
) -> Processes:
    """Processes on this machine, no more than runs.

    Args:
        runs: how many there are to do.
        threads: of each run.
        device: on ``"cpu"``, a process for each group of ``threads`` cores; on ``"cuda"``,
            ``per_gpu`` processes for each GPU, which is the only one they see; on another, one
            process.
        per_gpu: runs that share a GPU.
        workers: so many processes, and not as many as pay.

    Raises:
        ValueError, TypeError: a number of processes below 1, or none.
    """
    for option, value in (("per_gpu", per_gpu), ("workers", 1 if workers is None else workers)):
        whole_number(option, value, at_least=1)
    alone: list[dict[str, str]] = [{}]
    pays = _cores() // threads if device == "cpu" else per_gpu
    if device == "cuda":
        gpus = max(1, torch.cuda.device_count())
        alone = [{"CUDA_VISIBLE_DEVICES": name} for name in _visible_gpus(gpus)]
        pays = gpus * per_gpu
    return Processes(max(1, min(runs, pays if workers is None else workers)), alone)


def _visible_gpus(number: int) -> list[str]:
    """The names by which the GPUs that this process may use are known to the driver."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:number] if named else list(map(str, range(number)))


def sweep(
    specs: Iterable[Spec],
    store: str | os.PathLike[str] | Store,
    executor: Executor | None = None,
    *,
    progress: bool | Progress = True,
    resume: bool = True,
) -> list[Record]:
    """The records of ``specs``: read where they are in the store, run and written where not.

    Each record is written as soon as its run ends, so that an interrupted sweep goes on where it
    stopped. A run that fails, or whose process dies, is tried once more and does not stop the
    others; when it fails again, a text ``<hash>.failed`` in the store says why, and the next
    sweep tries it anew. A run that another sweep is doing in the same store is left to it, and
    waited for.

    Args:
        specs: the runs; a run asked for twice is done once.
        store: directory of the records.
        executor: any ``concurrent.futures.Executor``; by default one process a core (called from
            a script, it needs the script's ``if __name__ == "__main__":``).
        progress: show a bar, or tell another :class:`~course_utils.experiments.progress.Progress`.
        resume: with False, do every run again; each record stays until its run has ended.

    Returns:
        One record a spec, in the order of ``specs``.

    Raises:
        OSError: the store cannot be written to.
        SweepError: a run raised an error or its process died, twice; the sentence names it.

    >>> import tempfile
    >>> from course_utils.degradation import grid
    >>> specs = grid(depths=[8], seeds=[0], steps=2, family_options={"width": 4})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     len(sweep(specs, folder, progress=False))
    2
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker that reads its script again would start the sweep in itself, and so on.
        raise RuntimeError(
            _('In a script, start a sweep under `if __name__ == "__main__":`, and only there.')
        )
    specs = list(specs)
    store = store if isinstance(store, Store) else Store(store)
    if isinstance(progress, bool):
        progress = Bar() if progress else Progress()
    found: dict[Spec, Record] = {}
    missing: list[Spec] = []
    for spec in dict.fromkeys(specs):
        record = store.read(spec) if resume else None
        if record is None:
            missing.append(spec)
        else:
            found[spec] = record
    missing.sort(key=lambda spec: -spec.depth)  # the longest first: no core waits at the end
    progress.start(list(found.values()), missing)
    try:
        with (
            postponed() as let_through,
            Claims(store.path) as claims,
            _executor(executor, missing) as pool,
        ):
            failures = _Sweep(store, claims, pool, progress, found, resume).do(missing, let_through)
    finally:
        progress.stop()
    if failures:
        raise SweepError(_sentence(failures, len(found))) from next(iter(failures.values()))
    return [found[spec] for spec in specs]


@contextlib.contextmanager
def _executor(given: Executor | None, missing: list[Spec]) -> Iterator[Executor | None]:
    """The reader's own executor, or one of ours, ended as the sweep ends."""
    if given is not None or not missing:
        yield given
        return
    for device in {spec.device for spec in missing}:
        check_device(device)
    own = local_executor(
        len(missing), max(spec.threads for spec in missing), device=missing[0].device
    )
    with ending(own):
        yield own


class _Sweep:
    """The runs of one sweep that are under way."""

    def __init__(
        self,
        store: Store,
        claims: Claims,
        pool: Executor | None,
        progress: Progress,
        found: dict[Spec, Record],
        resume: bool,
    ) -> None:
        self.store, self.claims, self.pool, self.progress = store, claims, pool, progress
        self.found, self.resume = found, resume
        self.futures: dict[Future[Record], Spec] = {}
        self.ended: queue.SimpleQueue[Future[Record]] = queue.SimpleQueue()
        self.errors: dict[Spec, list[BaseException]] = {}
        self.failures: dict[Spec, BaseException] = {}

    def do(self, missing: list[Spec], let_through: Callable[[], None]) -> dict[Spec, BaseException]:
        """Do the runs; the answer is those that gave no record, each with its last error.

        ``let_through`` is called between two looks at them, and may raise ``KeyboardInterrupt``.
        """
        waiting, others, told = deque(missing), list[Spec](), False
        try:
            while waiting or self.futures or others:
                while waiting and len(self.futures) < UNDER_WAY:
                    if not self._took(spec := waiting.popleft(), self.resume):
                        others.append(spec)
                if others and not told:
                    told = True
                    self.progress.told(
                        _(
                            "Another sweep is already doing some of these runs in {store}, "
                            "{number} in all: this one waits for their records."
                        ).format(number=len(others), store=self.store.path)
                    )
                if self.futures or others:
                    self._end_those_done()
                if not waiting:
                    others = [spec for spec in others if not self._took(spec, True)]
                if news := news_of(self.pool):
                    self.progress.told(news)
                self.progress.tick()
                let_through()
        except BaseException:
            for future in self.futures:
                future.cancel()  # on a reader's own executor too, nobody waits for them any more
            raise
        return self.failures

    def _took(self, spec: Spec, look: bool) -> bool:
        """Whether a run is ours: then it is started, unless another sweep did it before it was."""
        if not self.claims.take(spec):
            return False
        record = self.store.read(spec) if look else None
        if record is None:
            self._submit(spec)
        else:
            self._have(record)
        return True

    def _end_those_done(self) -> None:
        """Wait a moment for a run to end, and see to all that have."""
        wait = PATIENCE
        with contextlib.suppress(queue.Empty):
            while True:
                future = self.ended.get(timeout=wait)
                self._end(future, self.futures.pop(future))
                wait = 0

    def _have(self, record: Record) -> None:
        self.found[record.spec] = record
        self.claims.drop(record.spec)  # now, or two sweeps might wait for each other
        self.progress.finished(record)

    def _submit(self, spec: Spec) -> None:
        assert self.pool is not None
        try:
            future = self.pool.submit(run, spec)
        except RuntimeError as error:  # the reader's executor is shut down, or broken
            self.failures[spec] = self.errors.get(spec, [error])[-1]
            self.claims.drop(spec)
            self.progress.failed(spec, _reason(self.failures[spec]), again=False)
            return
        self.futures[future] = spec
        future.add_done_callback(self.ended.put)

    def _end(self, future: Future[Record], spec: Spec) -> None:
        try:
            record = future.result()
        except (Exception, CancelledError) as error:
            tries = self.errors.setdefault(spec, [])
            tries.append(error)
            again = len(tries) < TRIES
            self.progress.failed(spec, _reason(error), again)
            if again:
                self._submit(spec)
            else:
                self.failures[spec] = error
                self.store.write_failure(spec, list(map(_reason, tries)))
                self.claims.drop(spec)
            return
        self.store.write(record)
        self._have(record)


def _reason(error: BaseException) -> str:
    """Why a run gave no record, in a line."""
    if isinstance(error, BrokenProcessPool):
        return _(
            "its process died, perhaps for lack of memory, or in a script without `if __name__ "
            '== "__main__":`'
        )
    if isinstance(error, CancelledError):
        return _("the executor gave it up")
    if type(error).__name__ == "KilledWorker":  # of Dask, which need not be installed
        return _("every worker that took it died, perhaps for lack of memory or time")
    return " ".join(f"{type(error).__name__}: {error}".split())


def _sentence(failures: dict[Spec, BaseException], saved: int) -> str:
    spec, error = next(iter(failures.items()))
    failed = _("{number} runs gave no record, the first of them {spec} ({reason}).")
    if len(failures) == 1:
        failed = _("{spec} gave no record ({reason}).")
    kept = ngettext(
        "The record of {saved} other run is saved: start the sweep again to do what is missing.",
        "The records of {saved} other runs are saved: start the sweep again to do what is missing.",
        saved,
    )
    if not saved:
        kept = _("Start the sweep again for what is missing.")
    return f"{failed} {kept}".format(
        number=len(failures), spec=spec, reason=_reason(error), saved=saved
    )
