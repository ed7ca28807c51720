"""The database of a ledger is named in one place, and never with its password in a setting."""

from pathlib import Path

import pytest

from activelabel.errors import InvalidInputError
from activelabel.project.database_url import DATABASE_URL, database_url
from activelabel.project.settings import parse_settings

SECRET = "postgresql://ann:s3cret@db.example/study"


def test_the_database_is_that_of_one_of_three_places(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{SECRET}\n")
    without = "postgresql://ann@db.example/study"  # the password is in ~/.pgpass, say
    assert database_url(parse_settings({"database_url": without}), {}) == without
    assert database_url(parse_settings({"database_url_file": str(file)}), {}) == SECRET
    assert database_url(parse_settings({}), {DATABASE_URL: SECRET}) == SECRET
    assert database_url(parse_settings({}), {}) == ""


@pytest.mark.parametrize(
    ("conf", "environment", "expected"),
    [
        ({"database_url": SECRET}, {}, "holds a password, which the list of processes would show"),
        ({"database_url": "sqlite:////a"}, {DATABASE_URL: SECRET}, "both name the database"),
        ({"database_url_file": "/nowhere/url"}, {}, "cannot be read"),
        ({"database_url_file": __file__}, {}, "expected one line"),
    ],
)
def test_a_database_that_is_named_wrongly_is_one_line_without_its_password(
    conf: dict[str, str], environment: dict[str, str], expected: str
) -> None:
    with pytest.raises(InvalidInputError, match=expected) as refusal:
        database_url(parse_settings(conf), environment)
    assert "s3cret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)
