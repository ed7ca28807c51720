"""TorchScript: one file for any batch, or one line that says why not."""

import io

import pytest
import torch
from exported_models import MakeExported
from torch import Tensor, nn

from activelabel.errors import InvalidInputError
from activelabel.exchange.traced import torchscript
from activelabel.networks import build_network
from activelabel.recipes import NetworkSettings

SMALL = {"channels": (4, 8), "strides": (2,)}
KINDS = [
    NetworkSettings(kind="unet", residual_units=2, upsampling="smoothed", **SMALL),
    NetworkSettings(kind="unet2d", residual_units=0, normalisation="batch", **SMALL),
    NetworkSettings(kind="residual_unet", padding="repeated", **SMALL),
    NetworkSettings(kind="anisotropic_unet", residual_units=0, **SMALL),
]


@pytest.mark.parametrize("settings", KINDS, ids=lambda settings: settings.kind)
def test_every_network_of_the_app_gives_the_same_logits_for_any_batch(
    make_exported: MakeExported, settings: NetworkSettings
) -> None:
    model = make_exported(network=build_network(settings, classes=3))
    script = torch.jit.load(io.BytesIO(torchscript(model)))
    windows = model.example(3)
    with torch.no_grad():
        assert torch.allclose(script(windows), model.network(windows), atol=1e-5)


class Failing(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        raise RuntimeError("no forward today\nand a second line")


def test_a_network_that_fails_is_refused_in_one_line(make_exported: MakeExported) -> None:
    with pytest.raises(InvalidInputError, match=r"no TorchScript form \(no forward today\)") as refused:
        torchscript(make_exported(network=Failing()))
    assert len(str(refused.value).splitlines()) == 1
