"""The command that writes the module for 3D Slicer."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from activelabel.cli.main import app
from activelabel.errors import InvalidInputError
from activelabel.names import SLICER_MODULE


def write_module(out: Path) -> str:
    result = CliRunner().invoke(app, ["slicer-module", "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_module_is_written_whole_and_an_older_one_is_replaced(tmp_path: Path) -> None:
    said = write_module(tmp_path / "for slicer")
    assert "Additional module paths" in said
    written = tmp_path / "for slicer" / "ActiveLabel"
    assert files_below(written) == files_below(SLICER_MODULE)
    assert {"ActiveLabel.py", "ActiveLabelLib/session/session.py", "Resources/Icons/ActiveLabel.svg"} < set(
        files_below(written)
    )
    (written / "ActiveLabelLib" / "of_an_older_version.py").write_text("", encoding="utf-8")
    write_module(tmp_path / "for slicer")
    assert files_below(written) == files_below(SLICER_MODULE)


def test_nothing_of_somebody_else_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "ActiveLabel").mkdir()
    (tmp_path / "ActiveLabel" / "thesis.txt").write_text("years", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="is no module of ours: name another folder"):
        write_module(tmp_path)
    assert (tmp_path / "ActiveLabel" / "thesis.txt").read_text(encoding="utf-8") == "years"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="cannot be written"):
        write_module(tmp_path / "file")
