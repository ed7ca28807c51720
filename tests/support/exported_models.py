"""The fixtures that `tests/exchange/conftest.py` gives, as types."""

from collections.abc import Callable

from activelabel.exchange.exported import Exported

MakeExported = Callable[..., Exported]
