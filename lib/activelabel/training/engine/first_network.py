"""The network of a training with its first weights, as it trains fastest on its device."""

from torch import nn

from activelabel.networks import build_network
from activelabel.training.cpu_layers import with_cpu_layers
from activelabel.training.engine.layout_choice import measured_layout
from activelabel.training.engine.plan import Plan
from activelabel.training.engine.steps import MixedPrecision


def first_network(plan: Plan, precision: MixedPrecision) -> nn.Module:
    """The network of a plan with its first weights, on a device, in the memory layout that trains fastest."""
    settings, device = plan.training, precision.device
    network = build_network(plan.model.network, plan.model.classes, plan.model.inputs)
    if plan.weights is not None:
        network.load_state_dict(plan.weights)
    if device.type == "cpu":
        return with_cpu_layers(network)
    network = network.to(device)
    shape = (settings.batch_size * settings.patches_per_volume, plan.model.inputs, *settings.patch_size)
    layout = measured_layout(network, shape, precision, plan.layouts_file)
    return network.to(memory_format=layout)
