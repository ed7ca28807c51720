"""Checks of names and lists of slices before the ledger keeps them."""

import operator
from collections.abc import Iterable, Sequence

from activelabel.errors import InvalidInputError
from activelabel.store.columns import NAME_LENGTH, WORD_LENGTH
from activelabel.store.records.images import NamedSlices, Slices


def checked_name(name: str, field: str, longest: int = NAME_LENGTH) -> str:
    """The name itself: 1 to `longest` characters that any database can hold.

    Raises:
        InvalidInputError: the name is empty, too long, has a NUL, or is not UTF-8 (a file name in another encoding).
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"{field} {name!r}: expected UTF-8; rename it") from None
    if not 1 <= len(name) <= longest or "\0" in name:
        raise InvalidInputError(f"{field} {name[:80]!r}: expected 1 to {longest} characters, got {len(name)}")
    return name


def checked_names(names: Sequence[str], field: str) -> Sequence[str]:
    """The names themselves, each checked as `checked_name` does, in a fraction of the time."""
    together = "".join(names)
    if not together.isascii() or "\0" in together or not all(map(NAME_LENGTH.__ge__, map(len, names))) or "" in names:
        for name in names:
            checked_name(name, field)
    return names


def checked_word(word: str, field: str) -> str:
    """The word itself, checked as `checked_name` does, with a shorter limit: a tag, a measure, a strategy."""
    return checked_name(word, field, WORD_LENGTH)


def checked_slices(slices: Iterable[int] | None) -> Slices:
    """The slice indices, sorted; None, the whole volume, stays None.

    Raises:
        InvalidInputError: the list is empty, has an index twice, or has one that is not a whole number >= 0.
    """
    if slices is None:
        return None
    given = list(slices)
    try:
        indices = sorted(operator.index(index) for index in given if not isinstance(index, bool))
    except TypeError:
        raise InvalidInputError(f"slices: expected whole numbers, got {given}") from None
    if not indices or len(indices) != len(given) or indices[0] < 0 or len(set(indices)) != len(indices):
        raise InvalidInputError(f"slices: expected at least one index >= 0, each once, got {given}")
    return tuple(indices)


def checked_named_slices(named: NamedSlices) -> NamedSlices:
    """The slices that a client names, checked as `checked_slices` does; `all` stays `all`."""
    return named if named == "all" else checked_slices(named)
