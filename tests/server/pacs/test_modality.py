from collections.abc import Mapping
from typing import Any

import pytest
from monailabel.config import settings as host_settings

from activelabel.data.files.channels import ChannelLayout
from activelabel.data.modality import ProjectModality, named_modality
from activelabel.server.pacs.channel_series import SeriesRule
from activelabel.server.pacs.client import Pacs, Series
from activelabel.server.pacs.modality import image_series, pacs_modality


class ListedPacs(Pacs):
    """A PACS with series of these modalities; each series is named by its modality and a number."""

    def __init__(self, *modalities: str) -> None:
        self._listed = [
            Series(f"{modality}-{number}", "1.9", 3, {"Modality": modality})
            for number, modality in enumerate(modalities)
        ]
        self.searches: list[dict[str, Any]] = []

    def images(self, filters: Mapping[str, Any] | None = None) -> list[Series]:
        self.searches.append(dict(filters or {}))
        wanted = (filters or {}).get("Modality")
        return [series for series in self._listed if wanted in (None, series.info["Modality"])]


def uids(pacs: Pacs, modality: ProjectModality | None = None) -> list[str]:
    return [series.uid for series in image_series(pacs, modality)]


@pytest.mark.parametrize(
    ("modalities", "expected", "name"),
    [
        (("MR", "CT", "PT", "CT"), ["CT-1", "CT-3"], "CT"),
        (("PT", "MR", "SEG"), ["MR-1"], "MR"),
        (("PT", "PT", "SR"), ["PT-0", "PT-1"], "PT"),
        (("SEG", "US"), [], None),
    ],
)
def test_without_a_filter_the_images_are_of_the_first_modality_that_the_pacs_has(
    modalities: tuple[str, ...], expected: list[str], name: str | None
) -> None:
    pacs = ListedPacs(*modalities)
    assert uids(pacs) == expected
    found = pacs_modality(pacs)
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("configured", "expected"),
    [("PET", ["PT-2"]), ("mr", ["MR-1"]), ("MRI", ["MR-1"]), ("CT", ["CT-0"]), ("US", ["US-3"]), ("other", ["MR-1"])],
)
def test_a_project_keeps_to_its_modality_whatever_else_the_pacs_has(configured: str, expected: list[str]) -> None:
    pacs = ListedPacs("CT", "MR", "PT", "US")
    assert uids(pacs, named_modality(configured, "--conf modality")) == expected


def test_channels_may_be_series_of_all_modalities() -> None:
    rule = SeriesRule(ChannelLayout(("CT", "PET")), ("CT", "PET"))
    found = image_series(ListedPacs("PT", "SEG", "CT"), rule=rule)
    assert [series.uid for series in found] == ["CT-2", "PT-0"]


def test_a_pacs_is_not_asked_for_the_modality_that_its_filter_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_SEARCH_FILTER", {"Modality": "MR", "PatientID": "X"})
    pacs = ListedPacs("CT", "MR")
    modality = pacs_modality(pacs)
    assert modality is not None
    assert (modality.name, modality.reason) == ("MR", "the search filter of the PACS")
    assert pacs.searches == []
    assert uids(pacs, named_modality("CT", "--conf modality")) == ["MR-1"]
    assert pacs.searches == [{"Modality": "MR", "PatientID": "X"}]
