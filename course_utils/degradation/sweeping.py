"""Do many runs, once each, on whatever executor there is, and remember them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm.auto import tqdm

from course_utils.degradation.record import Record
from course_utils.degradation.running import run
from course_utils.degradation.spec import Spec
from course_utils.degradation.store import Store
from course_utils.i18n import _, current_language, set_language

__all__ = ["SweepError", "local_executor", "sweep"]


class SweepError(RuntimeError):
    """Some runs gave no record; those that did are saved."""


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start_worker(language: str, folder: str, search_path: list[str]) -> None:
    """In a worker: be where the reader is, and end when the process that started it ends."""
    set_language(language)
    os.chdir(folder)
    sys.path[:] = search_path
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)  # the pool's own queue would wait for ever

    threading.Thread(target=follow, daemon=True).start()


def local_executor(runs: int, threads: int = 1) -> ProcessPoolExecutor:
    """Processes on this machine: one for each group of ``threads`` cores, and no more than runs.

    They speak the reader's language and import from where the reader does, the folder of the
    notebook included, even if it is not the one that Python was started in.
    """
    folder = str(Path.cwd())
    return ProcessPoolExecutor(
        max(1, min(runs, _cores() // threads)),
        mp_context=multiprocessing.get_context("spawn"),  # a fork of a threaded process may hang
        initializer=_start_worker,
        initargs=(current_language(), folder, [entry or folder for entry in sys.path]),
    )


def sweep(
    specs: Iterable[Spec],
    store: str | os.PathLike[str] | Store,
    executor: Executor | None = None,
    *,
    progress: bool = True,
) -> list[Record]:
    """The records of ``specs``: read where they are in the store, run and written where not.

    Each record is written as soon as its run ends, so that an interrupted sweep goes on where it
    stopped. A run that fails does not stop the others.

    Args:
        specs: the runs; a run asked for twice is done once.
        store: directory of the records.
        executor: any ``concurrent.futures.Executor``; by default one process a core (called from
            a script, it needs the script's ``if __name__ == "__main__":``).
        progress: show a bar.

    Returns:
        One record a spec, in the order of ``specs``.

    Raises:
        OSError: the store cannot be written to.
        SweepError: a run raised an error or its process died; the sentence names it.

    >>> import tempfile
    >>> from course_utils.degradation import grid
    >>> specs = grid(depths=[8], seeds=[0], steps=2, family_options={"width": 4})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     len(sweep(specs, folder, progress=False))
    2
    """
    specs = list(specs)
    store = store if isinstance(store, Store) else Store(store)
    found: dict[Spec, Record] = {}
    missing: list[Spec] = []
    for spec in dict.fromkeys(specs):
        record = store.read(spec)
        if record is None:
            missing.append(spec)
        else:
            found[spec] = record
    missing.sort(key=lambda spec: -spec.depth)  # the longest first: no core waits at the end
    own = executor is None and bool(missing)
    pool = local_executor(len(missing), max(spec.threads for spec in missing)) if own else executor
    failures: dict[Spec, BaseException] = {}
    futures: dict[Future[Record], Spec] = {}
    try:
        if pool is not None:
            futures = {pool.submit(run, spec): spec for spec in missing}
        with tqdm(
            total=len(found) + len(missing),
            initial=len(found),
            disable=not progress or not missing,
            unit="run",
            leave=False,
        ) as bar:
            for future in as_completed(futures):
                spec = futures[future]
                error = future.exception()
                if error is not None:
                    failures[spec] = error
                    continue
                record = future.result()
                store.write(record)
                found[spec] = record
                bar.update()
                bar.set_postfix_str(str(spec))
    except BaseException:
        for future in futures:
            future.cancel()  # on a reader's own executor too, nobody waits for them any more
        if own and pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        raise
    if own and pool is not None:
        pool.shutdown()
    if failures:
        raise SweepError(_sentence(failures, len(found))) from next(iter(failures.values()))
    return [found[spec] for spec in specs]


def _sentence(failures: dict[Spec, BaseException], saved: int) -> str:
    spec, error = next(iter(failures.items()))
    reason = (
        _(
            "its process died, for want of memory perhaps, or in a script without "
            '`if __name__ == "__main__":`'
        )
        if isinstance(error, BrokenProcessPool)
        else f"{type(error).__name__}: {error}"
    )
    return _(
        "{number} run(s) gave no record, {spec} first ({reason}). The {saved} that did are saved: "
        "start the sweep again to do the others."
    ).format(number=len(failures), spec=spec, reason=reason, saved=saved)
