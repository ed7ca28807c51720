"""Networks small enough for every test, and an image for them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


class EncoderDecoder(nn.Module):
    """Two levels with a skip connection; counts how often its encoder runs."""

    def __init__(self, encoder_dropout: float, decoder_dropout: float, classes: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1),
            nn.BatchNorm3d(4),
            nn.Dropout(encoder_dropout),
            nn.ReLU(),
            nn.Conv3d(4, 8, 2, stride=2),
            nn.InstanceNorm3d(8),
        )
        self.upsample = nn.Upsample(scale_factor=2)
        self.dropout = nn.Dropout(decoder_dropout)
        self.head = nn.Conv3d(9, classes, 1)
        nn.init.normal_(self.head.weight, std=1.5)

    def forward(self, image: Tensor) -> Tensor:
        upsampled: Tensor = self.upsample(self.encoder(image))
        logits: Tensor = self.head(self.dropout(torch.cat([upsampled, image], dim=1)))
        return logits


@pytest.fixture
def make_network() -> Callable[..., EncoderDecoder]:
    """A network with random weights of a fixed seed; the global generator is not changed."""

    def make(encoder_dropout: float = 0.2, decoder_dropout: float = 0.2, classes: int = 3) -> EncoderDecoder:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return EncoderDecoder(encoder_dropout, decoder_dropout, classes)

    return make


@pytest.fixture
def image() -> Tensor:
    """A volume of several windows of (8, 8, 8), of noise around a bright ball."""
    generator = torch.Generator().manual_seed(5)
    x, y, z = torch.meshgrid(torch.arange(14.0), torch.arange(11.0), torch.arange(9.0), indexing="ij")
    ball = (x - 7) ** 2 + (y - 5) ** 2 + (z - 4) ** 2 < 12
    return torch.randn((1, 14, 11, 9), generator=generator) * 0.5 + ball * 2
