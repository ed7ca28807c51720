from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.names import MEASURE_NAMES, REGION_NAMES


def test_the_names_shown_are_those_that_can_be_scored() -> None:
    assert tuple(MEASURES) == MEASURE_NAMES
    assert tuple(REGIONS) == REGION_NAMES
