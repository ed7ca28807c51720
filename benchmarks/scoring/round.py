"""A round's scoring, the first and the second, split into its parts, beside the host's scoring of the same files.

    OMP_NUM_THREADS=1 python -m benchmarks.scoring.round [--sizes hippocampus ct 192x192x96] [--volumes N] [--shrink 4]
    ... --precision float32 bfloat16      # each in the same run, instead of the one that this machine is best at

A project with a model scores all its images; then a second model of the same weights scores them again, from the
prepared images that were kept. Beside it, group by group in turn: bare forward passes, and the host's scoring
(epistemic, version 2) with the same network, windows and repeats. Seconds are those of the processor, because other
programs share the machine; use one thread. How many times the bare passes a round takes is also printed by the clock,
by which its user waits: on a quiet machine, and for all cores with GOMP_SPINCOUNT=1000 instead of OMP_NUM_THREADS=1, as
the server and the command `activelabel` have it (`activelabel.idle_threads`).

Arms of ours: `all` makes all repeats for each volume; `racing` only for those that may be asked for, one in eight;
`apart` has windows that overlap no more than they must (`prediction.window_overlap = 0`), and `racing apart` both;
`last` has one random layer, the last, so that the rest runs once (`prediction.random_layers = 1`); `single` is a pass
without dropout (`prediction.repeats = 0`). Bare passes are the engine's own: its layout, shared part, masks and
batches; `plain` ones those of the network as it was built, in float32, with the same masks and batches, as in
`beside_host.py`. Each arm's seconds are printed as it ends, with the most memory that this process has had until then.

The size `ct` has volumes of 512x512x397 voxels; `--shrink 4` makes them a quarter along each axis, in windows of 32.
"""

import argparse
import dataclasses
import logging
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import nibabel
import numpy as np
import torch
from monai.transforms import Spacingd, Transform
from monailabel.datastore.local import LocalDatastore
from monailabel.tasks.scoring.epistemic_v2 import EpistemicScoring as HostV2
from torch import nn

from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.loop import scoring as loop_scoring
from activelabel.loop.scoring import VolumeScoring
from activelabel.networks import build_network
from activelabel.prediction.batching import Job
from activelabel.prediction.devices.precision import PrecisionName, choose_precision
from activelabel.prediction.dropout import Draw, RandomDropout, monte_carlo_dropout
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.prepared import images as prepared_images
from activelabel.prediction.prepared.known import KnownFiles
from activelabel.prediction.sharing import SharedFeatures
from activelabel.prediction.windows import Size3D, WindowedVolume
from activelabel.project.models.publishing import publish_model
from activelabel.project.opening import open_project
from activelabel.recipes import Recipe, load_recipe
from activelabel.store.ledger import Ledger
from benchmarks.machine import DATA, cpu_name, peak_megabytes
from benchmarks.scoring.arms import CPU, OVERLAP, SEED, HostInference, prepare
from benchmarks.training.arms import Files

CLASSES = 3
CT: Size3D = (512, 512, 397)
CT_SPACING_MM = (0.8, 0.8, 1.0)
ARMS: Mapping[str, dict[str, Any]] = {
    "all": {},
    "racing": {"racing": True},
    "apart": {"window_overlap": 0.0},
    "racing apart": {"racing": True, "window_overlap": 0.0},
    "last": {"random_layers": 1},
    "single": {"repeats": 0},
}
"""Our arms, with what each changes in the recipe's `[prediction]`."""
ASKED = 8
"""One in so many volumes is asked for in a round."""


@dataclass(frozen=True)
class Size:
    """Images to score: real volumes, or noise of a `shape`, with the network of a recipe in windows of a size."""

    recipe: str
    volumes: int
    shape: Size3D | None = None
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    window: Size3D | None = None
    resampled: bool = False
    modality: str = "MR"
    precisions: tuple[PrecisionName, ...] = ("auto",)


@dataclass
class Took:
    """Processor seconds of each part, of everything, and on the clock."""

    parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    processor: float = 0.0
    clock: float = 0.0

    def __iadd__(self, other: "Took") -> "Took":
        for name, seconds in other.parts.items():
            self.parts[name] += seconds
        self.processor, self.clock = self.processor + other.processor, self.clock + other.clock
        return self


PARTS = ("read", "prepare", "forward", "statistics", "ledger")
"""`read` has the reading and checking of kept images, and what keeping them costs."""


def main() -> None:
    """Read the command line, and print a table for each size."""
    parser, arms = argparse.ArgumentParser(description=__doc__.splitlines()[0]), [*ARMS, "bare", "plain", "host"]
    parser.add_argument("--sizes", nargs="+", choices=sizes(1), default=list(sizes(1)))
    parser.add_argument("--volumes", type=int, help="how many, instead of 100, 40 and 2")
    parser.add_argument("--shrink", type=int, default=1, help="makes CT-sized volumes smaller along each axis")
    parser.add_argument("--precision", nargs="+", choices=get_args(PrecisionName), default=["auto"])
    parser.add_argument("--arms", nargs="+", choices=arms, default=arms)
    parser.add_argument(
        "--groups", type=int, default=2, help="in how many groups of volumes the arms take turns; racing is within one"
    )
    arguments = parser.parse_args()
    if arguments.groups < 1:
        parser.error(f"--groups: expected 1 or more, got {arguments.groups}")
    # What they say of these images and of a codec that is not there comes hundreds of times, and changes nothing here.
    for talkative in ("activelabel.project.readability", "monai.data"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    for precision in arguments.precision:
        print(f"precision: {precision} = {choose_precision(precision, CPU)}")
    for name in arguments.sizes:
        size = sizes(arguments.shrink)[name]
        volumes = arguments.volumes or size.volumes
        size = dataclasses.replace(size, volumes=volumes, precisions=tuple(arguments.precision))
        with tempfile.TemporaryDirectory() as work:
            print_table(name, size, measure(size, Path(work), arguments.arms, arguments.groups))


def sizes(shrink: int) -> dict[str, Size]:
    """The sizes by name."""
    width, height, depth = (length // shrink for length in CT)
    window = None if shrink == 1 else (32, 32, 32)
    return {
        "hippocampus": Size("quick", 100),
        "ct": Size("rahimi2022", 40, (width, height, depth), CT_SPACING_MM, window, resampled=True, modality="CT"),
        "192x192x96": Size("rahimi2022", 2, (192, 192, 96)),
    }


def recipe_of(size: Size) -> Recipe:
    """The recipe in windows of the size, on the images' own voxels unless these are resampled."""
    recipe = load_recipe(size.recipe)
    window, resampling = size.window or recipe.prediction.window_size, {} if size.resampled else {"spacing_mm": None}
    prediction = recipe.prediction.model_copy(update={"window_size": window, "window_overlap": OVERLAP})
    preprocessing = recipe.preprocessing.model_copy(update=resampling)
    return recipe.model_copy(update={"prediction": prediction, "preprocessing": preprocessing})


def arms_of(recipe: Recipe) -> dict[str, Recipe]:
    """Our arms by name."""
    return {
        name: recipe.model_copy(update={"prediction": recipe.prediction.model_copy(update=changed)})
        for name, changed in ARMS.items()
    }


def measure(size: Size, work: Path, arms: Collection[str], count: int) -> dict[str, Took]:
    """What each of `arms` took for all volumes; the arms take turns, one of `count` groups of volumes each."""
    recipe, found = recipe_of(size), defaultdict[str, Took](Took)
    torch.manual_seed(SEED)
    network = build_network(recipe.network, CLASSES).eval()
    files = write_images(size, recipe, work / "images")
    groups = [files[first::count] for first in range(min(count, len(files)))]

    def note(arm: str, took: Took) -> None:
        found[arm] += took
        seconds = f"{took.processor:.2f} s of the processor, {took.clock:.2f} s by the clock"
        print(f"  {arm}: {seconds}, peak {peak_megabytes():.0f} MB", flush=True)

    for number, group in enumerate(groups):
        for (name, own), precision in product(arms_of(recipe).items(), size.precisions):
            if name not in arms:
                continue
            folder = work / f"{name}_{precision}_{number}"
            for turn, took in enumerate(rounds(own, size, precision, network, group, folder), start=1):
                note(f"{name}, {precision}, round {turn}", took)
        if "bare" in arms:
            for precision in size.precisions:
                note(f"bare, {precision}", bare(recipe, size, precision, network, group))
        if "plain" in arms:
            note("bare, plain", bare(recipe, size, "float32", network, group, plain=True))
        if "host" in arms:
            note("host", host(recipe, size, network, group, work / f"host_{number}"))
    return dict(found)


def write_images(size: Size, recipe: Recipe, folder: Path) -> list[Path]:
    """The files to score: real ones, or noise of the wanted shape, the same in every run."""
    if size.shape is None:
        files = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))
        # The host's version 2 fails on a volume that exceeds the window along its first axis only.
        fitting = [file for file in files if nibabel.load(file).shape[0] <= recipe.prediction.window_size[0]]
        return fitting[: size.volumes]
    folder.mkdir()
    rng = np.random.default_rng(SEED)
    for number in range(size.volumes):
        noise = rng.normal(0, 300, size.shape).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(noise, np.diag([*size.spacing_mm, 1])), folder / f"noise_{number}.nii.gz")
    return sorted(folder.glob("*.nii.gz"))


def rounds(
    recipe: Recipe, size: Size, precision: PrecisionName, network: nn.Module, files: Sequence[Path], folder: Path
) -> Iterator[Took]:
    """What two scorings took: with nothing kept, and with the images that the first has kept."""
    folder.mkdir()
    strategy = "entropy" if recipe.prediction.repeats == 0 else recipe.query.strategy
    conf = {"recipe": recipe.name, "labels": "a,b", "device": "cpu", "modality": size.modality}
    conf |= {"precision": precision, "retrain_after": "1"}
    opened = open_project("app", str(folder), {**conf, "strategy": strategy, "prepared_gb": "20"})
    asked = {"size": max(len(files) // ASKED, 1)}
    recipe = recipe.model_copy(update={"query": opened.recipe.query.model_copy(update=asked)})
    project = dataclasses.replace(opened, recipe=recipe)
    names = {file.name.removesuffix(".nii.gz"): file for file in files}
    project.ledger.sync_images(names, 0)
    for _ in range(2):
        publish_model(project, network.state_dict(), {}, [])
        scoring = VolumeScoring(project, "entropy")
        with timed_parts() as took:
            done = scoring.run(Files(names))
        if done["scored"] != len(files):
            raise RuntimeError(f"{done['scored']} of {len(files)} files were scored: {done['unreadable']}")
        yield took


@contextmanager
def timed_parts() -> Iterator[Took]:
    """A context that measures what the parts of a scoring in it take, in any thread."""
    took = Took()

    def timed(part: str, of: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        started = time.thread_time()
        try:
            return of(*arguments, **options)
        finally:
            took.parts[part] += time.thread_time() - started

    def forwards(of: Callable[..., Any], *arguments: Any) -> Any:
        return partial(timed, "forward", of(*arguments))

    places: list[tuple[Any, str, str]] = [
        (prepared_images, "read_volume", "read"),
        (prepared_images, "open_prepared", "read"),
        (prepared_images, "write_prepared", "read"),
        (KnownFiles, "source", "read"),
        (prepared_images, "prepare_image", "prepare"),
        (MonteCarloStatistics, "update_all", "statistics"),
        (MonteCarloStatistics, "update_logits", "statistics"),
        (MonteCarloStatistics, "of_single_pass", "statistics"),
        (Predictor, "_probable", "statistics"),
        (loop_scoring, "all_image_scores", "statistics"),
        *((Ledger, name, "ledger") for name in LEDGER),
    ]
    with ExitStack() as patches:
        for owner, name, part in places:
            whole = getattr(owner, name)
            replacement = wrapped(partial(timed, part), whole, is_method=isinstance(owner, type))
            patches.enter_context(mock.patch.object(owner, name, replacement))
        build = Predictor._stochastic_forward
        patches.enter_context(
            mock.patch.object(Predictor, "_stochastic_forward", lambda *arguments: forwards(build, *arguments))
        )
        started, clock = time.process_time(), time.perf_counter()
        yield took
        took.processor, took.clock = time.process_time() - started, time.perf_counter() - clock


LEDGER = ("record_scores_of_images", "unscored", "image", "images", "current_labels", "fix_slices", "record_file")


def wrapped(timed: Callable[..., Any], of: Callable[..., Any], *, is_method: bool) -> Callable[..., Any]:
    """A function, or a method of instances or of a class, that is timed."""
    if is_method and not hasattr(of, "__self__"):
        return lambda *arguments, **options: timed(of, *arguments, **options)
    return partial(timed, of)


def bare(
    recipe: Recipe,
    size: Size,
    precision: PrecisionName,
    network: nn.Module,
    files: Sequence[Path],
    *,
    plain: bool = False,
) -> Took:
    """What nothing but the forward passes with dropout take, in the batches of the engine."""
    repeats, took = recipe.prediction.repeats, Took()
    predictor = Predictor(network, recipe.prediction.window_size, OVERLAP, precision=precision)
    intensity = {"intensity": "window" if size.modality == "CT" else "zscore"}
    for file in files:
        image = prepare_image(read_volume(file), recipe.preprocessing.model_copy(update=intensity))
        volume = predictor._windowed(image.tensor)
        at_once = predictor._repeats_at_once(volume, repeats)
        groups = [range(first, min(first + at_once, repeats)) for first in range(0, repeats, at_once)]
        jobs = [job for group in groups for job in predictor._limit.jobs(volume.occupied, group)]
        used = network if plain else predictor._network
        with torch.no_grad(), predictor._autocast(), monte_carlo_dropout(used, CPU, True) as dropout:
            features = SharedFeatures(predictor._split.shared, predictor._kept_bytes() if len(groups) > 1 else 0)
            forward = predictor._stochastic_forward(volume, features, dropout, SEED)
            run = partial(plain_forward, network, volume, dropout) if plain else forward
            started, clock = time.process_time(), time.perf_counter()
            for job in jobs:
                run(job)
            seconds = time.process_time() - started
        took += Took({"forward": seconds}, seconds, time.perf_counter() - clock)
    return took


def plain_forward(network: nn.Module, volume: WindowedVolume, dropout: RandomDropout, job: Job) -> None:
    """A batch through the network as it was built."""
    dropout.begin([Draw(SEED, repeat, window) for window in job.windows for repeat in job.repeats])
    network(volume.batch(job.windows).repeat_interleave(len(job.repeats), 0))


class Resampling(HostInference):
    """The host's inference, with the images on the grid of the recipe."""

    spacing_mm: tuple[float, float, float] | None = None

    def pre_transforms(self, data: object = None) -> list[Transform]:
        """Those of the other benchmarks, after a resampling if there is one."""
        first, second, *others = prepare(self.roi_size)
        spacing = [Spacingd("image", pixdim=self.spacing_mm, mode="bilinear")] if self.spacing_mm else []
        return [first, second, *spacing, *others]


def host(recipe: Recipe, size: Size, network: nn.Module, files: Sequence[Path], folder: Path) -> Took:
    """What the host's scorer takes for files that it has not scored before."""
    folder.mkdir()
    for file in files:
        (folder / file.name).symlink_to(file)
    datastore = LocalDatastore(str(folder), extensions=("*.nii.gz",), auto_reload=False)
    inference = Resampling(network, recipe.prediction.window_size)
    inference.spacing_mm = recipe.preprocessing.spacing_mm
    scoring = HostV2(inference, simulation_size=recipe.prediction.repeats)
    started, clock = time.process_time(), time.perf_counter()
    scoring({"device": "cpu"}, datastore)
    took = Took({}, time.process_time() - started, time.perf_counter() - clock)
    scored = [one for one in datastore.list_images() if "epistemic_entropy" in datastore.get_image_info(one)]
    if len(scored) != len(files):
        raise RuntimeError(f"the host scored {len(scored)} of {len(files)} files")
    network.eval()
    return took


def print_table(name: str, size: Size, found: Mapping[str, Took]) -> None:
    """Print what each arm took, and how it compares with the bare passes and with the host."""
    recipe = recipe_of(size)
    windows = "x".join(map(str, recipe.prediction.window_size))
    print(f"\n{name}: {size.volumes} volumes, network of {size.recipe}, windows {windows}, ", end="")
    print(f"{recipe.prediction.repeats} repeats; seconds a volume")
    compared = ("times bare", "times bare by the clock", "times bare, plain", "times faster than the host")
    heads = ("processor", *PARTS, "rest", "clock", *compared)
    print(f"| arm | {' | '.join(heads)} |")
    print(f"|---|{'---:|' * len(heads)}", flush=True)
    for arm, took in found.items():
        parts = [took.parts.get(part, 0.0) for part in PARTS]
        numbers = [took.processor, *parts, took.processor - sum(parts), took.clock]
        host_times = f"{found['host'].processor / took.processor:.1f}" if "host" in found else ""
        precision = next((one for one in size.precisions if f", {one}, " in f"{arm}, "), None)
        own, plain = found.get(f"bare, {precision}"), found.get("bare, plain")
        against = [
            "" if own is None else f"{took.processor / own.processor:.2f}",
            "" if own is None else f"{took.clock / own.clock:.2f}",
            "" if plain is None else f"{took.processor / plain.processor:.2f}",
        ]
        shown = [f"{one / size.volumes:.4f}" for one in numbers]
        print(f"| {' | '.join([arm, *shown, *against, host_times])} |", flush=True)


if __name__ == "__main__":
    main()
