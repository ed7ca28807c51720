"""A strategy that is added as contributors add one: a module in the folder of strategies, and an entry in the table."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from activelabel import strategies
from activelabel.recipes.strategy_traits import TRAITS, Needs, Traits

NAME = "alphabetical"
MODULE = '''"""The pool in the order of the alphabet."""

from activelabel.strategies.proposal import Proposal


def alphabetical_proposals(project):
    return (Proposal(image_id, "next in the alphabet") for image_id in project.ledger.pool("training"))


STRATEGIES = {"alphabetical": alphabetical_proposals}
'''


@contextmanager
def new_module(folder: Path, text: str = MODULE) -> Iterator[None]:
    """Add one module to the folder of strategies."""
    folder.mkdir()
    (folder / f"{NAME}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategies, "__path__", [*strategies.__path__, str(folder)])
        try:
            yield
        finally:
            sys.modules.pop(f"{strategies.__name__}.{NAME}", None)


@contextmanager
def new_entry() -> Iterator[None]:
    """Add one entry to the table of traits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRAITS, NAME, Traits("volumes", "Volumes in the order of the alphabet", needs=Needs.NOTHING))
        yield
