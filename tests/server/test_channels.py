"""Images of several channels through the whole loop: a simulated run, a live datastore, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from channel_files import CHANNELS, SIZE, load, made_up_channels, write_case_files, write_task01
from datastore_client import client_of, following_datastore
from fastapi.testclient import TestClient
from small_studies import TINY_RECIPE, write_nifti

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.project.opening import open_project, plan_project
from activelabel.project.project import Project
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.opening import open_datastore
from activelabel.simulation.local_app import LocalApp
from activelabel.training.checkpoints import open_model

CONF = {"labels": "ball", "recipe": str(TINY_RECIPE), "device": "cpu", "repeats": "2"}
FINISHED = {"client_id": "ann", "finished": True, "confirmed": True}


@pytest.fixture
def task01(tmp_path: Path) -> Path:
    return write_task01(tmp_path / "Task01", 7)


def label_of(number: int, folder: Path) -> Path:
    return write_nifti(folder / "label.nii.gz", made_up_channels(number)[1])


def test_a_round_on_the_decathlons_task01_learns_from_all_channels(task01: Path, tmp_path: Path) -> None:
    conf = {key: value for key, value in CONF.items() if key != "labels"}  # those of the dataset.json
    app = LocalApp(task01 / "imagesTr", {**conf, "project_dir": str(tmp_path / "project")}, "oracle")
    assert app.project.recipe.channels == CHANNELS
    assert app.project.recipe.shown_channel == "FLAIR"
    assert app.project.modality.name == "FLAIR, T1W, T1GD, T2W"
    assert app.project.preprocessing.intensity == "zscore"
    assert app.project.labels == ("ball",)
    for _ in range(4):  # two validation cases, and the two to start with
        query = app.ask("variance")
        app.save(query["id"], label_of(int(query["id"][-3:]), tmp_path), FINISHED)
    app.train_if_due()
    app.score_if_due()
    model = app.model()
    network, description = open_model(app.project.models_folder / model.file)
    assert description.channels == CHANNELS
    assert description.inputs == 4
    first = next(layer for layer in network.modules() if isinstance(layer, torch.nn.Conv3d))
    assert first.in_channels == 4
    scored = {row["image_id"] for row in app.scores(model.version)}
    assert len(scored) == 3
    files = ImageFiles.of(app.project.layout.files(task01 / "imagesTr" / "BRATS_006.nii.gz"))
    assert app.segmenter(model.version)(files).shape == SIZE


@pytest.fixture
def project(task01: Path, tmp_path: Path) -> Project:
    conf = {**CONF, "project_dir": str(tmp_path / "project"), "shown_channel": "T2w"}
    return open_project("", str(task01 / "imagesTr"), conf)


@pytest.fixture
def store(project: Project) -> Iterator[LedgerDatastore]:
    with following_datastore(project) as store:
        yield store


@pytest.fixture
def http(store: LedgerDatastore, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    return client_of(store, monkeypatch)


def test_a_viewer_gets_the_shown_channel_as_a_file_of_three_dimensions(http: TestClient, tmp_path: Path) -> None:
    answer = http.get("/datastore/image", params={"image": "BRATS_003"})
    assert answer.status_code == 200
    assert 'filename="BRATS_003.nii.gz"' in answer.headers["Content-Disposition"]
    file = tmp_path / "got.nii.gz"
    file.write_bytes(answer.content)
    assert load(file).shape == SIZE
    assert np.allclose(load(file), made_up_channels(3)[0][3], atol=1e-3)


def test_the_shown_channel_is_made_anew_only_when_the_image_changes(store: LedgerDatastore) -> None:
    file = store.shown_file("BRATS_001")
    inode = file.stat().st_ino
    assert store.shown_file("BRATS_001").stat().st_ino == inode
    image = store.image_files("BRATS_001").path
    changed = nibabel.Nifti1Image(np.full((*SIZE, 4), 5, np.int16), nibabel.load(image).affine)
    nibabel.save(changed, image)
    assert np.all(load(store.shown_file("BRATS_001")) == 5)


def test_a_label_drawn_on_the_shown_channel_is_kept_and_asks_for_the_same_image(
    store: LedgerDatastore, project: Project, tmp_path: Path
) -> None:
    store.keep_label("BRATS_000", str(label_of(0, tmp_path)), "final", dict(FINISHED))
    kept = project.ledger.current_annotation("BRATS_000")
    assert kept is not None
    assert kept.image_sha256 == project.ledger.image("BRATS_000").content_sha256
    image = store.image_files("BRATS_000").path
    voxels = nibabel.load(image).get_fdata(dtype=np.float32)
    voxels[..., 0] += 1  # not the channel that is shown
    nibabel.save(nibabel.Nifti1Image(voxels, nibabel.load(image).affine), image)
    store.refresh()
    assert "its image has changed since its label was drawn" in str(project.ledger.image("BRATS_000").unreadable_reason)


def test_a_case_whose_channel_vanishes_waits_for_it_and_the_rest_goes_on(tmp_path: Path) -> None:
    endings = ("_flair", "_t1", "_t1ce", "_t2")
    for number in range(3):
        write_case_files(tmp_path / "images", f"case_{number}", number, endings)
    conf = {**CONF, "project_dir": str(tmp_path / "project"), "channel_files": ",".join(endings)}
    project = open_project("", str(tmp_path / "images"), conf)
    assert project.recipe.channels == ("flair", "t1", "t1ce", "t2")
    store = open_datastore(project, project.studies, follow_changes=True)
    try:
        assert sorted(store.list_images()) == ["case_0", "case_1", "case_2"]
        there = tmp_path / "images" / "case_1_t2.nii.gz"
        away = there.rename(tmp_path / "away.nii.gz")
        store.refresh()
        assert sorted(store.list_images()) == ["case_0", "case_2"]
        assert store.passed_over() == [
            "1 passed over (case_1_flair.nii.gz): the channel t2 (a file that ends in _t2) is missing: put it beside"
        ]
        away.rename(there)
        store.refresh()
        assert sorted(store.list_images()) == ["case_0", "case_1", "case_2"]
        assert store.passed_over() == []
    finally:
        store.close()


def test_a_project_keeps_its_channels(task01: Path, tmp_path: Path) -> None:
    conf = {**CONF, "project_dir": str(tmp_path / "project")}
    project = open_project("", str(task01 / "imagesTr"), conf)
    open_project("", str(task01 / "imagesTr"), {**conf, "channels": "FLAIR,T2w"})  # nothing was read yet
    project = open_project("", str(task01 / "imagesTr"), conf)
    project.ledger.sync_images(["BRATS_000"], 0)
    project.ledger.record_file("BRATS_000", "0" * 64, 1, 1, (0, 1, 2, 0))
    with pytest.raises(
        InvalidInputError, match=r"^channels FLAIR, T2w: the project began with FLAIR, T1w, t1gd, T2w, in"
    ):
        open_project("", str(task01 / "imagesTr"), {**conf, "channels": "FLAIR,T2w"})


def test_a_project_that_began_with_one_channel_keeps_it_whatever_the_dataset_says(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    write_nifti(tmp_path / "images" / "a_0000.nii.gz", made_up_channels(0)[0][0])
    conf = {**CONF, "project_dir": str(tmp_path / "project")}
    project = open_project("", str(tmp_path / "images"), conf)
    project.ledger.sync_images(["a_0000"], 0)
    project.ledger.record_file("a_0000", "0" * 64, 1, 1, (0, 1, 2, 0))
    channels = {"0": "FLAIR", "1": "T1"}
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": channels, "labels": {"ball": 1}}))
    assert plan_project("", str(tmp_path / "images"), conf).layout.names == ()
    assert plan_project("", str(tmp_path / "images"), {**CONF, "project_dir": str(tmp_path / "new")}).layout.names


def test_ct_and_pet_are_prepared_each_by_its_own_modality(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    hu = random.choice(np.array([-1000, 40, 1000], np.float32), SIZE)
    (tmp_path / "images").mkdir()
    write_nifti(tmp_path / "images" / "a.nii.gz", np.stack([hu, random.normal(5, 2, SIZE)], axis=-1).astype(np.float32))
    conf = {**CONF, "project_dir": str(tmp_path / "project"), "channels": "CT venous,PT"}
    project = open_project("", str(tmp_path / "images"), conf)
    assert project.preprocessing.intensity == ("window", "zscore")
    from activelabel.data.preprocessing import prepare_image

    volume = read_volume(project.layout.files(tmp_path / "images" / "a.nii.gz"))
    tensor = prepare_image(volume, project.preprocessing).tensor
    assert set(np.unique(tensor[0].numpy().round(3))) == {0.0, 0.5, 1.0}  # -160 to 240 HU
    assert abs(float(tensor[1].mean())) < 1e-3
    assert abs(float(tensor[1].std()) - 1) < 1e-2


def test_a_channel_whose_name_says_nothing_is_prepared_as_its_intensities_look(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    hu = random.choice(np.array([-1000, 40, 1000], np.float32), SIZE)
    (tmp_path / "images").mkdir()
    voxels = np.stack([random.normal(5, 2, SIZE), hu], axis=-1).astype(np.float32)
    write_nifti(tmp_path / "images" / "a.nii.gz", voxels)
    conf = {**CONF, "project_dir": str(tmp_path / "project"), "channels": "first,second"}
    project = open_project("", str(tmp_path / "images"), conf)
    assert project.modality.name == "other, CT"
    assert project.preprocessing.intensity == ("zscore", "window")


@pytest.mark.parametrize(
    ("conf", "line"),
    [
        (
            {"modality": "CT,MR,PT"},
            r"^--conf modality CT,MR,PT: 3 modalities, expected one, or one for each channel \(FLAIR",
        ),
        ({"shown_channel": "T5"}, "^shown_channel T5: use one of the channels, FLAIR, T1w, t1gd, T2w"),
        ({"channels": "T5"}, "^channels: 'T5' is none of those of the dataset.json"),
    ],
)
def test_settings_that_do_not_go_with_the_channels_are_refused(
    task01: Path, tmp_path: Path, conf: dict[str, str], line: str
) -> None:
    with pytest.raises(InvalidInputError, match=line):
        open_project("", str(task01 / "imagesTr"), {**CONF, "project_dir": str(tmp_path / "p"), **conf})
