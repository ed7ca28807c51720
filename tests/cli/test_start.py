"""`activelabel start`: its checks, and the start command of the host that it then becomes."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import free_port

from activelabel.cli import start
from activelabel.cli.doctor import versions
from activelabel.cli.main import main
from activelabel.names import APP_FOLDER, CHECKOUT_APP, HOST_APP_FOLDER, app_folder

Started = list[tuple[str, list[str]]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The programs that the command would have become; this process itself is not replaced."""
    became: Started = []
    monkeypatch.setattr(start, "run", lambda program, arguments: became.append((program, list(arguments))))
    return became


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["activelabel", "start", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_start_becomes_the_hosts_start_command_with_the_same_settings(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = free_port()
    options = ["--studies", tmp_path, "--labels", "liver,tumour", "--port", port, "--recipe", "quick_slices"]
    assert run(monkeypatch, *options, "--conf", "seed", "3", "--conf", "device=cpu") == 0
    program, arguments = started[0]
    assert program == sys.executable
    assert arguments[:3] == ["-m", "activelabel.server.host_main", "start_server"]
    assert arguments[3:11] == [
        "--app", str(APP_FOLDER), "--studies", str(tmp_path), "--host", "127.0.0.1", "--port", str(port)
    ]  # fmt: skip
    settings = zip(arguments[12::3], arguments[13::3], strict=True)
    assert dict(settings) == {"labels": "liver,tumour", "recipe": "quick_slices", "seed": "3", "device": "cpu"}
    assert arguments[11::3] == ["--conf"] * 4


@pytest.mark.parametrize("spelled", ["--ssl-", "--ssl_"])
def test_a_certificate_goes_on_to_the_host_however_it_is_spelled(
    spelled: str, started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "c.pem").touch()
    files = [f"{spelled}certfile", tmp_path / "c.pem", f"{spelled}keyfile", tmp_path / "c.pem"]
    assert run(monkeypatch, "--studies", tmp_path, "--port", free_port(), *files) == 0
    assert started[0][1][-4:] == ["--ssl_certfile", str(tmp_path / "c.pem"), "--ssl_keyfile", str(tmp_path / "c.pem")]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which another process listens."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--studies", "nowhere"], "--studies nowhere: expected a folder with images, or the address of a PACS"),
        (["--conf", "colour", "red"], "--conf colour red: there is no such setting"),
        (["--conf", "seed"], "--conf seed: expected a value"),
        (["--labels", "a", "--conf", "labels=b"], "--labels and --conf labels: both say the same"),
        (["--ssl-certfile", "nothing.pem"], "--ssl_certfile nothing.pem: there is no such file"),
        (["--ssl-certfile", __file__], "--ssl_certfile and --ssl_keyfile: one of them came alone"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid: is no address of this machine"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_started(
    options: list[str], expected: str, started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(monkeypatch, "--studies", tmp_path, "--port", free_port(), *options) == 2
    line = capfd.readouterr().err.strip()
    assert line.startswith(expected)
    assert len(line.splitlines()) == 1
    assert started == []
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_one_line_before_anything_is_started(
    taken: int, started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--studies", tmp_path, "--port", taken) == 2
    line = capfd.readouterr().err.strip()
    assert line.startswith(f"--port {taken}: cannot be opened at 127.0.0.1 (Address already in use)")
    assert len(line.splitlines()) == 1
    assert started == []


def test_a_version_that_does_not_fit_is_one_line_that_says_what_to_install(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(versions, "version", lambda package: "2.1.0")
    assert run(monkeypatch, "--studies", tmp_path, "--port", free_port()) == 2
    assert "monailabel 2.1.0 does not fit: pip install 'monailabel==0.8.5'" in capfd.readouterr().err
    assert started == []


def test_in_a_checkout_the_app_is_the_one_of_the_checkout(tmp_path: Path) -> None:
    assert app_folder(CHECKOUT_APP, {"XDG_DATA_HOME": str(tmp_path)}) == CHECKOUT_APP
    assert start.prepare_app_folder(CHECKOUT_APP) == CHECKOUT_APP
    assert "activelabel.server.host_app.main" in (CHECKOUT_APP / "main.py").read_text(encoding="utf-8")


def test_an_installed_package_has_its_app_in_a_folder_of_the_user(tmp_path: Path) -> None:
    """The host writes into the folder of an app, and an installed package may be read-only."""
    folder = app_folder(tmp_path / "site-packages" / "apps" / "activelabel", {"XDG_DATA_HOME": str(tmp_path / "data")})
    assert folder == tmp_path / "data" / "activelabel"
    assert start.prepare_app_folder(folder) == folder
    assert (folder / "main.py").read_bytes() == (HOST_APP_FOLDER / "main.py").read_bytes()


def test_another_version_of_the_package_takes_the_place_of_the_earlier_app(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("earlier")
    (tmp_path / "model").mkdir()
    start.prepare_app_folder(tmp_path)
    assert (tmp_path / "main.py").read_bytes() == (HOST_APP_FOLDER / "main.py").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["main.py", "model"]


def test_a_recipe_that_is_not_there_is_one_line_before_the_host_begins(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--studies", tmp_path, "--port", free_port()]
    assert run(monkeypatch, *options, "--recipe", "nope") == run(monkeypatch, *options, "--conf", "recipe=nope") == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(line.startswith("recipe 'nope' does not exist: use one of") for line in said)
    assert started == []
