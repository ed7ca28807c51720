"""The description of an experiment, and its folder, in which it can be stopped, continued and read."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from activelabel import __version__
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.names import CONVERTED
from activelabel.data.files.writing import write_atomically
from activelabel.errors import InvalidInputError
from activelabel.simulation.arms import Arm, recipe_content
from activelabel.simulation.cases import Cases, link_images
from activelabel.simulation.folder_names import EXPERIMENT_FILE, LOCK_FILE

SET_BY_RUNS: Mapping[str, str] = {
    "recipe": "--recipe", "strategy": "--strategy", "seed": "--seeds", "start": "--start",
    "query_size": "--query-size", "project_dir": "--out", "database_url": "--out", "database_url_file": "--out",
    "links_out_of_studies": "--images",
}  # fmt: skip
"""Settings of the server that differ from run to run, each with the option or the place that sets it."""


@dataclass(frozen=True)
class Experiment:
    """Arms with several seeds on one set of cases. `conf` holds settings of the server for all runs."""

    arms: tuple[Arm, ...]
    seeds: int
    cases: Cases
    conf: Mapping[str, str]

    @property
    def runs(self) -> list[tuple[Arm, int]]:
        """Every arm with every seed, one seed after the other, so that the arms of one seed can soon be compared."""
        return [(arm, seed) for seed in range(self.seeds) for arm in self.arms]

    @property
    def models(self) -> int:
        """The number of models that all runs train."""
        return self.seeds * sum(arm.rounds + 1 for arm in self.arms)


def open_experiment(experiment: Experiment, out: Path) -> None:
    """Begin an experiment in a folder, or continue it; arms and seeds may be new since.

    Raises:
        InvalidInputError: the folder holds an experiment on other cases, or an arm of that name with other numbers; or
            the folder cannot be made.
    """
    described, file = _described(experiment), out / EXPERIMENT_FILE
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"--out {out}: no folder can be made there ({error.strerror}): give another") from error
    foreign = InvalidInputError(f"--out {out}: the folder is not empty and holds no experiment: give another one")
    names = {path.name for path in out.iterdir()}
    if names and names.isdisjoint({EXPERIMENT_FILE, LOCK_FILE, CONVERTED}):
        raise foreign
    with FileLock(out / LOCK_FILE):  # another command may be adding its arms
        if file.is_file():
            before = json.loads(file.read_text(encoding="utf-8"))
            _check_same(before, described, out)
            described["arms"] = {**before["arms"], **described["arms"]}
            described["seeds"] = max(before["seeds"], described["seeds"])
        elif any(path.name not in (LOCK_FILE, CONVERTED) for path in out.iterdir()):
            raise foreign
        write_atomically(file, json.dumps(described, indent=1).encode())
        link_images(experiment.cases, experiment.cases.pool, out / "pool")


def began_without_patients(out: Path) -> bool:
    """Whether a folder holds an experiment in which each image is a patient of its own."""
    file = out / EXPERIMENT_FILE
    return file.is_file() and "patients" not in json.loads(file.read_text(encoding="utf-8"))["conf"]


def check_settings(conf: Collection[str]) -> None:
    """Refuse settings that differ from run to run.

    Raises:
        InvalidInputError: one of the settings differs from run to run.
    """
    for key in sorted(SET_BY_RUNS.keys() & set(conf)):
        raise InvalidInputError(f"--conf {key}: each run has its own, that {SET_BY_RUNS[key]} decides: leave it out")


def _described(experiment: Experiment) -> dict[str, Any]:
    cases = experiment.cases
    return {
        "version": __version__,
        "images": {image_id: files.located().as_json() for image_id, files in sorted(cases.images.items())},
        "labels": {image_id: str(path.parent.resolve() / path.name) for image_id, path in sorted(cases.labels.items())},
        "pool": list(cases.pool),
        "test": list(cases.test),
        "conf": dict(experiment.conf),
        "seeds": experiment.seeds,
        "arms": {arm.name: {**asdict(arm), "recipe_file": recipe_content(arm)} for arm in experiment.arms},
    }


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    advice = "use another --out, or the options of before"
    for key in ("pool", "test", "conf"):
        if before[key] != now[key]:
            raise InvalidInputError(f"--out {out}: it holds an experiment with another {key}: {advice}")
    for key in ("images", "labels"):
        # A file that is gone from its old path has moved; if it is still there, the new path holds other data.
        others = sorted(
            name for name, path in before[key].items() if path != now[key][name] and ImageFiles.of(path).path.is_file()
        )
        if others:
            file = ImageFiles.of(before[key][others[0]]).path
            raise InvalidInputError(f"--out {out}: it holds an experiment on other {key}, {file}: {advice}")
    for name, arm in now["arms"].items():
        was = before["arms"].get(name, arm)
        for key in arm.keys() - {"recipe"}:  # the content of the recipe counts, which is in `recipe_file`, not its path
            value = arm[key]
            # More rounds of the same arm continue the experiment; they do not make another one.
            if was[key] != value and not (key == "rounds" and value > was[key]):
                raise InvalidInputError(f"--out {out}: {name} was run with another {key}: {advice}")
