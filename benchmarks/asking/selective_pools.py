"""The pools of `selective.py`: cases, a network trained on some of them, and scores and features of the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.transforms import DivisiblePad, ResizeWithPadOrCrop
from torch import Tensor, nn
from torch.nn import functional

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.acquisition.volume_scores import volume_scores
from activelabel.data.label_checking import check_label
from activelabel.data.preprocessing import prepare_image, prepare_label
from activelabel.data.volumes import Volume, read_volume
from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.windows import Size3D
from activelabel.recipes import NetworkSettings, PreprocessingSettings, RegionSettings
from benchmarks.machine import DATA
from benchmarks.training.steps import Example, learn

Key = tuple[str, str, str]
"""The kind of a score: measure, region, aggregation."""
REGIONS = ("everything", "target", "boundary")
KEYS: list[Key] = list(product(MEASURES, REGIONS, ("total", "mean")))
AXIAL = 2  # of an image in RAS order
COARSEST = 8  # voxels per side of a bottleneck voxel: the product of the strides


@dataclass(frozen=True)
class Case:
    """A prepared case: `image` float32 and `label`, both `(1, W, H, D)`, axial slices along the last axis."""

    name: str
    image: Tensor
    label: Tensor


@dataclass(frozen=True)
class Design:
    """A network, its windows, and the length of its training."""

    network: NetworkSettings
    classes: int
    window_size: Size3D
    steps: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class Pool:
    """The pool by id: scores, voxels of target, and the network's features."""

    scores: dict[Key, dict[str, float]] = field(default_factory=lambda: {key: {} for key in KEYS})
    target_voxels: dict[str, int] = field(default_factory=dict)
    features: dict[str, Tensor] = field(default_factory=dict)


def brats_cases(spacing_mm: tuple[float, float, float] = (2.0, 2.0, 1.0)) -> list[Case]:
    """The four patients, the empty borders in the plane cut off; target is the whole tumour."""
    settings = PreprocessingSettings(intensity="zscore", spacing_mm=spacing_mm)
    cases = []
    for file in sorted((DATA / "brats2015").glob("*_flair.nii.gz")):
        volume = read_volume(file)
        # Air has the lowest value of each image; the preparation leaves 0 alone.
        air = volume.array == volume.array.min()
        image = prepare_image(
            Volume(np.where(air, np.float32(0), volume.array), volume.affine_ras, volume.path), settings
        )
        label = read_volume(file.with_name(file.name.replace("_flair", "_label")))
        tumour = prepare_label((label.array > 0).astype(np.uint8), volume.grid, settings)
        inside = [slice(int(at.min()), int(at.max()) + 1) for at in image.tensor[0].nonzero(as_tuple=True)]
        box = (slice(None), inside[0], inside[1], slice(None))
        name = file.name.removesuffix("_flair.nii.gz")
        cases.append(Case(name, image.tensor[box], tumour[box]))
    return cases


def hippocampus_cases() -> list[Case]:
    """The volumes unchanged; targets are the anterior and the posterior part."""
    settings = PreprocessingSettings()
    cases = []
    for file in sorted((DATA / "hippocampus" / "images").glob("*.nii.gz")):
        volume = read_volume(file)
        label = check_label(file.parents[1] / "labels" / file.name, volume.grid, ("anterior", "posterior"))
        image = prepare_image(volume, settings)
        name = file.name.removesuffix(".nii.gz")
        cases.append(Case(name, image.tensor, prepare_label(label.array, volume.grid, settings)))
    return cases


def train(design: Design, examples: Sequence[Example], seed: int) -> nn.Module:
    """A network trained on images and labels, each `(1, *window_size)`, in random order."""
    torch.manual_seed(seed)
    network = build_network(design.network, design.classes).train()
    # Dice over the batch: a slice without tumour then teaches too.
    loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    batches = (
        [examples[index] for index in torch.randperm(len(examples))[: design.batch_size]] for _ in range(design.steps)
    )
    return learn(network, batches, loss, design.learning_rate).eval()


def slice_examples(case: Case, window_size: Size3D, slices: Sequence[int]) -> list[Example]:
    """Some slices of a case, each an example, padded or cut to the window."""
    w, h, _ = window_size
    fit = ResizeWithPadOrCrop((w, h, -1))
    image, label = fit(case.image).as_tensor(), fit(case.label).as_tensor()
    return [(image[..., index : index + 1], label[..., index : index + 1]) for index in slices]


def volume_example(case: Case, window_size: Size3D) -> Example:
    """A whole case, padded or cut to the window."""
    fit = ResizeWithPadOrCrop(window_size)
    return fit(case.image).as_tensor(), fit(case.label).as_tensor()


def build_pools(
    network: nn.Module, design: Design, cases: Sequence[Case], repeats: int, seed: int
) -> tuple[Pool, Pool, float]:
    """The slices of `cases` as a pool, the volumes as another, and the mean Dice of the foreground over the cases."""
    slices, volumes = Pool(), Pool()
    predictor = Predictor(network, design.window_size, window_overlap=0.25)
    dices = []
    for case in cases:
        statistics = predictor.sample(case.image, repeats, seed)
        ids = [f"{case.name}, slice {index:03d}" for index in range(case.image.shape[-1])]
        for score in volume_scores(statistics, RegionSettings(), AXIAL, regions=REGIONS):
            key = (score.measure, score.region, score.aggregation)
            volumes.scores[key][case.name] = score.value
            slices.scores[key].update(zip(ids, score.slices or (), strict=True))
        in_slice = (case.label[0] > 0).sum(dim=(0, 1))
        volumes.target_voxels[case.name] = int(in_slice.sum())
        slices.target_voxels.update(zip(ids, in_slice.tolist(), strict=True))
        of_slices = slice_features(network, case.image, two_dimensional=design.window_size[AXIAL] == 1)
        volumes.features[case.name] = of_slices.mean(dim=0)
        slices.features.update(zip(ids, of_slices, strict=True))
        predicted, reference = statistics.mean.argmax(dim=0) > 0, case.label[0] > 0
        dices.append(2 * float((predicted & reference).sum()) / float(predicted.sum() + reference.sum()))
    return slices, volumes, sum(dices) / len(dices)


def slice_features(network: nn.Module, image: Tensor, two_dimensional: bool) -> Tensor:
    """The network's bottleneck for each slice of an image, averaged over the slice: `(slices, channels)`.

    A 3D network's bottleneck has fewer slices than the image: between two of its own, linear interpolation.
    """
    slices = image.shape[-1]
    if two_dimensional:
        padded = DivisiblePad((COARSEST, COARSEST, 1))(image).as_tensor()
        return bottleneck(network, padded.movedim(-1, 0).unsqueeze(-1)).flatten(2).mean(dim=2)
    padded = DivisiblePad(COARSEST)(image).as_tensor()
    deepest = bottleneck(network, padded[None])[0].mean(dim=(1, 2))
    features = functional.interpolate(deepest[None], size=padded.shape[-1], mode="linear")[0].T
    before = (padded.shape[-1] - slices) // 2
    return features[before : before + slices]


def bottleneck(network: nn.Module, images: Tensor) -> Tensor:
    """The output of the deepest convolution, the last of equally deep ones: `(B, channels, *coarse)`.

    It is taken before normalisation: instance normalisation removes the mean, which is needed here.
    """
    deepest: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not deepest or output[0, 0].numel() <= deepest[-1][0, 0].numel():
            deepest.append(output)

    hooks = [layer.register_forward_hook(keep) for layer in network.modules() if isinstance(layer, nn.Conv3d)]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return deepest[-1]
