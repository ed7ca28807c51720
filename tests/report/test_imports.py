"""The imports of a report, seen in a process of its own."""

import json
import subprocess
import sys

SCRIPT = """
import json, sys
import activelabel.cli.main
from activelabel.report.experiments import experiments_page
from activelabel.report.page import write_page
from activelabel.simulation.results import read_results
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_curves_and_tables_are_reported_without_what_runs_networks_and_servers() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout))
    assert {"matplotlib", "pandas"} <= imported
    assert (
        not {"torch", "monai", "monailabel", "sqlalchemy", "SimpleITK", "nibabel", "pydicom", "mlflow", "statsmodels"}
        & imported
    )
