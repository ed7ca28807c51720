"""A model as TorchScript, which runs where neither this app nor the code of its network is installed."""

import io
import warnings

import torch

from activelabel.errors import InvalidInputError
from activelabel.exchange.exported import Exported

_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


def torchscript(model: Exported) -> bytes:
    """The bytes of a TorchScript file: windows (B, 1, *window_size) to logits (B, C, *window_size), for any B.

    It is traced with one batch and compared with the network on another.

    Raises:
        InvalidInputError: the network cannot be traced, or what was traced gives another result.
    """
    other = model.example(2)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each `if` of a network is a warning; the comparison shows whether it matters
        try:
            script = torch.jit.trace(model.network, model.example(1), check_trace=False)
            given, expected = script(other), model.network(other)
        except Exception as error:  # a network may raise anything
            raise not_exportable("TorchScript", error) from error
        if not torch.allclose(given, expected, rtol=_RELATIVE, atol=_ABSOLUTE):
            raise not_exportable("TorchScript", "it gives another result for another batch")
        content = io.BytesIO()
        torch.jit.save(script, content)
    return content.getvalue()


def not_exportable(form: str, reason: object) -> InvalidInputError:
    """The error for a network that cannot be written in a form, in one line."""
    line = " ".join((str(reason).strip() or type(reason).__name__).splitlines()[0].split())[:200]
    return InvalidInputError(
        f"--format: the network of this model has no {form} form ({line}): its code decides by values, or uses an "
        f"operation that {form} does not have; change the network, or choose another format"
    )
