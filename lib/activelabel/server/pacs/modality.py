"""Determines which series of a PACS are images, and their modality."""

import logging
from typing import Any

from monailabel.config import settings as host_settings

from activelabel.data.modality import ProjectModality, channel_modality, named_modality
from activelabel.errors import InvalidInputError
from activelabel.project.modality import fix_modality, known_modality
from activelabel.server.pacs.channel_series import SeriesRule
from activelabel.server.pacs.client import Pacs, Series
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)


IN_TURN = ("CT", "MR", "PT")
"""The modalities that are looked for, in DICOM's terms, where neither a filter nor the project says which is meant."""
_TERMS = {"MRI": "MR", "PET": "PT", "CBCT": "CT", "SPECT": "NM", "ULTRASOUND": "US"}
_OWN_TERMS = {"CT", "MR", "NM", "PT", "US", "XA"}


def image_series(
    pacs: Pacs,
    modality: ProjectModality | None = None,
    rule: SeriesRule = SeriesRule(),  # noqa: B008 - it is frozen
) -> list[Series]:
    """The series to annotate: those that the host's search filter finds.

    Where nobody set a filter, the host has one for CT. Then the modality of the project, if it is known, says which
    series are meant. If it is not known, they are those of the first modality of which the PACS has any: CT, MR or PET.
    Channels may be series of all three.

    Raises:
        UnavailableError: the PACS does not answer.
    """
    filters = host_settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER
    if filters != _host_default():
        return pacs.images(filters)
    if rule.layout.names:
        return [series for term in IN_TURN for series in pacs.images({"Modality": term})]
    for term in _terms_of(modality):
        found = pacs.images({"Modality": term})
        if found:
            return found
    return []


def _host_default() -> Any:
    """The host's filter where nobody set one. Its start puts it into the environment, so only its value tells."""
    return type(host_settings).model_fields["MONAI_LABEL_DICOMWEB_SEARCH_FILTER"].default


def _terms_of(modality: ProjectModality | None) -> tuple[str, ...]:
    """The modalities to look for, in DICOM's terms."""
    if modality is None:
        return IN_TURN
    name = modality.name.upper()
    term = _TERMS.get(name, name)
    if term in _OWN_TERMS:
        return (term,)
    return tuple(term for term in IN_TURN if modality.kind == "CT" or term != "CT")


def pacs_modality(pacs: Pacs) -> ProjectModality | None:
    """The modality of the images of a PACS: from the search filter, else from the majority of the series.

    None if no series has a known modality.

    Raises:
        InvalidInputError: the filter names an unknown modality.
        UnavailableError: the PACS does not answer.
    """
    filters = host_settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER
    filtered = filters.get("Modality")
    if filters != _host_default() and isinstance(filtered, str) and filtered.strip():
        return named_modality(filtered, "the search filter of the PACS")
    tags = [series.info["Modality"] for series in image_series(pacs)]
    known = [named for named in map(_tagged, tags) if named is not None]
    ct = [named for named in known if named.kind == "CT"]
    majority = ct if 2 * len(ct) > len(known) else [named for named in known if named.kind != "CT"]
    if not majority:
        return None
    if len(majority) < len(tags):
        logger.warning(
            "the PACS lists CT and other series (%s), and all are prepared alike: say with "
            "MONAI_LABEL_DICOMWEB_SEARCH_FILTER which are meant",
            ", ".join(sorted(set(tags))),
        )
    return ProjectModality(majority[0].name, f"DICOM tag Modality of {len(majority)} of {len(tags)} series")


def find_out(pacs: Pacs, ledger: Ledger, rule: SeriesRule = SeriesRule()) -> None:  # noqa: B008 - it is frozen
    """Record the modality of a PACS in the ledger unless it is recorded. Raises as `pacs_modality`."""
    if known_modality(ledger) is not None:
        return
    found = _of_channels(pacs, rule) if rule.layout.names else pacs_modality(pacs)
    if found is not None:
        fix_modality(ledger, found)


def _of_channels(pacs: Pacs, rule: SeriesRule) -> ProjectModality | None:
    """The modality of each channel: of the series of the first study that has all; None if no study has."""
    grouped = rule.group(image_series(pacs, rule=rule)).channels
    if not grouped:
        return None
    series = grouped[min(grouped)]
    named = (channel_modality(name) for name in rule.layout.names)
    tagged = (_tagged(one.info["Modality"]) for one in series)
    found = [
        name or (tag.name if tag else "other") if tag is None or tag.kind != "CT" else tag.name
        for name, tag in zip(named, tagged, strict=True)
    ]
    return ProjectModality(", ".join(found), "DICOM tag Modality and names of the channels")


def _tagged(name: str) -> ProjectModality | None:
    try:
        return named_modality(name, "DICOM tag Modality")
    except InvalidInputError:
        return None
