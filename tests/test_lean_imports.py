"""The imports of a server, of its children and of commands, seen in a process of its own."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

SCORING = """
import json, sys
from activelabel.lean_imports import NOT_NEEDED_BY_TASKS, import_monai
import_monai(NOT_NEEDED_BY_TASKS)
import activelabel.server.task_child
import pkgutil, monai.utils.module
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
ours = [str(finder) for finder in sys.meta_path if "lean_imports" in type(finder).__module__]
print(json.dumps([monai.utils.module.walk_packages is pkgutil.walk_packages, ours]))
import scipy.ndimage, pandas  # who needs them has them
"""


def test_a_scoring_imports_neither_training_nor_tracking_packages() -> None:
    done = subprocess.run([sys.executable, "-c", SCORING], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    imported, left = (json.loads(line) for line in done.stdout.splitlines()[:2])
    assert "monai" in imported
    heavy = {"fastapi", "ignite", "itk", "matplotlib", "mlflow", "pandas", "requests", "sklearn", "torchvision"}
    assert not heavy & set(imported)
    assert left == [True, []]


TRAINING = """
import json, sys
from pathlib import Path
from activelabel.lean_imports import NOT_NEEDED_BY_TASKS, import_monai
import_monai(NOT_NEEDED_BY_TASKS)
from activelabel.server.task_child import TaskApp
from activelabel.server.tasks.training import build_trainers
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
from activelabel.training.engine.plan import Tracked
from activelabel.training.engine.tracking import MLflow
MLflow(Tracked("sqlite:///" + sys.argv[1], "tried", "first")).close()
"""


def test_a_training_imports_mlflow_only_when_it_tracks(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, database], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stdout.splitlines()[0])
    assert {"monai", "monailabel"} <= set(imported)
    assert not {"fastapi", "ignite", "itk", "mlflow", "pandas", "skimage", "sympy", "torchvision", "uvicorn"} & set(
        imported
    )
    with closing(sqlite3.connect(database)) as tracked:
        assert tracked.execute("select name from experiments where name = 'tried'").fetchall() == [("tried",)]


SERVER = """
import json, sys
from activelabel.server.host_main import import_monai_for_host
import_monai_for_host()
import monailabel.app, monailabel.main
import activelabel.server.app
print(json.dumps(sorted(sys.modules)))
"""


def test_a_server_starts_without_what_few_of_its_requests_need() -> None:
    done = subprocess.run([sys.executable, "-c", SERVER], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stdout.splitlines()[-1])
    assert {"fastapi", "monai.handlers", "activelabel.server.datastores.pacs"} <= set(imported)
    heavy = {"highdicom", "ignite", "matplotlib", "mlflow", "pandas", "scipy", "sklearn", "sympy", "torchvision"}
    assert not heavy & set(imported)


def test_two_readings_are_compared_in_a_process_that_has_imported_monai_as_a_server_does() -> None:
    code = """
import numpy as np
from activelabel.server.host_main import import_monai_for_host
import_monai_for_host()
from activelabel.annotation.agreement import agreement_of
one, other = np.zeros((2, 5, 5, 5), np.uint8)
one[1, 2, 2], other[3, 2, 2] = 1, 1
print(agreement_of(one, other, ("ball",), (1.5, 1.0, 1.0))["ball"])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert run.stdout.strip() == "Agreement(dice=0.0, distance_mm=3.0)", run.stderr


def test_networks_of_monai_that_need_einops_work_where_monai_is_imported_lean() -> None:
    """A recipe may name one of them, and its server imports MONAI so."""
    code = """
from activelabel.lean_imports import import_monai
import_monai()
import torch
from monai.networks.nets import SwinUNETR
print(tuple(SwinUNETR(in_channels=1, out_channels=2, feature_size=12)(torch.zeros(1, 1, 64, 32, 32)).shape))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert run.stdout.strip() == "(1, 2, 64, 32, 32)", run.stderr


HEAVY = {"ignite", "itk", "matplotlib", "mlflow", "sklearn", "torchvision", "transformers"}


def test_a_process_of_a_simulation_imports_monai_lean() -> None:
    code = """
import json, multiprocessing, sys
from activelabel.simulation.run_process import begin
assert "torch" not in sys.modules
begin(multiprocessing.get_context("spawn").SimpleQueue(), 1, 1)
import activelabel.simulation.playing, activelabel.simulation.local_app
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    assert "monai" in json.loads(run.stdout)
    assert not HEAVY & set(json.loads(run.stdout))


def test_a_command_imports_monai_lean_also_where_another_asked_before() -> None:
    code = """
import json, sys
from activelabel.lean_imports import import_monai, import_monai_lean
import_monai_lean()
import_monai()
import monai.data
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
print(sum("lean_imports" in type(finder).__module__ for finder in sys.meta_path))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    imported, left = run.stdout.splitlines()
    assert "monai" in json.loads(imported)
    assert not (HEAVY | {"scipy"}) & set(json.loads(imported))
    assert left == "0"


LATER = """
import sys
from activelabel.lean_imports import imported_later
with imported_later(("colorsys", "json")):
    import colorsys, json
    first = colorsys
assert "colorsys" not in sys.modules
print(first.rgb_to_hsv(0, 0, 1), "colorsys" in sys.modules)
import colorsys
assert colorsys is not first and sys.modules["colorsys"] is colorsys and json.dumps(1) == "1"
"""


def test_a_package_that_is_imported_later_is_there_when_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout) == (0, "(0.6666666666666666, 1.0, 1) True\n"), done.stderr


HOSTS_DICOM = """
import sys
from activelabel.server.host_main import FOR_DICOM, import_monai_for_host
import_monai_for_host()
import activelabel.server.app, monailabel.app
print([package for package in FOR_DICOM if package in sys.modules])
import monailabel.datastore.utils.convert as convert
print(convert.SimpleITK.Image.__name__, convert.pydicom_seg.MultiClassWriter.__name__)
"""


def test_a_server_starts_without_the_packages_that_only_the_hosts_dicom_needs() -> None:
    done = subprocess.run([sys.executable, "-c", HOSTS_DICOM], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["[]", "Image MultiClassWriter"]
