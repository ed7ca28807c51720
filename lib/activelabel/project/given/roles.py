"""What the settings say of the images of a folder: their roles, and whose they are."""

import logging
from collections.abc import Collection

from activelabel.data.given_splits import GivenSplit
from activelabel.data.patients.by_name import grouped_line, overlooked_line
from activelabel.data.patients.given import GivenPatients
from activelabel.project.given.patients import check_patients, divided_line, patients_in_force
from activelabel.project.given.split import check_no_test_cases, check_split, check_split_of_patients, given_split
from activelabel.project.settings import Settings
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)


def given_roles(
    settings: Settings, ledger: Ledger, images: Collection[str]
) -> tuple[GivenSplit | None, GivenPatients | None]:
    """The given split and the patients in force, each None without one, checked against the images of a folder.

    Raises:
        InvalidInputError: one is wrong, or they contradict each other, the images or the ledger.
    """
    split, patients = given_split(settings), patients_in_force(settings, ledger)
    check_roles(settings, split, patients, ledger, images)
    return split, patients


def check_roles(
    settings: Settings,
    split: GivenSplit | None,
    patients: GivenPatients | None,
    ledger: Ledger,
    images: Collection[str],
) -> None:
    """Check a given split and the patients in force against the images of a folder.

    Raises:
        InvalidInputError: they contradict each other, the images or the ledger.
    """
    if split is not None:
        check_split(split, ledger)
    if patients is not None and settings.patients is not None:
        patients.require_some(images)
        check_patients(patients, ledger)
    elif patients is not None and (grouped := grouped_line(images)) is not None:
        logger.info("%s", grouped)
        if (divided := divided_line(patients, ledger, images)) is not None:
            logger.warning("%s", divided)
    elif patients is None and (overlooked := overlooked_line(images)) is not None:
        logger.warning("%s", overlooked)
    if split is not None:
        check_no_test_cases(split, images)
        check_split_of_patients(split, patients, images)
