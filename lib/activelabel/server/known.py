"""The check of a name in a request against the names that there are."""

from collections.abc import Collection

from activelabel.errors import NotFoundError


def require_known(name: str, known: Collection[str], kind: str) -> None:
    """Refuse a `name` that is not one of `known`; the line lists those that are.

    Raises:
        NotFoundError: it is none of them.
    """
    if name not in known:
        raise NotFoundError(f"there is no {kind} '{name[:80]}': use one of {', '.join(sorted(known)) or '(none)'}")
