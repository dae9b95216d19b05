"""What a training step frees stays with the process until the training ends."""

from __future__ import annotations

import ctypes
import platform

import pytest

from course_utils.training.memory import memory_kept

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's alone")

BYTES = 2**26
PAGES = BYTES // 4096


def pages_taken_for_a_map() -> int:
    """Pages that the system is asked for while a block of 64 MB is written and let go of."""
    import resource

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(BYTES)))
    ctypes.memset(block, 1, BYTES)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_map_that_was_freed_is_written_again_without_asking_for_its_pages() -> None:
    with memory_kept():
        pages_taken_for_a_map()
        assert pages_taken_for_a_map() < PAGES / 100


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_at_the_end_the_system_has_them_back_however_that_comes(
    error: type[BaseException] | None,
) -> None:
    with pytest.raises(error) if error else memory_kept(), memory_kept():
        pages_taken_for_a_map()
        if error:
            raise error
    assert pages_taken_for_a_map() > PAGES / 2
