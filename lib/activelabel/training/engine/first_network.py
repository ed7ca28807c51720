"""The network of a training with its first weights, as it trains fastest on its device."""

import torch
from torch import nn

from activelabel.networks import build_network
from activelabel.prediction.devices.choice import measured_choice
from activelabel.training.cpu_layers import with_cpu_layers
from activelabel.training.engine.plan import Plan
from activelabel.training.engine.steps import MixedPrecision, mixed_precision
from activelabel.training.engine.together import Together


def first_network(plan: Plan, device: torch.device, together: Together) -> tuple[nn.Module, MixedPrecision]:
    """The network of a plan with its first weights, on a device in the layout and precision that train fastest.

    Processes that train together have the choice of the first one: their gradients must have the same precision.
    """
    network = build_network(plan.model.network, plan.model.classes, plan.model.inputs)
    if plan.weights is not None:
        network.load_state_dict(plan.weights)
    precision = mixed_precision(plan.precision, device)
    if device.type == "cpu":
        return with_cpu_layers(network), precision
    return measured_network(network.to(device), plan, precision, together)


def measured_network(
    network: nn.Module, plan: Plan, precision: MixedPrecision, together: Together
) -> tuple[nn.Module, MixedPrecision]:
    """A network on its device in the fastest layout and, unless the plan asks for a precision, the fastest one."""
    settings = plan.training
    shape = (settings.batch_size * settings.patches_per_volume, plan.model.inputs, *settings.patch_size)
    dtypes = [precision.dtype]
    if plan.precision == "auto" and precision.dtype is not torch.float32:
        dtypes.append(torch.float32)
    choice = measured_choice("step", network, shape, dtypes, precision.device, plan.choices_file)
    choice = together.gathered([choice])[0]
    return network.to(memory_format=choice.memory_format), MixedPrecision(precision.device, choice.dtype)
