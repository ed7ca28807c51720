"""The patients of the series of a PACS."""

from collections.abc import Mapping
from typing import Any

from activelabel.data.patients.given import GivenPatients, cleaned
from activelabel.server.pacs.client import UNKNOWN


def patients_of(series: Mapping[str, Mapping[str, Any]], given: GivenPatients | None) -> dict[str, str]:
    """The patient of each series, as far as anything tells.

    A given table names it, by the UID of the series or by its PatientID. Else it is the PatientID: of it what a given
    pattern finds, or all of it. A series without a PatientID is of the patient of its study.

    Args:
        series: the tags that the PACS lists, by the UID of the series.
        given: what the settings say of patients.
    """
    found = {uid: _patient(uid, info, given) for uid, info in series.items()}
    return {uid: patient for uid, patient in found.items() if patient is not None}


def _patient(uid: str, info: Mapping[str, Any], given: GivenPatients | None) -> str | None:
    name = _tag(info, "PatientID")
    if given is not None:
        given_name = given.named(uid) or (name and (given.named(name) or given.found_in(name)))
        if given_name:
            return given_name
    return name or _tag(info, "StudyInstanceUID")


def _tag(info: Mapping[str, Any], tag: str) -> str | None:
    value = str(info.get(tag) or "")
    return None if value == UNKNOWN else cleaned(value)
