"""Checks a name in a request against the known names."""

from collections.abc import Collection

from activelabel.errors import NotFoundError


def require_known(name: str, known: Collection[str], kind: str) -> None:
    """Refuse a `name` that is not one of `known`; the line lists the known names.

    Raises:
        NotFoundError: the name is unknown.
    """
    if name not in known:
        raise NotFoundError(f"there is no {kind} '{name[:80]}': use one of {', '.join(sorted(known)) or '(none)'}")
