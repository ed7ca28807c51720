"""The imports of a server and of its children, seen in a process of its own."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

SCORING = """
import json, sys
from activelabel.server.lean_imports import NOT_NEEDED_BY_TASKS, import_monai
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
from activelabel.server.lean_imports import NOT_NEEDED_BY_TASKS, import_monai
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
from activelabel.server.lean_imports import import_monai_for_host
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
from activelabel.server.lean_imports import import_monai_for_host
import_monai_for_host()
from activelabel.annotation.agreement import agreement_of
one, other = np.zeros((2, 5, 5, 5), np.uint8)
one[1, 2, 2], other[3, 2, 2] = 1, 1
print(agreement_of(one, other, ("ball",), (1.5, 1.0, 1.0))["ball"])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert run.stdout.strip() == "Agreement(dice=0.0, distance_mm=3.0)", run.stderr
