"""What a process that scores imports, seen in a process of its own."""

import json
import subprocess
import sys

SCORING = """
import json, sys
from activelabel.server.lean_imports import NOT_NEEDED_TO_SCORE, import_monai
import_monai(NOT_NEEDED_TO_SCORE)
import activelabel.server.scoring_child
import pkgutil, monai.utils.module
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
ours = [str(finder) for finder in sys.meta_path if "lean_imports" in type(finder).__module__]
print(json.dumps([monai.utils.module.walk_packages is pkgutil.walk_packages, ours]))
import scipy.ndimage, pandas  # who needs them has them
"""


def test_a_scoring_imports_neither_what_trains_nor_what_tracks() -> None:
    done = subprocess.run([sys.executable, "-c", SCORING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported, left = (json.loads(line) for line in done.stdout.splitlines()[:2])
    assert "monai" in imported
    heavy = {"fastapi", "ignite", "itk", "matplotlib", "mlflow", "pandas", "sklearn", "statsmodels", "torchvision"}
    assert not heavy & set(imported)
    assert left == [True, []]
