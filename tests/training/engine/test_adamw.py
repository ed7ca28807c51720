"""Our AdamW takes the steps of torch's, and imports no compiler."""

import copy
import subprocess
import sys

import torch

from activelabel.training.engine.adamw import AdamW

STEPS = """
import sys
import torch
from activelabel.training.engine.adamw import AdamW

network = torch.nn.Linear(2, 2)
optimizer = AdamW(network.parameters(), fused=True)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5)
optimizer.zero_grad()
network(torch.ones(1, 2)).sum().backward()
optimizer.step()
schedule.step()
optimizer.load_state_dict(optimizer.state_dict())
print(sorted({"torch._dynamo", "sympy", "triton"} & set(sys.modules)))
"""


def trained(kind: type[torch.optim.AdamW]) -> list[torch.Tensor]:
    """Train a small network with a schedule, and take the state up again in the middle."""
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 2, 3)
    optimizer = kind(network.parameters(), lr=1e-2, weight_decay=0.1, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    for step in range(4):
        optimizer.zero_grad()
        network(torch.rand(1, 1, 5, 5, 5)).square().mean().backward()
        optimizer.step()
        schedule.step()
        if step == 1:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    return [*network.parameters(), *(state["exp_avg_sq"] for state in optimizer.state.values())]


def test_weights_and_moments_are_those_of_torch() -> None:
    ours, expected = trained(AdamW), trained(torch.optim.AdamW)
    assert len(ours) == len(expected) == 4
    assert all(torch.equal(one, other) for one, other in zip(ours, expected, strict=True))


def test_no_step_imports_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
