"""What tells a project from all others: a client sends what waits to its own project alone."""

import secrets

from activelabel.store.ledger import Ledger

FACT = "identity"
_BYTES = 8
"""Enough that no two projects draw the same number."""


def fixed_identity(ledger: Ledger) -> str:
    """The identity of the project whose ledger this is: it is drawn when the project is first opened, for good.

    It is in the ledger, so a ledger that was moved or restored is the same project at whatever address, and an import
    of an exported project is another one.
    """
    known = ledger.fact(FACT)
    if known is None:
        known = ledger.fix_fact(FACT, secrets.token_hex(_BYTES), "drawn when the project was first opened")
    return known.value
