"""Determines the modality of the images of a PACS."""

import logging

from monailabel.config import settings as host_settings

from activelabel.data.modality import ProjectModality, channel_modality, named_modality
from activelabel.errors import InvalidInputError
from activelabel.project.modality import fix_modality, known_modality
from activelabel.server.pacs.channel_series import SeriesRule
from activelabel.server.pacs.client import Pacs
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)


def pacs_modality(pacs: Pacs) -> ProjectModality | None:
    """The modality of the images of a PACS: from the search filter, else from the majority of the series.

    None if no series has a known modality.

    Raises:
        InvalidInputError: the filter names an unknown modality.
        UnavailableError: the PACS does not answer.
    """
    filtered = host_settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER.get("Modality")
    if isinstance(filtered, str) and filtered.strip():
        return named_modality(filtered, "the search filter of the PACS")
    tags = [series.info["Modality"] for series in pacs.images()]
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
    grouped = rule.group(pacs.images()).channels
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
