"""AdamW, of which torch's own compiler is no part."""

from collections.abc import Callable
from typing import Any

import torch


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`, called without the wrappers that keep `torch.compile` off its methods.

    These import `torch._dynamo` at their first call, which takes 1.5 s of a processor and 100 MB in each training, most
    of it for sympy and triton. Nothing here is compiled. The methods themselves are torch's.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch has it as two overloads
        """Take one step, as `torch.optim.AdamW.step`."""
        return _unwrapped(torch.optim.AdamW.step)(self, closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As `torch.optim.Optimizer.zero_grad`."""
        _unwrapped(torch.optim.Optimizer.zero_grad)(self, set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As `torch.optim.Optimizer.add_param_group`."""
        _unwrapped(torch.optim.Optimizer.add_param_group)(self, param_group)

    def state_dict(self) -> dict[str, Any]:
        """As `torch.optim.Optimizer.state_dict`."""
        return _unwrapped(torch.optim.Optimizer.state_dict)(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As `torch.optim.Optimizer.load_state_dict`."""
        _unwrapped(torch.optim.Optimizer.load_state_dict)(self, state_dict)


def _unwrapped(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method below its decorators; itself where this version of torch has none."""
    while hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    return method
