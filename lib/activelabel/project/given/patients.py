"""The user's patients of a project (`--conf patients`): read once, and checked against the ledger."""

from collections import defaultdict
from collections.abc import Mapping

from activelabel.data.given_patients import SETTING, GivenPatients, read_patients
from activelabel.errors import InvalidInputError
from activelabel.project.settings import Settings
from activelabel.store.ledger import Ledger
from activelabel.store.records.images import Role


def given_patients(settings: Settings) -> GivenPatients | None:
    """The patients that the settings say; None if they say nothing of patients.

    Raises:
        InvalidInputError: raised by `read_patients`.
    """
    return None if settings.patients is None else read_patients(settings.patients)


def check_patients(given: GivenPatients, ledger: Ledger) -> None:
    """Check patients against the roles of the images that the ledger knows.

    Raises:
        InvalidInputError: images of one patient have both roles already, and roles never change.
    """
    shared = patients_with_two_roles(ledger, given.of_all(image.id for image in ledger.images()))
    for patient, images in shared.items():
        more = f", and {len(shared) - 1} other patients have both" if len(shared) > 1 else ""
        shown = " and ".join(f"{role} ('{image_id}')" for role, image_id in images.items())
        raise InvalidInputError(
            f"{SETTING} {given.setting}: patient '{patient}' has images for {shown}{more}, drawn when the project "
            "began, and roles never change: begin another project with --conf project_dir, or leave the setting out"
        )


def patients_with_two_roles(ledger: Ledger, patients: Mapping[str, str]) -> dict[str, dict[Role, str]]:
    """The patients of whose images some learn and some judge, each with an image of each role.

    `patients` names the patient of an image by id; for one that is not in it, what the ledger knows counts.
    """
    roles = defaultdict[str, dict[Role, str]](dict)
    for image in ledger.images():
        roles[patients.get(image.id) or image.patient or image.id].setdefault(image.role, image.id)
    return {patient: images for patient, images in sorted(roles.items()) if len(images) > 1}
