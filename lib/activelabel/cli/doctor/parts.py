"""Checks of `activelabel doctor` on the parts of a study: whose images are whose, and a given split."""

from collections.abc import Collection, Iterator, Mapping

from activelabel.cli.doctor.versions import Finding
from activelabel.data.patients.by_name import NAMES, overlooked_line, shared_by_name
from activelabel.data.patients.given import GivenPatients, check_parts
from activelabel.project.given.patients import (
    check_patients,
    patients_at_start,
    patients_in_force,
    patients_with_two_roles,
)
from activelabel.project.given.split import SETTING, check_no_test_cases, check_split, given_split
from activelabel.project.project import Project

_SMALLEST_SPLIT = 2


def parts_of_folder(project: Project, images: Collection[str], *, begun: bool) -> Iterator[Finding]:
    """Report patients and split of the images of a folder.

    Raises:
        InvalidInputError: the given patients or the given split are refused by a server.
    """
    given = patients_at_start(project.settings, project.ledger) if begun else patients_in_force(project.settings, None)
    if given is not None and project.settings.patients is not None:
        given.require_some(images)
        if begun:
            check_patients(given, project.ledger)
    elif given is None and (overlooked := overlooked_line(images)) is not None:
        yield Finding("patients", False, overlooked, "validation may be too good by it")
    known = {} if given is None else given.of_all(images)
    if given is not None and given.others_alone and shared_by_name(images):
        known = {**dict(zip(images, images, strict=True)), **known}
    elif given is not None and given.others_alone:
        known = {}
    yield from _parts(project, images, known, given, begun)


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
        by_names = ", by their names" if given is not None and given.setting == NAMES else ""
        wanted = project.recipe.training.validation_cases
        yield Finding(
            "patients",
            min(len(patients), _SMALLEST_SPLIT) <= count or not wanted,
            f"{count} on {len(patients)} images{by_names}",
            "all images are of one patient, and none can judge what was learnt from: say whose they are with --conf "
            "patients",
        )
    split = given_split(project.settings)
    if split is not None:
        roles = {role: len(split.of(role, images)) for role in ("training", "validation", "test")}
        check_no_test_cases(split, images)
        named = {**({} if given is None else given.of_all(split.roles)), **patients}
        check_parts(split, named, SETTING, by_names=given is not None and given.others_alone)
        if begun:
            check_split(split, project.ledger)
        shown = ", ".join(f"{count} for {role}" for role, count in roles.items() if count)
        yield Finding("split", True, f"{split.file}: {shown or 'none of these images'}")
    if begun:
        for patient, both in patients_with_two_roles(project.ledger, patients).items():
            shown = " and ".join(f"{role} ('{image_id}')" for role, image_id in both.items())
            advice = "validation is too good by it; only another project (--conf project_dir) mends that"
            yield Finding("patient", False, f"'{patient}' has images for {shown}", advice)
