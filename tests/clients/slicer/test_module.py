"""What the files of the module may import, so that Slicer's own Python has all that they need."""

import ast
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[3] / "clients" / "slicer" / "ActiveLabel"
FILES = sorted(MODULE.rglob("*.py"))
OF_SLICER = {
    "scene.py": {"numpy", "slicer", "vtk"},
    "doing.py": {"qt"},
    "panel.py": {"qt"},
    "panel_parts.py": {"qt"},
    "panel_tabs.py": {"qt"},
    "ActiveLabel.py": {"qSlicerSegmentationsModuleWidgetsPythonQt", "qt", "slicer"},
}
"""What a file needs beside the standard library; all others need nothing."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_runs_on_python_3_9_and_imports_only_what_slicer_has(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 9))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    assert names - sys.stdlib_module_names - {"ActiveLabelLib"} == OF_SLICER.get(file.name, set())
    assert "from __future__ import annotations" in file.read_text(encoding="utf-8") or len(tree.body) == 1


def test_the_part_that_runs_only_in_slicer_is_small() -> None:
    assert len((MODULE / "ActiveLabel.py").read_text(encoding="utf-8").splitlines()) < 160
