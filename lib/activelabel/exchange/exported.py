"""A model that leaves its project: its network, what it needs to be used, and its card."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from activelabel.recipes import PredictionSettings
from activelabel.training.checkpoints import ModelDescription

LICENCE_NOT_GIVEN = "not given"


@dataclass(frozen=True)
class Exported:
    """A model that is exported.

    Attributes:
        name: the name of the recipe and the version, for people and files.
        version: its version in the project.
        network: on the CPU, in evaluation mode.
        description: its labels, network and preprocessing.
        prediction: how the network is run over a volume.
        modality: of the images, such as CT.
        metrics: by the validation cases.
        licence: of the model, in the words of whoever exports it.
        card: the model card, as Markdown.
    """

    name: str
    version: int
    network: nn.Module
    description: ModelDescription
    prediction: PredictionSettings
    modality: str
    metrics: dict[str, float]
    licence: str
    card: str

    def example(self, batch: int) -> Tensor:
        """Windows as the network takes them, of noise that is always the same."""
        random = torch.Generator().manual_seed(batch)
        return torch.randn((batch, self.description.inputs, *self.prediction.window_size), generator=random)
