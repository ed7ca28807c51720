from pathlib import Path

import pytest

from activelabel.errors import InvalidInputError
from activelabel.store.connection.location import checked_url, shown, sqlite_url


def test_a_file_becomes_a_url_and_back():
    path = Path("/a folder/with 100 %/ledger?.sqlite")
    assert checked_url(sqlite_url(path)).database == str(path)


def test_a_relative_file_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert checked_url(sqlite_url(Path("ledger.sqlite"))).database == str(tmp_path / "ledger.sqlite")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg"])
def test_postgresql_gets_the_driver_that_we_use(scheme):
    assert checked_url(f"{scheme}://u:p@h/d").drivername == "postgresql+psycopg"


def test_the_password_is_never_shown():
    url = checked_url("postgresql://reader:pass-1@db.example:5433/study?password=pass-2&sslmode=require")
    assert url.password == "pass-1"
    assert shown(url) == "postgresql://reader:***@db.example:5433/study"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.sqlite",
        "mysql://u:secret@h/d",
        "postgresql://u:sec:ret@h:port/d",
        "postgresql://u:secret@h:12x/d",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file.sqlite?mode=ro&key=secret",
    ],
)
def test_an_invalid_ledger_url_is_refused_in_one_line_without_its_password(url):
    with pytest.raises(InvalidInputError, match="expected sqlite:") as refusal:
        checked_url(url)
    assert "\n" not in str(refusal.value)
    assert "sec" not in str(refusal.value)
    assert refusal.value.__cause__ is None
