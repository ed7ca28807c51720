"""`--conf` as the host passes it: texts become typed values, and each error is one line."""

import pytest
from pydantic import ValidationError

from activelabel.errors import InvalidInputError
from activelabel.project.settings import Settings, parse_settings


def test_texts_become_values() -> None:
    settings = parse_settings(
        {"recipe": "rahimi2022", "labels": "anterior, posterior", "repeats": "7", "autopilot": "false", "seed": "3"}
    )
    assert settings.recipe == "rahimi2022"
    assert settings.labels == ("anterior", "posterior")
    assert (settings.repeats, settings.autopilot, settings.seed) == (7, False, 3)


def test_settings_that_are_left_out_have_their_defaults() -> None:
    assert parse_settings({}) == Settings()


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("repeats", "many", "1 to 1000"),
        ("repeats", "-1", "1 to 1000"),
        ("lease_minutes", "-5", "kept for one annotator"),
        ("lease_minutes", "inf", "at most 527040"),
        ("lease_minutes", "nan", "above 0"),
        ("lease_minutes", "1e300", "at most 527040"),
        ("repeats", "", "1 to 1000"),
        ("start", "0", "1 or more"),
        ("query_size", "-1", "1 or more"),
        ("retrain_after", "2.5", "1 or more"),
        ("autopilot", "perhaps", "true or false"),
        ("uncertainty_window", "0", "1 or more"),
        ("doubt_window", "0", "1 or more"),
        ("min_doubt", "1.5", "-1 to 1"),
        ("min_correlation", "nan", "-1 to 1"),
        ("fallback", "perhaps", "true or false"),
        ("device", "gpu", "auto, cpu, cuda or cuda:N"),
        ("precision", "float16", "float32 or bfloat16"),
        ("device", "cuda:x", "auto, cpu, cuda or cuda:N"),
        ("seed", "1.5", "a whole number"),
        ("seed", "-1", "a whole number from 0"),
        ("seed", "2147483648", "a whole number from 0"),
        ("seed", "one\ntwo", "a whole number from 0"),
        ("allowed_origins", "*", "https://viewer.example"),
        ("allowed_origins", "https://viewer.example, viewer.example", "https://viewer.example"),
        ("allowed_origins", "https://viewer.example/page", "https://viewer.example"),
    ],
)
def test_a_wrong_value_is_one_line_with_key_value_and_what_is_allowed(key: str, value: str, allowed: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        parse_settings({key: value})
    line = str(error.value)
    assert line.startswith(" ".join(f"--conf {key} {value}".split()))
    assert allowed in line
    assert "\n" not in line


def test_an_unknown_key_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"--conf retrain 5: there is no such setting; use one of recipe, "):
        parse_settings({"retrain": "5"})


def test_an_unknown_key_is_one_line_whatever_its_value() -> None:
    with pytest.raises(InvalidInputError, match=r"^--conf retrain five or six: there is no such setting"):
        parse_settings({"retrain": "five\nor six"})


@pytest.mark.parametrize(
    ("given", "kept"), [("http://localhost:3000", ("http://localhost:3000",)), (" https://a.b/ ,", ("https://a.b/",))]
)
def test_origins_are_web_addresses(given: str, kept: tuple[str, ...]) -> None:
    assert parse_settings({"allowed_origins": given}).allowed_origins == kept


def test_an_empty_project_folder_means_the_default_not_the_working_folder() -> None:
    assert parse_settings({"project_dir": ""}).project_dir is None


def test_keys_of_the_host_itself_are_passed_over() -> None:
    assert parse_settings({"server_mode": "true", "models": "x"}) == Settings()


def test_earlier_names_of_settings_mean_the_same() -> None:
    earlier = parse_settings({"doubt_window": "7", "min_doubt": "0.3"})
    assert earlier == parse_settings({"uncertainty_window": "7", "min_correlation": "0.3"})
    assert (earlier.uncertainty_window, earlier.min_correlation) == (7, 0.3)


def test_a_setting_under_both_its_names_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"^--conf doubt_window: it means the same as uncertainty_window"):
        parse_settings({"uncertainty_window": "7", "doubt_window": "7"})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().seed = 4  # type: ignore[misc]
