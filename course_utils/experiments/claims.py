"""Which runs are being done in a store, so that two sweeps at once share them.

filelock would do it with one file a run, open as long as the run is claimed: a sweep claims all its
runs at the start, and 1,019 locks were all that a process may open by default. It leaves each file
behind, and where the file system has no locks it falls back on files that outlive a killed process.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

from course_utils.experiments.spec import Spec

if sys.platform == "win32":
    import msvcrt
else:
    import errno
    import fcntl

__all__ = ["Claims"]

FILE = ".sweeps"
NONE = -1  # instead of a descriptor


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
        self._file: _LockFile | None = None
        self._mine: set[int] = set()

    def take(self, spec: Spec) -> bool:
        """Claim a run; False when another sweep has it."""
        offset = _offset(spec)
        with _GUARD:
            if self._file is None:
                self._file = _FILES.setdefault(self._path, _LockFile(self._path))
                self._file.users += 1
            if offset not in self._mine and self._file.lock(offset):
                self._mine.add(offset)
            return offset in self._mine

    def drop(self, spec: Spec) -> None:
        """Let others have a run: it is done, or given up."""
        offset = _offset(spec)
        with _GUARD:
            if self._file is not None and offset in self._mine:
                self._file.unlock(offset)
                self._mine.discard(offset)

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *_error: object) -> None:
        with _GUARD:
            if self._file is None:
                return
            for offset in self._mine:
                self._file.unlock(offset)
            self._mine.clear()
            self._file.users -= 1
            if not self._file.users:
                _FILES.pop(self._path).remove()
            self._file = None


class _LockFile:
    """The file of one store and the bytes of it that this process has locked.

    The system's locks are a process's, not a thread's, and all of them go when the process closes
    the file once: so all sweeps of a process share one of these.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.users = path, 0
        self._held: set[int] = set()
        self._descriptor = NONE

    def lock(self, offset: int) -> bool:
        if offset in self._held:
            return False
        while True:
            if self._descriptor == NONE:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            is_locked = _locked(self._descriptor, offset)
            if self._is_there():
                break
            os.close(self._descriptor)  # its last user removed it a moment ago
            self._descriptor = NONE
        if is_locked:
            self._held.add(offset)
        return is_locked

    def unlock(self, offset: int) -> None:
        _unlock(self._descriptor, offset)
        self._held.discard(offset)

    def remove(self) -> None:
        """Close the file, and remove it unless another process is using it."""
        if self._descriptor == NONE:
            return
        if sys.platform == "win32":
            os.close(self._descriptor)
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:
                return  # the process that has it open will remove it
        else:
            if _locked(self._descriptor, 0, length=0) and self._is_there():  # all of it
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)

    def _is_there(self) -> bool:
        """Whether the file that is open is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            return False


_GUARD = threading.Lock()
_FILES: dict[Path, _LockFile] = {}


def _offset(spec: Spec) -> int:
    return int(spec.hash[:7], 16)  # 28 bits: Windows' locks count in 31


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

else:

    def _locked(descriptor: int, offset: int, length: int = 1) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, offset)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        return True

    def _unlock(descriptor: int, offset: int) -> None:
        with contextlib.suppress(OSError):  # where there are no locks, nothing was locked
            fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, offset)
