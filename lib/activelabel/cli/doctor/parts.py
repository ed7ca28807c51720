"""Checks of `activelabel doctor` on the parts of a study: whose images are whose, and a given split."""

from collections.abc import Collection, Iterator, Mapping

from activelabel.cli.doctor.versions import Finding
from activelabel.data.given_patients import SUBJECTS, GivenPatients, check_parts, untold_subjects
from activelabel.project.given.patients import check_patients, given_patients, patients_with_two_roles
from activelabel.project.given.split import SETTING, check_no_test_cases, check_split, given_split
from activelabel.project.project import Project

_SMALLEST_SPLIT = 2


def parts_of_folder(project: Project, images: Collection[str], *, begun: bool) -> Iterator[Finding]:
    """Report patients and split of the images of a folder.

    Raises:
        InvalidInputError: the given patients or the given split are refused by a server.
    """
    given = given_patients(project.settings)
    if given is not None:
        given.require_some(images)
        if begun:
            check_patients(given, project.ledger)
    elif (overlooked := untold_subjects(images)) is not None:
        yield Finding("patients", False, overlooked, f"begin the project with {SUBJECTS}")
    yield from _parts(project, images, {} if given is None else given.of_all(images), given, begun)


def parts_of_pacs(project: Project, patients: Mapping[str, str], *, begun: bool) -> Iterator[Finding]:
    """Report patients and split of the series of a PACS, each with its patient.

    Raises:
        InvalidInputError: the given split is refused by a server.
    """
    yield from _parts(project, patients.keys(), patients, None, begun)


def _parts(
    project: Project, images: Collection[str], patients: Mapping[str, str], given: GivenPatients | None, begun: bool
) -> Iterator[Finding]:
    if patients:
        count = len(set(patients.values()))
        wanted = project.recipe.training.validation_cases
        yield Finding(
            "patients",
            min(len(patients), _SMALLEST_SPLIT) <= count or not wanted,
            f"{count} on {len(patients)} images",
            "all images are of one patient, and none can judge what was learnt from: say whose they are with --conf "
            "patients",
        )
    split = given_split(project.settings)
    if split is not None:
        roles = {role: len(split.of(role, images)) for role in ("training", "validation", "test")}
        check_no_test_cases(split, images)
        named = {**({} if given is None else given.of_all(split.roles)), **patients}
        check_parts(split, named, SETTING)
        if begun:
            check_split(split, project.ledger)
        shown = ", ".join(f"{count} for {role}" for role, count in roles.items() if count)
        yield Finding("split", True, f"{split.file}: {shown or 'none of these images'}")
    if begun:
        for patient, both in patients_with_two_roles(project.ledger, patients).items():
            shown = " and ".join(f"{role} ('{image_id}')" for role, image_id in both.items())
            advice = "validation is too good by it; only another project (--conf project_dir) mends that"
            yield Finding("patient", False, f"'{patient}' has images for {shown}", advice)
