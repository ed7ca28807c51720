"""Networks whose values keep their channels innermost in memory, as fast convolutions need them."""

import copy

import torch
from torch import Tensor, fx, nn

# With fewer channels, torch's batch normalisation is slow in this layout.
_LEAST_CHANNELS = 16


def channels_last_copy(network: nn.Module, device: torch.device) -> nn.Module:
    """A copy of `network` on `device`, in evaluation mode, with the same output up to rounding.

    On a CPU, its instance normalisations are replaced: torch's own puts the channels outermost, so that each
    normalisation would copy the values there and back. The state of the copy has the same names and shapes.
    """
    network = copy.deepcopy(network).to(device).eval()
    if device.type == "cpu":
        keep_layout_at_norms(network)
    network.to(memory_format=torch.channels_last_3d)
    return network


def keep_layout_at_norms(network: nn.Module) -> None:
    """Replace the instance normalisations of `network` that have no running statistics; its state stays as it is."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.InstanceNorm3d) and not layer.track_running_stats:
                setattr(parent, name, ChannelsLastInstanceNorm(layer))


class ChannelsLastInstanceNorm(nn.Module):
    """An `nn.InstanceNorm3d` without running statistics whose result has the channels innermost."""

    def __init__(self, layer: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = layer.weight, layer.bias, layer.eps

    def forward(self, values: Tensor) -> Tensor:
        """Normalise each channel of each item `(B, C, W, H, D)` to mean 0, variance 1; then apply weights, if any."""
        return instance_norm(values, self.weight, self.bias, self.eps)


@fx.wrap
def instance_norm(values: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Instance normalisation, computed as batch normalisation of a batch of one, which keeps the layout."""
    if values.shape[1] < _LEAST_CHANNELS:
        normalised = torch.instance_norm(values, weight, bias, None, None, True, 0.0, eps, False)
        return normalised.contiguous(memory_format=torch.channels_last_3d)
    items = [torch.batch_norm(item, weight, bias, None, None, True, 0.0, eps, False) for item in values.split(1)]
    return torch.cat(items) if len(items) > 1 else items[0]
