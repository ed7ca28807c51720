"""What other systems lack is not needed to import the package, nor to write, lock and link."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from activelabel.backports import parent_lives
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.studies_folder import find_images
from activelabel.data.files.writing import write_atomically
from activelabel.errors import InvalidInputError
from activelabel.simulation.cases import Cases, link_images

# Imports every module of the package where our own imports of what only POSIX has fail, as they do on Windows.
CHILD = """
import builtins, importlib, os, pkgutil
POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
plain = builtins.__import__
def checked(name, globals=None, locals=None, fromlist=(), level=0):
    if name.partition(".")[0] in POSIX and str((globals or {}).get("__name__")).startswith("activelabel"):
        raise ModuleNotFoundError(f"No module named '{name}'")
    return plain(name, globals, locals, fromlist, level)
builtins.__import__ = checked
for name in ("fork", "getuid", "geteuid", "getgid", "killpg", "setsid", "statvfs", "sched_getaffinity"):
    delattr(os, name)
import activelabel
names = [found.name for found in pkgutil.walk_packages(activelabel.__path__, "activelabel.")]
names = [name for name in names if not name.endswith(("__main__", ".host_main")) and ".migrations" not in name]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_every_module_is_imported_without_what_only_posix_has() -> None:
    environment = {**os.environ, "USERNAME": "as Windows has it"}
    command = [sys.executable, "-c", CHILD]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.splitlines()[-1]) > 200


def test_a_file_is_written_where_folders_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError("as Windows says of a folder")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "here", b"posix syncs the folder")
    monkeypatch.setattr("activelabel.data.files.writing.ON_WINDOWS", True)
    write_atomically(tmp_path / "there", b"content")
    assert (tmp_path / "there").read_bytes() == b"content"


def test_an_ended_parent_that_keeps_its_number_counts_as_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert child.wait() == 0
    assert parent_lives(os.getppid())
    assert not parent_lives(os.getpid())
    monkeypatch.setattr(os, "getppid", lambda: child.pid)
    monkeypatch.setattr("activelabel.backports.ON_WINDOWS", True)
    assert not parent_lives(child.pid)


def test_images_are_linked_where_no_symbolic_link_may_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    (tmp_path / "a.nii").write_bytes(b"image")
    cases = Cases({"a": ImageFiles(tmp_path / "a.nii")}, {}, ("a",), ())
    link_images(cases, ["a"], tmp_path / "studies")
    assert (tmp_path / "studies" / "a.nii").samefile(tmp_path / "a.nii")
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(InvalidInputError, match="name a folder on the disk of the images"):
        link_images(cases, ["a"], tmp_path / "elsewhere")


def test_two_images_never_have_ids_that_some_disks_take_for_one(tmp_path: Path) -> None:
    for name in ("Case.nii.gz", "case.nrrd", "other.nii.gz"):
        (tmp_path / name).touch()
    assert dict(find_images(tmp_path).files) == {
        "Case": "Case.nii.gz", "case_nrrd": "case.nrrd", "other": "other.nii.gz",
    }  # fmt: skip
    known = {"case": "case.nrrd", "Case": "Case.nii.gz"}
    assert dict(find_images(tmp_path, known).files) == {**known, "other": "other.nii.gz"}, "known ids stay"


def test_no_child_is_read_in_the_encoding_of_the_moment() -> None:
    """Some libraries set the locale of a process to C, where a child without an encoding is read as ASCII."""
    root = Path(__file__).parents[1]
    checked = [
        path
        for folder in (".ci", "benchmarks", "docs", "lib", "sample-data", "tests")
        for path in (root / folder).rglob("*.py")
    ]
    named = ("text=" + "True", "universal_newlines=" + "True")
    found = [str(path) for path in checked if any(name in path.read_text(encoding="utf-8") for name in named)]
    assert len(checked) > 700
    assert not found
