"""`--conf` as the host hands it over: texts in, typed values out, and one line for what is wrong."""

import pytest
from pydantic import ValidationError

from activelabel.errors import InvalidInputError
from activelabel.server.settings import Settings, parse_settings


def test_texts_become_values() -> None:
    settings = parse_settings(
        {"recipe": "rahimi2022", "labels": "anterior, posterior", "repeats": "7", "autopilot": "false", "seed": "3"}
    )
    assert settings.recipe == "rahimi2022"
    assert settings.labels == ("anterior", "posterior")
    assert (settings.repeats, settings.autopilot, settings.seed) == (7, False, 3)


def test_what_is_left_out_is_the_default() -> None:
    assert parse_settings({}) == Settings()


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("repeats", "many", "1 to 1000"),
        ("repeats", "0", "1 to 1000"),
        ("lease_minutes", "-5", "minutes"),
        ("autopilot", "perhaps", "true or false"),
        ("device", "gpu", "auto, cpu, cuda or cuda:N"),
        ("precision", "float16", "float32 or bfloat16"),
        ("seed", "1.5", "a whole number"),
    ],
)
def test_a_wrong_value_is_one_line_with_key_value_and_what_is_allowed(key: str, value: str, allowed: str) -> None:
    if key == "lease_minutes":
        allowed = "kept for one annotator"
    with pytest.raises(InvalidInputError) as error:
        parse_settings({key: value})
    line = str(error.value)
    assert line.startswith(f"--conf {key} {value}")
    assert allowed in line
    assert "\n" not in line


def test_an_unknown_key_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"--conf retrain 5: there is no such setting; use one of recipe, "):
        parse_settings({"retrain": "5"})


def test_keys_of_the_host_itself_are_passed_over() -> None:
    assert parse_settings({"server_mode": "true", "models": "x"}) == Settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().seed = 4  # type: ignore[misc]
