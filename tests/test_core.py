"""The core, which needs numpy alone, passes its tests on the lowest and on the highest Python, there with numpy 2."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = (
    "acquisition/test_blend.py",
    "acquisition/test_class_stratified.py",
    "acquisition/test_effort.py",
    "acquisition/test_slice_selection.py",
    "data/files/test_digest.py",
    "data/files/test_names.py",
    "data/files/test_writing.py",
    "data/labels/test_label_map.py",
    "data/labels/test_label_texts.py",
    "data/test_dataset_json.py",
    "data/patients/test_given.py",
    "data/test_given_splits.py",
    "data/test_grids.py",
    "data/test_intensities.py",
    "data/test_splits.py",
    "prediction/test_journal.py",
    "prediction/test_racing.py",
    "store/models/test_choice.py",
    "store/test_case_states.py",
)
ENVIRONMENTS = sorted(ROOT.glob(".venv-core-*/bin/python"))
"""Made by `python .ci/other_pythons.py --core` for the Pythons that this machine has."""


@pytest.mark.parametrize("python", ENVIRONMENTS, ids=lambda path: path.parents[1].name)
def test_the_core_passes_its_tests_on_another_python_with_numpy_alone(python: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    folders = ("lib", "tests/support", "tests/support/ledgers")
    environment["PYTHONPATH"] = os.pathsep.join(str(ROOT / folder) for folder in folders)
    command = [
        *(python, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ROOT, "--noconftest", "--import-mode=importlib"),
        *("-p", "no:cacheprovider", "-p", "few_examples", *(ROOT / "tests" / file for file in CORE)),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
