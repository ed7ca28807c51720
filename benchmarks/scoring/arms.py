"""The arms of `beside_host.py`: the host's two scorers as its server calls them, ours, and bare forward passes."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from monai.transforms import (
    Activationsd,
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    NormalizeIntensityd,
    SpatialPadd,
    Transform,
)
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.tasks.infer_v2 import InferType
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.tasks.infer.basic_infer import BasicInferTask
from monailabel.tasks.scoring.epistemic import EpistemicScoring as HostV1
from monailabel.tasks.scoring.epistemic_v2 import EpistemicScoring as HostV2
from torch import Tensor, nn

from activelabel.acquisition.volume_scores import volume_scores
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.prediction.batching import BatchLimit
from activelabel.prediction.devices.precision import PrecisionName, choose_precision
from activelabel.prediction.dropout import Draw, monte_carlo_dropout, random_layers
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.windows import Size3D, window_grid
from activelabel.recipes import PreprocessingSettings, RegionSettings

CPU = torch.device("cpu")
SEED = 20261120
OVERLAP = 0.25  # used by both of the host's versions


@dataclass(frozen=True)
class Took:
    """The time of an arm: on the clock, and of all processors together, which other programs change less."""

    wall_seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Job:
    """The files to score, and the settings of the scoring."""

    files: list[Path]
    network: nn.Module
    window_size: Size3D
    repeats: int

    def time_host(self, scoring: ScoringMethod, request: dict[str, str]) -> Took:
        """The time of a scorer of the host for the files, none of which it has scored before."""
        folder = self.files[0].parent
        (folder / "datastore_v2.json").unlink(missing_ok=True)
        datastore = LocalDatastore(str(folder), extensions=("*.nii.gz",), auto_reload=False)
        took = timed(lambda: scoring(request, datastore))
        scored = [id for id in datastore.list_images() if "epistemic_entropy" in datastore.get_image_info(id)]
        if len(scored) != len(self.files):
            raise RuntimeError(f"the host scored {len(scored)} of {len(self.files)} files")
        return took

    def read(self, file: Path) -> Tensor:
        """One image, prepared as the host's arms do: `(1, W, H, D)`."""
        return torch.as_tensor(Compose(prepare(self.window_size))({"image": str(file)})["image"].as_tensor())

    def windows(self) -> list[Tensor]:
        """Every window of every image, `(1, 1, *window_size)`."""
        windows = []
        for image in map(self.read, self.files):
            _, w, h, d = image.shape
            for box in window_grid((w, h, d), self.window_size, OVERLAP).boxes():
                place = (slice(None), *box)
                windows.append(image[place][None].contiguous())
        return windows


def prepare(window_size: Size3D) -> list[Transform]:
    """Transforms that z-score, and pad to the window at least: the host's second version does not pad."""
    return [
        LoadImaged("image"),
        EnsureChannelFirstd("image"),
        NormalizeIntensityd("image"),
        SpatialPadd("image", spatial_size=window_size),
    ]


class HostInference(BasicInferTask):
    """The host's inference with dropout left on, as its own scoring needs it."""

    def __init__(self, network: nn.Module, window_size: Size3D) -> None:
        super().__init__(
            path=None,
            network=network,
            type=InferType.SEGMENTATION,
            labels=["foreground"],
            dimension=3,
            description="benchmark",
            roi_size=window_size,
            train_mode=True,
            skip_writer=True,
        )

    def pre_transforms(self, data: object = None) -> Sequence[Transform]:
        """The transforms of every arm."""
        return prepare(self.roi_size)

    def post_transforms(self, data: object = None) -> Sequence[Transform]:
        """Logits to probabilities."""
        return [Activationsd("pred", softmax=True)]


def host_v1(job: Job) -> Took:
    """The host's first version: entropy of the foreground."""
    transforms = prepare(job.window_size)
    scoring = HostV1(None, job.network, transforms, roi_size=job.window_size, num_samples=job.repeats)
    return job.time_host(scoring, {})


def host_v2(job: Job) -> Took:
    """The host's second version: entropy, through its inference task, two images side by side."""
    scoring = HostV2(HostInference(job.network, job.window_size), simulation_size=job.repeats)
    return job.time_host(scoring, {"device": "cpu"})


def ours(job: Job, precision: PrecisionName) -> Took:
    """All measures over all regions, of the volume and of each slice, read as our server reads."""
    predictor = Predictor(job.network, job.window_size, OVERLAP, precision=precision)

    def score() -> None:
        for file in job.files:
            image = prepare_image(read_volume(file), PreprocessingSettings(intensity="zscore"))
            statistics = predictor.sample(image.tensor, job.repeats, SEED)
            volume_scores(statistics, RegionSettings(), slice_axis=2)

    return timed(score)


def bare_with_torch_masks(job: Job, precision: PrecisionName) -> Took:
    """Forward passes, one window at a time, with torch's own dropout."""
    for layer in random_layers(job.network):
        layer.train()
    windows = job.windows() * job.repeats

    def run() -> None:
        with torch.no_grad(), autocast(precision):
            for window in windows:
                job.network(window)

    return timed(run)


def bare_with_our_masks(job: Job, precision: PrecisionName) -> Took:
    """Forward passes in batches as our engine makes them, with its masks."""
    windows = torch.cat(job.windows() * job.repeats)
    at_once = BatchLimit(math.prod(job.window_size), CPU).items

    def run() -> None:
        with torch.no_grad(), autocast(precision), monte_carlo_dropout(job.network, CPU, True) as dropout:
            for batch in windows.split(at_once):
                dropout.begin([Draw(SEED, 0, item) for item in range(len(batch))])
                job.network(batch)

    return timed(run)


ARMS: dict[str, Callable[[Job], Took]] = {
    "host v1": host_v1,
    "host v2": host_v2,
    "ours, float32": partial(ours, precision="float32"),
    "ours, auto": partial(ours, precision="auto"),
    "bare, torch's masks, float32": partial(bare_with_torch_masks, precision="float32"),
    "bare, torch's masks, auto": partial(bare_with_torch_masks, precision="auto"),
    "bare, our masks, float32": partial(bare_with_our_masks, precision="float32"),
    "bare, our masks, auto": partial(bare_with_our_masks, precision="auto"),
}


def timed(work: Callable[[], object]) -> Took:
    """The time of `work`."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def autocast(precision: PrecisionName) -> torch.autocast:
    """The autocast of our engine."""
    return torch.autocast("cpu", torch.bfloat16, enabled=choose_precision(precision, CPU).dtype == torch.bfloat16)
