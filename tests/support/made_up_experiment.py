"""The folder of an experiment that never took place: its curves are known, and so is the report on it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from small_studies import TINY_RECIPE, write_image, write_model

from activelabel.recipes import load_recipe
from activelabel.simulation.tables import RunTables

Curve = Callable[[int], float]
"""From the round to the mean Dice of its model."""

SIZE, SLICES, FOREGROUND_SLICES, VOXELS, CONTOUR_MM = 2, 10, 4, 100, 50.0
"""Volumes a round, and of each volume its slices, those with foreground, its foreground voxels and contour."""
LABELS = ("liver", "tumour")


def make_experiment(
    folder: Path,
    curves: Mapping[str, Curve],
    seeds: int = 4,
    rounds: int = 4,
    cases: int = 3,
    rounds_done: Mapping[tuple[str, int], int] | None = None,
    with_images: bool = False,
) -> Path:
    """Write an experiment whose round r cost 2 (r + 1) volumes, and whose Dice lies around `curves[arm](r)`.

    The Dice of the cases and structures of an arm lies symmetrically around its curve, in the same way in every arm and
    seed; each further seed adds 0.0001, or takes it away in every other arm. `rounds_done` gives for a run how many of
    its `rounds + 1` rounds exist.
    """
    names, pool = [f"test_{case}" for case in range(cases)], [f"pool_{index}" for index in range(SIZE * (rounds + 1))]
    arm = {"recipe": "tiny", "start": SIZE, "query_size": SIZE, "rounds": rounds}
    description = {
        "version": "0", "images": {image_id: str(folder / f"{image_id}.nii.gz") for image_id in pool}, "labels": {},
        "pool": pool, "test": names, "conf": {}, "seeds": seeds,
        "arms": {name: {"name": name, "strategy": name, **arm} for name in curves},
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text(json.dumps(description))
    for place, (name, curve) in enumerate(curves.items()):
        for seed in range(seeds):
            done = (rounds_done or {}).get((name, seed), rounds + 1)
            run = folder / "runs" / name / str(seed)
            run.mkdir(parents=True)
            if done:
                better = 0.0001 * (seeds - 1 - seed if place % 2 else seed)
                _write_run(run, name, seed, [curve(number) + better for number in range(done)], names)
    if with_images:
        _write_images(folder, pool)
    return folder


def _write_run(run: Path, arm: str, seed: int, means: Sequence[float], cases: Sequence[str]) -> None:
    recipe = load_recipe(str(TINY_RECIPE)).model_dump(mode="json")
    (run / "settings.json").write_text(json.dumps({"strategy": arm, "seed": seed, "recipe": recipe}))
    rounds = range(len(means))
    queries = [_query(arm, number, place) for number in rounds for place in range(SIZE)]
    metrics = [
        {"round": number, "model_version": number + 1, "case": case, "label": label, **_judged(dice)}
        for number, mean in enumerate(means)
        for place, case in enumerate(cases)
        for sign, label in zip((1, -1), LABELS, strict=True)
        for dice in [mean + 0.02 * (place - (len(cases) - 1) / 2) + 0.05 * sign]
    ]
    models = [
        {"round": number, "model_version": number + 1, "sha256": "", "file": "model.safetensors",
         "training_seconds": 60.0, "scoring_seconds": 30.0}
        for number in rounds
    ]  # fmt: skip
    tables = RunTables(run)
    tables.queries.add(queries)
    tables.metrics.add(metrics)
    tables.models.add(models)


def _query(arm: str, number: int, place: int) -> dict[str, object]:
    return {
        "order": SIZE * number + place, "round": number, "image_id": f"pool_{SIZE * number + place}",
        "role": "training", "kind": "volume", "axis": None, "slices": None,
        "strategy": arm if number else "random_volumes", "model_version": number or None,
        "score": 1.0 / (number + 1) if number else None, "reason": f"number {place + 1} of round {number}",
        "annotated_slices": SLICES, "foreground_slices": FOREGROUND_SLICES, "foreground_voxels": VOXELS,
        "boundary_mm": CONTOUR_MM,
    }  # fmt: skip


def _judged(dice: float) -> dict[str, float]:
    return {
        "dice": dice, "relative_volume_error": 100 * (1 - dice), "mean_surface_distance": 2 * (1 - dice),
        "hausdorff_distance": 10 * (1 - dice),
    }  # fmt: skip


def _write_images(folder: Path, pool: Sequence[str]) -> None:
    """Write images to ask for, and an untrained model for every run."""
    for number, image_id in enumerate(pool):
        write_image(folder / f"{image_id}.nii.gz", seed=number)
    for run in folder.glob("runs/*/*"):
        (run / "project" / "models").mkdir(parents=True)
        write_model(run / "project" / "models" / "model.safetensors", LABELS)
