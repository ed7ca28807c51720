"""The modality of a project is determined once, recorded with the reason, and never changed."""

import json
import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from small_studies import write_nifti

from activelabel.data.files.channels import ONE_CHANNEL
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.splits import stable_fraction
from activelabel.errors import InvalidInputError
from activelabel.project import modality
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.project.serving import open_served_project
from activelabel.server.opening import open_datastore


def write_ct(path: Path, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    voxels = random.normal(40, 20, (12, 10, 8))
    voxels[:5] = -1000
    write_nifti(path, voxels.astype(np.float32))


def write_mr(path: Path, seed: int = 0, offset: float = 0.0) -> None:
    write_nifti(path, (np.random.default_rng(seed).normal(500, 60, (12, 10, 8)) + offset).astype(np.float32))


def start(studies: Path, **conf: str) -> Project:
    return open_project("app", str(studies), {"labels": "ball", **conf})


def test_images_vote_and_later_ones_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        write_mr(tmp_path / f"mr{number}.nii.gz", number)
    write_ct(tmp_path / "ct.nii.gz")
    with caplog.at_level(logging.INFO):
        project = start(tmp_path)
    assert project.preprocessing.intensity == project.model_description.preprocessing.intensity == "zscore"
    assert "other (1 of 4 images look like Hounsfield units): images are z-scored" in caplog.text
    for number in range(9):
        write_ct(tmp_path / f"more{number}.nii.gz", number)
    again = start(tmp_path)
    assert again.preprocessing.intensity == "zscore"
    assert again.settings_in_force()["modality"] == "other"


@pytest.mark.parametrize(("setting", "intensity"), [("CT", "window"), ("ct", "window"), ("MR", "zscore")])
def test_the_users_setting_of_the_modality_comes_first(tmp_path: Path, setting: str, intensity: str) -> None:
    write_ct(tmp_path / "a.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "CT"}}))
    project = start(tmp_path, modality=setting)
    assert project.preprocessing.intensity == intensity
    assert (project.modality.name, project.modality.reason) == (setting.upper(), "--conf modality")


def test_a_declared_modality_needs_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ct(tmp_path / "a.nii.gz")
    found = list[object]()
    find = modality.find_images
    monkeypatch.setattr(modality, "find_images", lambda *given, **how: found.append(given) or find(*given, **how))
    voted = modality.find_modality(str(tmp_path))
    assert (voted is not None and voted.name, len(found)) == ("CT", 1)
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "MR"}}))
    declared = modality.find_modality(str(tmp_path))
    assert (declared is not None and declared.name, len(found)) == ("MR", 1), "a million files take seconds"


def test_a_modality_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"--conf modality is 'xray', expected CT or one of"):
        start(tmp_path, modality="xray")


def test_a_vote_may_be_corrected_until_a_model_has_learned(tmp_path: Path) -> None:
    write_mr(tmp_path / "a.nii.gz")
    assert start(tmp_path).preprocessing.intensity == "zscore"
    project = start(tmp_path, modality="CT")
    assert project.preprocessing.intensity == "window"
    project.ledger.publish_model("m.pt", "0", "quick", ["ball"], {}, [])
    assert start(tmp_path).preprocessing.intensity == "window"
    with pytest.raises(InvalidInputError, match=r"^--conf modality MR: the project began with CT \(--conf modality\)"):
        start(tmp_path, modality="MR")


def test_a_project_begun_without_images_gets_its_modality_from_the_first_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = start(tmp_path)
    assert project.modality is None
    assert "there is none yet" in caplog.text
    write_ct(tmp_path / "a.nii.gz")
    assert project.preprocessing.intensity == "window"
    assert project.modality.name == "CT"


def test_the_modality_of_a_recipe_is_followed(tmp_path: Path) -> None:
    write_mr(tmp_path / "a.nii.gz")
    recipe = tmp_path / "own.toml"
    text = (Path(__file__).parents[1] / "support" / "tiny.toml").read_text(encoding="utf-8")
    recipe.write_text(f'{text}\n[preprocessing]\nintensity = "window"\n')
    assert start(tmp_path, recipe=str(recipe)).preprocessing.intensity == "window"


def test_images_that_cannot_be_read_do_not_vote(tmp_path: Path) -> None:
    write_ct(tmp_path / "a.nii.gz")
    for name in ("b", "c"):
        (tmp_path / f"{name}.nii.gz").write_bytes(b"broken")
    assert start(tmp_path).modality.reason == "1 of 1 images look like Hounsfield units"


def test_of_many_images_few_vote_and_they_are_drawn_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.nii.gz" for number in range(40)]
    in_order = sorted(names, key=lambda name: (stable_fraction(name), name))
    for name in names:
        (tmp_path / name).write_bytes(b"damaged")
    write_ct(tmp_path / in_order[2])
    write_mr(tmp_path / in_order[5])
    write_mr(tmp_path / in_order[9])

    def voted(voters: int, tried: int) -> tuple[str, str]:
        monkeypatch.setattr(modality, "VOTERS", voters)
        monkeypatch.setattr(modality, "MOST_TRIED", tried)
        found = modality.find_modality(str(tmp_path), [tmp_path / name for name in names])
        assert found is not None
        return found.name, found.reason.removesuffix(" images look like Hounsfield units")

    assert voted(1, 8) == ("CT", "1 of 1")
    assert voted(3, 8) == ("other", "1 of 2"), "more are not tried"
    assert voted(3, 16) == ("other", "1 of 3")


def test_of_very_many_images_those_are_drawn_from_that_lie_evenly_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modality, "MOST_TRIED", 600)
    monkeypatch.setattr(modality, "MOST_HASHED", 600)
    paths = [f"part{number // 1000}/{number:05}.nii.gz" for number in range(6000)]
    tried = [ImageFiles.of(image).name for image in modality.images_to_try(Path(), paths, ONE_CHANNEL)]
    places = sorted(int(name.removesuffix(".nii.gz")) for name in tried)
    assert len(set(places)) == len(places) == 600
    assert max(later - earlier for earlier, later in pairwise([0, *places, 6000])) < 30, "10 apart on average"
    of_even_places = sum(place % 2 == 0 for place in places)
    assert 270 < of_even_places < 330, "two sequences that alternate are both there"
    assert len([*modality.images_to_try(Path(), paths[:600], ONE_CHANNEL)]) == 600, "of so many all are drawn from"


def test_a_server_reads_its_folder_once_for_the_vote_too(tmp_path: Path) -> None:
    for number in range(2):
        write_mr(tmp_path / f"mr{number}.nii.gz", number)
    project = open_served_project("", str(tmp_path), {"labels": "ball"}, 8000)
    assert project.modality is None, "the datastore reads the folder, beside which it begins to watch it"
    store = open_datastore(project, str(tmp_path), follow_changes=True)
    store.close()
    assert project.modality.reason == "0 of 2 images look like Hounsfield units"


def test_what_says_the_modality_without_images_is_known_before_they_are_read(tmp_path: Path) -> None:
    write_mr(tmp_path / "a.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "CT"}}))
    assert open_served_project("", str(tmp_path), {"labels": "ball"}, 8000).modality.name == "CT"
