"""Validation pads windows as prediction does."""

import pytest
import torch
from torch import Tensor

from activelabel.prediction.reflected_windows import ReflectedWindowInferer
from activelabel.prediction.windows import Size3D, window_grid

WINDOW = (8, 8, 8)


def least_and_middle(windows: Tensor) -> Tensor:
    """Return two "logits": the least value of a window at each of its voxels, and the window itself."""
    return torch.cat([torch.full_like(windows, windows.min().item()), windows], dim=1)


@pytest.mark.parametrize("margin", [(0, 0, 0), (2, 3, 0)])
@pytest.mark.parametrize("size", [(8, 8, 8), (3, 7, 8), (2, 1, 3), (12, 5, 9)])
def test_validation_windows_are_padded_as_those_of_a_prediction_without_zeros(size: Size3D, margin: Size3D) -> None:
    image = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0)) + 1
    seen: list[Tensor] = []

    def network(windows: Tensor) -> Tensor:
        seen.extend(windows.unbind())
        return least_and_middle(windows)

    logits = ReflectedWindowInferer(WINDOW, 0.25, batch_size=1, margin=margin)(image, network)

    grid = window_grid(size, WINDOW, 0.25, margin)
    padded = grid.pad(image[0])
    expected = [padded[(slice(None), *box)] for box in grid.boxes()]
    torch.testing.assert_close(torch.stack(seen), torch.stack(expected))
    assert logits.shape == (1, 2, *size)
    assert logits[0, 0].min() >= 1  # MONAI's own would have padded with 0
    torch.testing.assert_close(logits[:, 1:], image)
