from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.names import APP_FOLDER, MEASURE_NAMES, REGION_NAMES


def test_the_names_shown_are_those_that_can_be_scored() -> None:
    assert tuple(MEASURES) == MEASURE_NAMES
    assert tuple(REGIONS) == REGION_NAMES


def test_the_app_is_where_commands_look_for_the_projects_of_a_pacs() -> None:
    assert (APP_FOLDER / "main.py").is_file()
