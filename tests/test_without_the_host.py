"""Strategies, scoring, the loop and whole simulations run where monailabel is not installed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests" / "support" / "tiny.toml"

SCRIPT = """
import importlib, pkgutil, sys
from pathlib import Path

for name in ("monailabel", "fastapi", "starlette", "uvicorn"):
    sys.modules[name] = None  # whoever imports it gets an ImportError

import activelabel

below = "strategies loop annotation project simulation report store training prediction networks acquisition data login"
for package in below.split():
    module = importlib.import_module("activelabel." + package)
    for found in pkgutil.walk_packages(module.__path__, module.__name__ + "."):
        if ".migrations." not in found.name:  # these are run by alembic alone
            importlib.import_module(found.name)

from activelabel.data.files.image_files import ImageFiles
from activelabel.loop.due import read_situation, work_due
from activelabel.loop.scoring import VolumeScoring, scored_measure
from activelabel.networks import build_network
from activelabel.project.opening import open_project
from activelabel.project.models.publishing import publish_model
from activelabel.strategies.catalogue import build_strategies

studies, recipe, folder = sys.argv[1:]
files = {path.name.split(".")[0]: str(path) for path in Path(studies).glob("*.nii.gz")}


class Files:
    def image_files(self, image_id):
        return ImageFiles.of(files[image_id])

    def get_image_info(self, image_id):
        return {}


project = open_project("", studies, {"recipe": recipe, "labels": "ball", "device": "cpu", "project_dir": folder})
project.ledger.sync_images(files, 0)
measure = scored_measure(project)
strategies = build_strategies(project)
print(work_due(read_situation(project, measure), project.thresholds))
print(strategies["random_volumes"].next("ann", Files())["id"] in files)
network = build_network(project.recipe.network, project.model_description.classes)
publish_model(project, network.state_dict(), {}, [])
print(work_due(read_situation(project, measure), project.thresholds))
print(VolumeScoring(project, measure).run(Files())["scored"])
print(strategies["variance"].next("bob", Files())["model_version"])
"""


def test_cases_are_asked_for_and_scored_without_monailabel(blobs: Callable[[int], Any], tmp_path: Path) -> None:
    arguments = [str(blobs(4).studies), str(TINY), str(tmp_path / "project")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    # Nothing is due without a label; all four images are scored, also the one that ann has.
    assert done.stdout.split() == ["None", "True", "Work.SCORE", "4", "1"]


SIMULATION = """
import runpy, sys

for name in ("monailabel", "fastapi", "starlette", "uvicorn"):
    sys.modules[name] = None  # whoever imports it gets an ImportError

if __name__ == "__main__":
    runpy.run_module("activelabel", run_name="__main__")
"""


def test_a_simulation_trains_and_measures_without_monailabel(blobs: Callable[[int], Any], tmp_path: Path) -> None:
    """The runs are played in processes of their own, where the module of the parent is blocked again."""
    cases = blobs(8)
    script = tmp_path / "simulate.py"
    script.write_text(SIMULATION)
    options = {
        "--images": cases.studies, "--labels": cases.labels, "--out": tmp_path / "out", "--recipe": TINY,
        "--label-names": "ball", "--strategy": "variance", "--seeds": 1, "--rounds": 1, "--query-size": 1,
        "--start": 2, "--test": 2, "--conf": "device=cpu",
    }  # fmt: skip
    arguments = [str(part) for option in options.items() for part in option]
    done = subprocess.run(
        [sys.executable, str(script), "simulate", *arguments], capture_output=True, encoding="utf-8", check=False
    )
    log = tmp_path / "out" / "runs" / "variance" / "0" / "log.txt"
    assert done.returncode == 0, done.stderr + (log.read_text(encoding="utf-8") if log.exists() else "")
    assert "2 models of 1 runs" in done.stdout
