"""A training that was interrupted goes on only with the files with which it began."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from changed_files import edit_and_put_time_back
from tiny_plan import tiny_plan


@pytest.mark.parametrize("of", ["image", "label"])
@pytest.mark.parametrize("role", ["cases", "validation"])
def test_a_plan_is_another_one_if_a_file_was_edited_and_given_its_old_time(
    blobs: Callable[[int], Any], tmp_path: Path, of: str, role: str
) -> None:
    plan = tiny_plan(blobs(4), tmp_path, epochs=1, validation=1)
    before = plan.identity("network")
    assert plan.identity("network") == before
    edit_and_put_time_back(Path(getattr(plan, role)[0][of]))
    assert plan.identity("network") != before
