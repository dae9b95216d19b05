"""Which runs are being done in a store, so that two sweeps at once share them."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import TracebackType

from course_utils.experiments.spec import Spec

if sys.platform == "win32":
    import msvcrt
else:
    import errno
    import fcntl

__all__ = ["Claims"]

FILE = ".sweeps"

# The system's locks are a process's, not a thread's: what this process holds, it must know itself.
_HELD: set[tuple[Path, int]] = set()
_DESCRIPTORS: dict[Path, int] = {}
_USERS: dict[Path, int] = {}
_GUARD = threading.RLock()


class Claims:
    """The runs that one sweep has taken for itself, until it drops them or its process dies.

    A claim is a lock of the operating system on one byte of the file ``.sweeps``, so that none
    outlives its process, however it ended. The file goes when nobody holds a claim any more.
    Where the file system has no locks, every claim is granted: two sweeps may then do the same
    run, and the second record replaces the first, to which it is equal.

    Args:
        folder: that of the store.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Claims(Path(folder)) as ours, Claims(Path(folder)) as theirs:
    ...         spec = Spec("plain", 8, seed=0)
    ...         ours.take(spec), theirs.take(spec)
    (True, False)
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder.resolve() / FILE
        self._mine: set[int] = set()
        self._in_use = False

    def take(self, spec: Spec) -> bool:
        """Claim a run; False when another sweep has it."""
        offset = _offset(spec)
        with _GUARD:
            if offset in self._mine:
                return True
            if (self._path, offset) in _HELD:
                return False
            if not self._in_use:
                _USERS[self._path] = _USERS.get(self._path, 0) + 1
                self._in_use = True
            while not _locked(_descriptor(self._path), offset):
                if _is_current(self._path):
                    return False
                _forget(self._path)
            if not _is_current(self._path):  # its last user removed it a moment ago
                _forget(self._path)
                return self.take(spec)
            _HELD.add((self._path, offset))
            self._mine.add(offset)
        return True

    def drop(self, spec: Spec) -> None:
        """Let others have a run: it is done, or given up."""
        offset = _offset(spec)
        with _GUARD:
            if offset in self._mine:
                _unlock(_descriptor(self._path), offset)
                _HELD.discard((self._path, offset))
                self._mine.discard(offset)

    def __enter__(self) -> Claims:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _GUARD:
            for offset in self._mine:
                _unlock(_descriptor(self._path), offset)
                _HELD.discard((self._path, offset))
            self._mine.clear()
            if not self._in_use:
                return
            self._in_use = False
            _USERS[self._path] -= 1
            if not _USERS[self._path]:
                del _USERS[self._path]
                _remove(self._path)


def _offset(spec: Spec) -> int:
    return int(spec.hash[:7], 16)  # 28 bits: Windows' locks count in 31


def _descriptor(path: Path) -> int:
    if path not in _DESCRIPTORS:
        _DESCRIPTORS[path] = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    return _DESCRIPTORS[path]


def _forget(path: Path) -> None:
    os.close(_DESCRIPTORS.pop(path))


def _is_current(path: Path) -> bool:
    """Whether the file that is open is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(_DESCRIPTORS[path]), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":

    def _locked(descriptor: int, offset: int) -> bool:
        os.lseek(descriptor, offset, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int, offset: int) -> None:
        os.lseek(descriptor, offset, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def _remove(path: Path) -> None:
        _forget(path)
        try:
            path.unlink(missing_ok=True)
        except PermissionError:
            return  # another process has it open and will remove it

else:

    def _locked(descriptor: int, offset: int, length: int = 1) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, offset)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        return True

    def _unlock(descriptor: int, offset: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, offset)

    def _remove(path: Path) -> None:
        if _locked(_descriptor(path), 0, 0) and _is_current(path):  # all of it: nobody else is here
            path.unlink(missing_ok=True)
        _forget(path)
