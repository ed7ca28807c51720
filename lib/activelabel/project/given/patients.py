"""The patients of a project: the user's (`--conf patients`), else those that the names of images tell.

The latter are decided when a project begins and kept in its ledger, so that no later version splits it otherwise.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

from activelabel.data.patients.by_name import BY_NAMES, IMAGES, NAMES
from activelabel.data.patients.given import SETTING, GivenPatients, patients_by_names, read_patients
from activelabel.data.patients.wording import like_others
from activelabel.errors import InvalidInputError
from activelabel.project.settings import Settings
from activelabel.store.ledger import Ledger
from activelabel.store.records.images import Role

FACT = "patients"
"""The pattern that tells patients in the ids of images where the settings do not; empty: each image is of its own."""


def given_patients(settings: Settings) -> GivenPatients | None:
    """The patients that the settings say; None if they say nothing of patients.

    Raises:
        InvalidInputError: raised by `read_patients`.
    """
    return None if settings.patients is None else read_patients(settings.patients)


def fix_patients(settings: Settings, ledger: Ledger) -> None:
    """Record how a project of a folder tells patients without a setting, just before images are registered.

    A project begins with its first image. What an earlier start has recorded that registered none does not count.
    """
    if ledger.any_registered():
        if ledger.fact(FACT) is None:
            ledger.fix_fact(FACT, "", "the project began when each image was a patient of its own")
    elif settings.patients is not None:
        ledger.fix_fact(FACT, "", f"the project began with {SETTING}", again=True)
    else:
        ledger.fix_fact(FACT, BY_NAMES, f"the project began without {SETTING}", again=True)


def patients_at_start(settings: Settings, ledger: Ledger) -> GivenPatients | None:
    """The patients of a folder's project as a server opens it: those in force once `fix_patients` was called.

    Raises:
        InvalidInputError: raised by `read_patients`.
    """
    return patients_in_force(settings, ledger if ledger.any_registered() else None)


def patients_in_force(settings: Settings, ledger: Ledger | None) -> GivenPatients | None:
    """The patients of a project of a folder: given ones, else those by the names of images.

    Args:
        settings: the settings of the project.
        ledger: its ledger; None if it has not begun.

    Returns:
        None if each image is a patient of its own and nobody has said that it should be.

    Raises:
        InvalidInputError: raised by `read_patients`.
    """
    if (given := given_patients(settings)) is not None:
        return given
    fact = None if ledger is None else ledger.fact(FACT)
    pattern = BY_NAMES if ledger is None else "" if fact is None else fact.value
    return patients_by_names(NAMES, pattern) if pattern else None


def patients_setting_in_force(settings: Settings, ledger: Ledger) -> str | None:
    """The value of the setting by which a project tells patients, which is the ledger's where nobody has set it.

    A pattern by which another version told them is itself the value. None for a PACS, and if nothing has begun.
    """
    if settings.patients is not None or (fact := ledger.fact(FACT)) is None:
        return settings.patients
    return {BY_NAMES: NAMES, "": IMAGES}.get(fact.value, fact.value)


def patients_of_rebuilt(settings: Settings, ledger: Ledger, images: Collection[str]) -> GivenPatients | None:
    """The patients of a folder's project whose ledger was rebuilt from records, recorded as `fix_patients` does.

    Those by names hold unless the patients or roles in the records contradict them.

    Raises:
        InvalidInputError: raised by `read_patients`.
    """
    given = given_patients(settings)
    named = patients_by_names(NAMES, BY_NAMES)
    told = named.of_all({*images, *(image.id for image in ledger.images())})
    recorded = all(image.patient in (None, told.get(image.id)) for image in ledger.images())
    holds = given is None and recorded and not patients_with_two_roles(ledger, told)
    ledger.fix_fact(FACT, BY_NAMES if holds else "", "as the records of the labels tell", again=True)
    return named if holds else given


def check_patients(given: GivenPatients, ledger: Ledger) -> None:
    """Check patients against the roles of the images that the ledger knows.

    Raises:
        InvalidInputError: images of one patient have both roles already, and roles never change.
    """
    shared = patients_with_two_roles(ledger, given.of_all(image.id for image in ledger.images()))
    for patient, images in shared.items():
        others = like_others(shared, "has", "have")
        shown = " and ".join(f"{role} ('{image_id}')" for role, image_id in images.items())
        raise InvalidInputError(
            f"{SETTING} {given.setting}: patient '{patient}' has images for {shown}{others}, drawn when the project "
            "began, and roles never change: begin another project with --conf project_dir, or leave the setting out"
        )


def divided_line(patients: GivenPatients, ledger: Ledger, images: Collection[str]) -> str | None:
    """What people should know if patients by the names of images have both roles; None if none of these has.

    Names are no setting that could be left out, so that this is no reason to refuse a start.
    """
    told = patients.of_all(images)
    count = Counter(told.values())
    found = defaultdict[str, dict[Role, str]](dict)
    for image_id, role in sorted(ledger.roles([one for one, patient in told.items() if count[patient] > 1]).items()):
        found[told[image_id]].setdefault(role, image_id)
    divided = {patient: roles for patient, roles in sorted(found.items()) if len(roles) > 1}
    for patient, roles in divided.items():
        others = like_others(divided, "has", "have")
        shown = " and ".join(f"{role} ('{image_id}')" for role, image_id in sorted(roles.items()))
        return (
            f"patient '{patient}' has images for {shown} by their names{others}: they got their roles before names "
            "told patients, and roles never change, so that models may be judged by patients from whom they have "
            f"learnt: begin another project (--conf project_dir), or, if the names mislead, say {SETTING} {IMAGES}"
        )
    return None


def patients_with_two_roles(ledger: Ledger, patients: Mapping[str, str]) -> dict[str, dict[Role, str]]:
    """The patients of whose images some learn and some judge, each with an image of each role.

    `patients` names the patient of an image by id; for one that is not in it, what the ledger knows counts.
    """
    roles = defaultdict[str, dict[Role, str]](dict)
    for image in ledger.images():
        roles[patients.get(image.id) or image.patient or image.id].setdefault(image.role, image.id)
    return {patient: images for patient, images in sorted(roles.items()) if len(images) > 1}
