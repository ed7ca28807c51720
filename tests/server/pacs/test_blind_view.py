"""What a blind reader is not shown of the answers of a PACS."""

import json
from typing import Any

import pytest

from activelabel.errors import ForbiddenError
from activelabel.server.pacs.blind_view import BlindView

BLIND, SHOWN = "1.1", "1.2"
IMAGE, FIRST, OWN = "1.1.1", "1.1.2", "1.1.3"
JSON = "application/dicom+json"
SEG_CLASS, CT_CLASS = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.2"
VIEW = BlindView(frozenset({BLIND}), frozenset({OWN}), lambda series: series in (FIRST, OWN))


def entry(**tags: str) -> dict[str, Any]:
    names = {"study": "0020000D", "series": "0020000E", "modality": "00080060", "kind": "00080016"}
    return {names[name]: {"vr": "UI", "Value": [value]} for name, value in tags.items()}


def shown(path: str, *entries: dict[str, Any]) -> list[dict[str, Any]]:
    return list(json.loads(VIEW.without_hidden(path, json.dumps(entries).encode(), JSON)))


def test_a_listing_of_series_lacks_segmentations_of_others_in_blind_studies() -> None:
    image, own = entry(study=BLIND, series=IMAGE, modality="CT"), entry(study=BLIND, series=OWN, modality="SEG")
    first = entry(study=BLIND, series=FIRST, modality="SEG")
    outlines = entry(study=BLIND, series="1.1.4", modality="RTSTRUCT")
    elsewhere = entry(study=SHOWN, series="1.2.2", modality="SEG")
    assert shown("series", image, first, own, outlines, elsewhere) == [image, own, elsewhere]
    assert shown(f"studies/{BLIND}/series", entry(series=FIRST, modality="SEG"), image) == [image]


@pytest.mark.parametrize(
    ("tags", "is_shown"),
    [
        ({"series": FIRST, "kind": SEG_CLASS}, False),
        ({"series": FIRST}, False),  # nothing but the series: the PACS is asked
        ({"series": IMAGE}, True),
        ({"series": IMAGE, "kind": CT_CLASS}, True),
        ({"series": OWN, "kind": SEG_CLASS}, True),
        ({}, True),
    ],
)
def test_objects_are_known_by_their_class_or_their_series(tags: dict[str, str], is_shown: bool) -> None:
    listed = entry(study=BLIND, **tags)
    assert shown(f"studies/{BLIND}/instances", listed) == [listed] * is_shown
    assert shown(f"studies/{BLIND}/metadata", listed) == [listed] * is_shown


def test_a_listing_of_studies_stays_as_it_is() -> None:
    content = json.dumps([entry(study=BLIND), entry(study=SHOWN)]).encode()
    assert VIEW.without_hidden("studies", content, JSON) is content


@pytest.mark.parametrize("rest", ["", "/metadata", "/instances", "/instances/1.5/frames/1", "/instances/1.5/bulk/7"])
def test_the_series_of_another_is_refused_whatever_is_asked_of_it(rest: str) -> None:
    with pytest.raises(ForbiddenError, match="draw the case without what others have drawn"):
        VIEW.check_path(f"studies/{BLIND}/series/{FIRST}{rest}")
    for study, series in ((BLIND, IMAGE), (BLIND, OWN), (SHOWN, FIRST)):
        VIEW.check_path(f"studies/{study}/series/{series}{rest}")


@pytest.mark.parametrize(
    "disguise", [f"{FIRST} ", f" {FIRST}", f"{FIRST}%20", f"{FIRST}\0", f"{FIRST}\\{IMAGE}", "１.1.2"]
)
def test_what_is_no_uid_is_refused_as_a_pacs_may_take_it_for_one(disguise: str) -> None:
    with pytest.raises(ForbiddenError, match="is no UID"):
        VIEW.check_path(f"studies/{BLIND}/series/{disguise}/metadata")
    with pytest.raises(ForbiddenError, match="is no UID"):
        VIEW.check_path(f"studies/{disguise}/metadata")


def test_json_that_cannot_be_read_is_not_shown() -> None:
    kind = 'multipart/related; type="application/dicom+json"'
    with pytest.raises(ForbiddenError, match="ask for one series at a time"):
        VIEW.without_hidden(f"studies/{BLIND}/metadata", b"--x", kind)


def test_a_series_without_its_study_is_refused_too() -> None:
    with pytest.raises(ForbiddenError):
        VIEW.check_path(f"series/{FIRST}/instances")


def test_a_whole_study_in_files_is_refused_and_other_studies_pass() -> None:
    with pytest.raises(ForbiddenError, match="ask for one series at a time"):
        VIEW.without_hidden(f"studies/{BLIND}", b"--x", "multipart/related")
    assert VIEW.without_hidden(f"studies/{SHOWN}", b"--x", "multipart/related") == b"--x"
    assert VIEW.without_hidden(f"studies/{BLIND}/series", b"", "") == b""  # nothing was found
    assert VIEW.without_hidden(f"studies/{BLIND}/series/{IMAGE}/instances/1", b"--x", "multipart/related") == b"--x"
