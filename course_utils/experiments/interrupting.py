"""Ctrl-C between two steps of the work, and not in the middle of one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["PATIENCE", "postponed"]

PATIENCE = 0.5  # seconds that a wait may last without letting Ctrl-C through


@contextlib.contextmanager
def postponed() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back in this block; what it yields, called at a good moment, lets it through.

    Python raises ``KeyboardInterrupt`` between any two instructions, those of the standard
    library included. :func:`concurrent.futures.wait` takes the locks of all its futures in a
    loop: interrupted there, it leaves them taken, and the thread that has an answer for one of
    them waits for ever.

    A second Ctrl-C is not held back, whatever it meets. Nothing changes off the main thread, to
    which Python sends none, or where Ctrl-C does something else than raise.

    Raises:
        KeyboardInterrupt: by what it yields, or at the end of the block.

    >>> with postponed() as let_through:
    ...     try:
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("the work goes on")
    ...         let_through()
    ...     except KeyboardInterrupt:
    ...         print("until here")
    the work goes on
    until here
    """
    on_main_thread = threading.current_thread() is threading.main_thread()
    if not on_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    held = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal held
        if held:
            signal.default_int_handler(number, frame)
        held = True

    def let_through() -> None:
        nonlocal held
        if held:
            held = False
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hold)
    try:
        yield let_through
        let_through()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
