"""Runs in processes of this machine: each a process of its own, so that a death costs one run."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from course_utils.i18n import current_language, set_language

__all__ = ["Processes", "ending"]

SomeExecutor = TypeVar("SomeExecutor", bound=Executor)


@contextlib.contextmanager
def ending(executor: SomeExecutor) -> Iterator[SomeExecutor]:
    """An executor whose work is waited for at the end of the block, or given up after an error."""
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _start_worker(
    language: str, folder: str, search_path: list[str], variables: dict[str, str], leash: Connection
) -> None:
    """In a worker: be where the reader is, and end when the process that started it wants so."""
    os.environ.update(variables)
    set_language(language)
    os.chdir(folder)
    sys.path[:] = search_path
    # A lock between processes, which tqdm makes by default, outlives a process that ends at once.
    tqdm.set_lock(threading.RLock())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows there is no mask to inherit
    parent = multiprocessing.parent_process()

    def follow() -> None:
        # Readable at its end: let go of on purpose, or by the death of the process that held it.
        wait([leash, *([] if parent is None else [parent.sentinel])])
        os._exit(1)  # the pool's own queue would wait for ever

    threading.Thread(target=follow, daemon=True).start()


class Processes(ThreadPoolExecutor):
    """An executor of so many processes, in which one that dies takes no other with it.

    Each is a :class:`~concurrent.futures.ProcessPoolExecutor` of one process, made when there is
    work for it and made anew after a death; the work that it had is answered with
    ``BrokenProcessPool``. They speak the reader's language and import from where the reader does,
    the folder of the notebook included, even if it is not the one that Python was started in.

    Args:
        workers: number of processes, kept under that name.
        variables: additions to the environment, one dictionary a process, in turn.

    >>> with Processes(1) as executor:
    ...     executor.submit(abs, -3).result()
    3
    """

    def __init__(self, workers: int, variables: Sequence[dict[str, str]] = ({},)) -> None:
        self._variables = itertools.cycle(variables)
        self._own = threading.local()
        self._pools: list[ProcessPoolExecutor] = []
        self._ended = threading.Event()
        self._leash, self._hold = multiprocessing.Pipe(duplex=False)
        folder = str(Path.cwd())
        self._told = (current_language(), folder, [entry or folder for entry in sys.path])
        self.workers = workers
        super().__init__(workers, initializer=self._begin)

    def _begin(self) -> None:
        if sys.platform != "win32":
            # A process is born with the mask of the thread that starts it. Ctrl-C is for the
            # sweep, which ends its workers.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        self._own.variables = next(self._variables)
        self._own.pool = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do ``fn(*args, **kwargs)`` in one of the processes."""
        return super().submit(self._away, fn, args, kwargs)

    def _away(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._ended.is_set():
            raise BrokenProcessPool
        if self._own.pool is None:
            self._own.pool = ProcessPoolExecutor(
                1,
                # A fork of a process with threads may hang.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(*self._told, self._own.variables, self._leash),
            )
            self._pools.append(self._own.pool)
        try:
            return self._own.pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._own.pool.shutdown()
            self._pools.remove(self._own.pool)
            self._own.pool = None
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As for any executor; without ``wait``, the processes end at once, in their work."""
        if not wait:
            self._ended.set()
            self._hold.close()
        super().shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            for pool in self._pools:
                pool.shutdown()
            self._hold.close()
            self._leash.close()
