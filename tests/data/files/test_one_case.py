"""Every exception that is raised while one case is read becomes a line about that case."""

import errno
import struct
import zlib

import pytest

from activelabel.data.files.one_case import for_want_of_memory, one_case
from activelabel.errors import InvalidInputError, UnavailableError


@pytest.mark.parametrize("error", [OverflowError("large"), struct.error("unpack"), zlib.error("-3"), KeyError("a")])
def test_any_exception_names_the_case_and_what_was_raised(error: Exception) -> None:
    expected = rf"^case7: cannot be read \({type(error).__name__}: "
    with pytest.raises(InvalidInputError, match=expected) as raised, one_case("case7"):
        raise error
    assert not for_want_of_memory(raised.value)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 160 TB")])
def test_lack_of_memory_is_told_from_damage(error: Exception) -> None:
    with (
        pytest.raises(InvalidInputError, match="it needs more memory than there is") as raised,
        one_case("case7"),
    ):
        raise error
    assert for_want_of_memory(raised.value)


def test_errors_that_have_a_line_and_interrupts_pass_unchanged() -> None:
    with pytest.raises(UnavailableError, match="the PACS is away"), one_case("case7"):
        raise UnavailableError("the PACS is away")
    with pytest.raises(KeyboardInterrupt), one_case("case7"):
        raise KeyboardInterrupt


def test_a_full_disk_is_no_fault_of_a_case() -> None:
    with pytest.raises(OSError, match="No space left"), one_case("case7"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(InvalidInputError, match=r"^case7: cannot be read"), one_case("case7"):
        raise OSError(errno.EIO, "Input/output error")
