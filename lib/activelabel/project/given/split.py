"""The user's split of a live project (`--conf splits`): read once, and checked against the ledger."""

from collections.abc import Collection

from activelabel.data.given_splits import GivenSplit, read_split
from activelabel.data.patients.given import GivenPatients, check_parts
from activelabel.errors import InvalidInputError
from activelabel.project.settings import Settings
from activelabel.store.ledger import Ledger

SETTING = "--conf splits"
_NAMES_IN_A_LINE = 3


def given_split(settings: Settings) -> GivenSplit | None:
    """The split that the settings name; None if they name none.

    Raises:
        InvalidInputError: raised by `read_split`.
    """
    return None if settings.splits is None else read_split(settings.splits, settings.splits_fold)


def check_split(split: GivenSplit, ledger: Ledger) -> None:
    """Check a split against the images that the ledger knows.

    Raises:
        InvalidInputError: an image has another role already, and roles never change; or test cases are in the studies
            folder, where they would be asked for.
    """
    images = ledger.images()
    check_no_test_cases(split, [image.id for image in images if image.present])
    if split.of("validation", [image.id for image in images]):
        other = [image.id for image in images if split.role_of(image.id) not in (None, "test", image.role)]
        if other:
            raise InvalidInputError(
                f"{SETTING} {split.file}: {_shown(other)} had another role when the project began, and roles never "
                "change: leave the setting out, or begin another project with --conf project_dir"
            )


def check_split_of_patients(split: GivenSplit, given: GivenPatients | None, image_ids: Collection[str]) -> None:
    """Check that a split gives no patient two roles, as far as patients are told.

    The names in the split are checked as the images are, so that test cases are seen that lie elsewhere.

    Raises:
        InvalidInputError: a patient has two roles.
    """
    if given is not None:
        patients = given.of_all([*image_ids, *split.roles])
        check_parts(split, patients, SETTING, by_names=given.others_alone)


def check_no_test_cases(split: GivenSplit, image_ids: Collection[str]) -> None:
    """Check that none of these images is a test case. Raises the errors of `check_split`."""
    tests = sorted(split.of("test", image_ids))
    if tests:
        raise InvalidInputError(
            f"{SETTING} {split.file}: {_shown(tests)} may only test, and lies with the images that are asked for "
            "and learnt from: move it to another folder"
        )


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_IN_A_LINE} more" if len(names) > _NAMES_IN_A_LINE else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMES_IN_A_LINE]) + more
