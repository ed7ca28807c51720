"""The network of a training with its first weights, as it trains fastest on its device."""

import torch
from torch import nn

from activelabel.networks import build_network
from activelabel.prediction.devices.choice import measured_choice
from activelabel.prediction.devices.cpu_precision import cpu_precision
from activelabel.prediction.devices.freed_memory import more_kept_for_training
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
    if device.type == "cpu":
        return network_on_cpu(network, plan, together)
    return measured_network(network.to(device), plan, mixed_precision(plan.precision, device), together)


def network_on_cpu(network: nn.Module, plan: Plan, together: Together) -> tuple[nn.Module, MixedPrecision]:
    """A network with the layers of a CPU and, unless the plan asks for a precision, the fastest one."""
    network = with_cpu_layers(network)
    with more_kept_for_training(together.processes):  # as while it trains
        found = cpu_precision("step", network, plan.precision, step_shape(plan), plan.choices_file).dtype
    dtype = together.gathered([found])[0]
    return network, MixedPrecision(torch.device("cpu"), dtype)


def measured_network(
    network: nn.Module, plan: Plan, precision: MixedPrecision, together: Together
) -> tuple[nn.Module, MixedPrecision]:
    """A network on its device in the fastest layout and, unless the plan asks for a precision, the fastest one."""
    dtypes = [precision.dtype]
    if plan.precision == "auto" and precision.dtype is not torch.float32:
        dtypes.append(torch.float32)
    choice = measured_choice("step", network, step_shape(plan), dtypes, precision.device, plan.choices_file)
    choice = together.gathered([choice])[0]
    return network.to(memory_format=choice.memory_format), MixedPrecision(precision.device, choice.dtype)


def step_shape(plan: Plan) -> tuple[int, ...]:
    """The shape (B, C, *S) of a step's annotated patches."""
    settings = plan.training
    return (settings.batch_size * settings.patches_per_volume, plan.model.inputs, *settings.patch_size)
