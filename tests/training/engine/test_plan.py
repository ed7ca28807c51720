"""A training that was interrupted goes on only with the files with which it began."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from changed_files import edit_and_put_time_back
from tiny_plan import tiny_plan

from activelabel.recipes import SemiSupervisedSettings
from activelabel.training.engine.plan import Unannotated


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


def test_a_plan_is_the_same_if_only_the_rights_of_images_have_changed_whose_content_is_said(
    blobs: Callable[[int], Any], tmp_path: Path
) -> None:
    plan = tiny_plan(blobs(4), tmp_path, epochs=1, validation=1)
    said = replace(plan, cases=[{**case, "content": "1"} for case in plan.cases])
    before = said.identity("network")
    image, label = (Path(said.cases[0][of]) for of in ("image", "label"))
    image.chmod(0o600)
    assert said.identity("network") == before
    assert replace(said, cases=[{**said.cases[0], "content": "2"}, *said.cases[1:]]).identity("network") != before
    edit_and_put_time_back(label)
    assert said.identity("network") != before


def test_a_plan_is_another_one_if_a_noisy_label_was_edited_of_an_image_whose_content_is_said(
    blobs: Callable[[int], Any], tmp_path: Path
) -> None:
    plan = tiny_plan(blobs(4), tmp_path, epochs=1, validation=1)
    image, label = (plan.cases[0][of] for of in ("image", "label"))
    noisy: Any = {"image": image, "noisy_label": label, "content": "1"}
    settings = SemiSupervisedSettings()
    said = replace(plan, cases=plan.cases[1:], unannotated=Unannotated(settings, [noisy]))
    before = said.identity("network")
    edit_and_put_time_back(Path(label))
    assert said.identity("network") != before
