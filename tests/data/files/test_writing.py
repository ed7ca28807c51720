from pathlib import Path

import pytest

from activelabel.data.files import writing as files
from activelabel.data.files.writing import write_atomically


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "label").write_bytes(b"earlier")

    write_atomically(tmp_path / "label", b"new")

    assert (tmp_path / "label").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["label"]


def test_a_failure_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "label").write_bytes(b"earlier")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(tmp_path / "label", b"new")

    assert (tmp_path / "label").read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["label"]
