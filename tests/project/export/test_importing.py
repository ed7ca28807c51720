"""An exported data set as a new project: its ledger row by row, its files, and exports that were changed."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from channel_files import made_up_channels, write_task01
from clinic import NAMES, Clinic
from postgresql_fixtures import administrator as administrator
from postgresql_fixtures import new_postgresql as new_postgresql
from postgresql_fixtures import postgresql_server as postgresql_server
from small_studies import TINY_RECIPE, boxes, write_nifti
from sqlalchemy import select

from activelabel.annotation.archive import open_archive
from activelabel.annotation.label_info import LabelInfo
from activelabel.cli.main import main
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError
from activelabel.project.export import audit, importing
from activelabel.project.export.audit import audit_table
from activelabel.project.export.audit_reading import read_trail
from activelabel.project.export.folder_images import FolderImages
from activelabel.project.export.importing import Imported, import_dataset
from activelabel.project.export.writing import export_dataset
from activelabel.project.opening import make_folder, open_project, plan_without_labels
from activelabel.project.project import Project
from activelabel.project.readability import note_image
from activelabel.store.case_states import Verdict
from activelabel.store.ledger import Ledger
from activelabel.store.records.queries import SECOND_READING
from activelabel.store.schema.base import Base
from activelabel.store.transfer import TABLES

Export = Callable[[str], Path]
LAYOUTS = ("nnunet", "decathlon", "bids")
OF_THIS_DISK = {"file_size", "file_modified_ns", "file_changed_ns", "intensities", "set_aside_stamp"}
OF_THIS_DISK |= {"unreadable_at", "unreadable_reason"}
OF_THIS_DISK |= {"random_seed", "random_place"}  # which each start gives to images that have none


class Story(Clinic):
    """The clinic after all that can happen to a case: a and b are for validation, d is never finished."""

    def __init__(self, folder: Path, **conf: str) -> None:
        super().__init__(folder, **conf)
        ledger = self.ledger
        for name in NAMES:
            note_image(name, self.images.image_files(name), ledger)
        self.later()
        ledger.grant_lease("eve", "d", 120, "random_volumes", reason="=1+1, \"quoted\"\r\nand a 'second' line")
        self.later()
        ledger.note_active("eve", 90)
        self.draw("d", "eve", annotated_slices="all")
        self.later()
        ledger.take_for_review("rev", 30, "d")
        self.later()
        ledger.decide("d", "rev", Verdict.RETURNED, "'hard to see", difficulty="hard")
        self.later()
        self.draw("d", "eve", annotated_slices="all")
        ledger.decide("d", "rev", Verdict.APPROVED)
        self.later()
        ledger.delete_annotation("d")
        model = ledger.publish_model(
            "model-1.safetensors", "7" * 64, "tiny", ("ball", "box"), {"dice": 0.1 + 0.2, "ball": None},
            trained_on=[ledger.current_annotation("c").id], validated_on=[ledger.current_annotation("a").id],
        )  # fmt: skip
        ledger.use_model(model.version, "boss")
        self.show_mask("d", model.version)
        self.later()
        ledger.grant_lease("zoe", "a", 120, SECOND_READING, model_version=1, score=1 / 3, reason="again")
        self.later()
        self.draw("a", "zoe", finished=True, boxes_of=(2, 1), annotated_slices="all")
        self.later()
        self.draw("a", "ann", boxes_of=(1,), annotated_slices="all")  # compared with zoe's again
        assert [one.superseded_at is None for one in ledger.readings(with_earlier=True)] == [False, True]
        ledger.grant_lease("bob", "c", 120, "variance_slices", model_version=1, slices=[1, 3])
        self.later()
        self.draw("c", "bob", finished=False, annotated_slices=[3, 1])
        self.later()
        self.draw("c", "bob", annotated_slices=[1, 3])
        ledger.decide("a", "rev", Verdict.RETURNED, "look again")
        self.later()
        ledger.decide("a", "rev", Verdict.APPROVED)
        ledger.take_for_review("rev", 30, "b")
        self.later()
        ledger.skip_case("ann", "not now", "late", "d")
        ledger.skip_case("bob", "cannot be annotated", "blurred", "d")
        self.later()
        ledger.bring_back("d", "boss")

    def later(self) -> None:
        self.now += timedelta(minutes=1, microseconds=7)

    def draw(self, image: str, who: str, boxes_of: tuple[int, ...] = (1, 2), **info: Any) -> None:
        file = write_nifti(self.folder / "sent.nii.gz", boxes(*boxes_of))
        grid = read_grid(self.images.image_files(image))
        self.archive.keep(image, "final", file, grid, LabelInfo(who, **{"finished": True, "confirmed": True, **info}))

    def show_mask(self, image: str, model: int) -> None:
        mask = self.project.predictions_folder / image / f"{model}.nii.gz"
        mask.parent.mkdir(parents=True)
        write_nifti(mask, boxes(2))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("story"))


@pytest.fixture
def exported(story: Story, tmp_path: Path) -> Callable[[str], Path]:
    """Copy an export of the story, which is made once for each layout."""

    def copy(layout: str) -> Path:
        out = story.folder / layout
        if not out.exists():
            export_dataset(story.project, story.images, out, layout)
        return Path(shutil.copytree(out, tmp_path / layout))

    return copy


def new_project(folder: Path, **conf: str) -> Project:
    project = plan_without_labels("app", str(folder), {"recipe": str(TINY_RECIPE), **conf})
    make_folder(project)
    return project


def imported(source: Path, studies: Path, **conf: str) -> tuple[Project, Imported]:
    project = new_project(studies, **conf)
    return project, fill(project, source)


def fill(project: Project, source: Path) -> Imported:
    return import_dataset(project, source, read_trail(source))


def rows_of(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """Return every row of the transferred tables, as the database has it, but what depends on the disk."""
    found = {}
    with ledger._reading() as session:
        for name, kind in TABLES.items():
            columns = [column.key for column in kind.__table__.columns if column.key not in OF_THIS_DISK]
            rows = [{key: getattr(row, key) for key in columns} for row in session.scalars(select(kind))]
            found[name] = sorted(rows, key=lambda row: [str(value) for value in row.values()])
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_row_of_the_ledger_comes_back(story: Story, exported: Export, tmp_path: Path, layout: str) -> None:
    source = exported(layout)
    project, _ = imported(source, tmp_path / "new")
    before, after = rows_of(story.ledger), rows_of(project.ledger)
    assert all(before.values())  # the story has a row of each table
    assert project.identity != story.project.identity
    for rows in (before, after):  # the other facts are about files that stay behind
        rows["facts"] = [fact for fact in rows["facts"] if fact["name"] in audit.KEPT_FACTS]
    for image in before["images"]:  # images that nobody has labelled stay behind, patients lose their names
        image["present"] = image["id"] in ("a", "b", "c")
        image["patient"] = {"SMITH^ANN": "patient 0002", "JONES^BOB": "patient 0001", None: None}[image["patient"]]
        image["leased_whole"] = True
    withdrawn = [model.pop("withdrawn_at") for model in after["model_versions"]]
    assert all(withdrawn)
    assert [model.pop("withdrawn_at") for model in before["model_versions"]] == [None]
    none_in_use = [use for use in after["model_uses"] if use["model_version"] is None]
    assert len(none_in_use) == 1
    after["model_uses"] = [use for use in after["model_uses"] if use["model_version"] is not None]
    assert after == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_files_of_all_versions_and_shown_masks_come_back(
    story: Story, exported: Export, tmp_path: Path, layout: str
) -> None:
    project, done = imported(exported(layout), tmp_path / "new")
    assert done == Imported(3, len(rows_of(story.ledger)["annotations"]), 1, 3, ())
    for file in story.ledger.label_files():
        assert (project.labels_folder / file).read_bytes() == (story.project.labels_folder / file).read_bytes()
        assert (project.labels_folder / file).with_name(f"{Path(file).name[:-7]}.json").is_file()
    shown = "d/1.nii.gz"
    assert (project.predictions_folder / shown).read_bytes() == (story.project.predictions_folder / shown).read_bytes()
    for name in "abc":
        volumes = [read_volume(images.image_files(name)) for images in (story.images, FolderImages(project))]
        assert np.array_equal(volumes[0].array, volumes[1].array)
        assert np.allclose(volumes[0].affine_ras, volumes[1].affine_ras)


def test_the_audit_trail_of_the_new_project_is_that_of_the_old_one(
    story: Story, exported: Export, tmp_path: Path
) -> None:
    source = exported("nnunet")
    project, _ = imported(source, tmp_path / "new")
    about = ("image", "file", "model", "model in use")  # patients by number, files, and the withdrawal of models

    def told(table: str) -> list[dict[str, str]]:
        rows = csv.DictReader(io.StringIO(table, newline=""))
        return [{**row, "exported": ""} for row in rows if row["event"] not in about]

    assert told(audit_table(project)) == told((source / "audit.csv").read_bytes().decode())


def test_the_states_of_cases_are_the_same(story: Story, exported: Export, tmp_path: Path) -> None:
    project, _ = imported(exported("bids"), tmp_path / "new")
    project.ledger._clock = lambda: story.now
    for name in NAMES:
        assert project.ledger.case_facts(name) == story.ledger.case_facts(name)
    assert {image.id: image.role for image in project.ledger.images()} == {
        image.id: image.role for image in story.ledger.images()
    }


def test_a_server_opens_the_new_project_and_numbers_its_models_on(exported: Export, tmp_path: Path) -> None:
    studies = tmp_path / "new"
    imported(exported("nnunet"), studies)
    project = open_project("app", str(studies), {"recipe": str(TINY_RECIPE)})
    assert tuple(project.labels) == ("ball", "box")
    assert project.modality is not None
    assert project.modality.name == "CT"
    project.ledger.sync_images(("a", "b", "c"), 3)
    assert {label.image_id for label in project.ledger.labels_to_learn()} == {"a", "b", "c"}
    images, archive = FolderImages(project), open_archive(project)
    sent = write_nifti(tmp_path / "sent.nii.gz", boxes(2, 1))
    info = LabelInfo("bob", finished=True, confirmed=True, annotated_slices=[4])
    kept = archive.keep("c", "final", sent, read_grid(images.image_files("c")), info)
    assert kept.slices == (1, 2, 3, 4, 5)
    model = project.ledger.publish_model("m", "8" * 64, "tiny", ("ball", "box"), {}, trained_on=[])
    assert model.version == 2
    assert project.ledger.model_in_use() == model


def test_a_query_that_was_open_is_released(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    clinic.ledger.grant_lease("late", "d", 120, "random_volumes")
    project, _ = imported(clinic.export("nnunet"), tmp_path / "new")
    query = project.ledger.leases()[-1]
    assert (query.annotator, query.outcome) == ("late", "released")
    assert project.ledger.active_lease("late") is None


def test_labels_of_slices_are_made_of_label_and_mask_where_versions_were_left_out(
    story: Story, exported: Export, tmp_path: Path
) -> None:
    """Who publishes the data set may leave drafts and earlier versions out: the label that counts comes along."""
    for layout, unknown in (("nnunet", 3), ("decathlon", 0)):
        source = exported(layout)
        for file in sorted((source / "versions").rglob("*.nii.gz")):
            file.unlink()
        label = nibabel.load(source / "labelsTr/c.nii.gz")
        assert np.asarray(label.dataobj)[0, 0, 0] == unknown
        project, done = imported(source, tmp_path / f"new {layout}")
        kept = project.ledger.current_annotation("c")
        assert (kept.slices, kept.sha256) == ((1, 2, 3, 5), story.ledger.current_annotation("c").sha256)
        assert (project.labels_folder / kept.file).is_file()
        assert any(" did not come along" in line for line in done.gone)


def test_channels_come_back(tmp_path: Path) -> None:
    studies = write_task01(tmp_path / "task", 1) / "imagesTr"
    conf = {"recipe": str(TINY_RECIPE), "project_dir": str(tmp_path / "project"), "shown_channel": "T1w"}
    project = open_project("app", str(studies), conf)
    project.ledger.sync_images(["BRATS_000"], 0)
    images = FolderImages(project)
    channels, drawn = made_up_channels(0)
    file = write_nifti(tmp_path / "sent.nii.gz", drawn)
    files = images.image_files("BRATS_000")
    note_image("BRATS_000", files, project.ledger)
    open_archive(project).keep("BRATS_000", "final", file, read_grid(files), LabelInfo("ann", finished=True))
    for layout in ("nnunet", "decathlon"):
        export_dataset(project, images, tmp_path / layout, layout)
        named = {"channels": ",".join(project.recipe.channels), "shown_channel": "T1w"}
        again, _ = imported(tmp_path / layout, tmp_path / f"new-{layout}", **named)
        assert np.array_equal(read_volume(FolderImages(again).image_files("BRATS_000")).channels, channels)
        assert rows_of(again.ledger)["images"] == rows_of(project.ledger)["images"]


def test_a_project_that_has_begun_is_refused(story: Story, exported: Export, tmp_path: Path) -> None:
    source = exported("nnunet")
    with pytest.raises(
        InvalidInputError, match=r"^--studies .*: a project has begun in .* \(labels, predictions, ledger.sqlite\), "
    ):
        imported(source, story.studies)
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.nii.gz").write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"there is something already: name a folder that is new or empty$"):
        imported(source, other)
    assert sorted(path.name for path in other.iterdir()) == ["activelabel", "x.nii.gz"]


def change_cell(source: Path, event: str, column: str, value: str) -> int:
    """Change a cell of the first row of an event, and return its line."""
    with (source / "audit.csv").open(newline="", encoding="utf-8") as table:
        reader = csv.DictReader(table)
        rows, lines = [], []
        for row in reader:
            rows.append(row)
            lines.append(reader.line_num)
    place = next(place for place, row in enumerate(rows) if row["event"] == event)
    rows[place][column] = value
    with (source / "audit.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, audit.COLUMNS, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    return lines[place]


@pytest.mark.parametrize(
    ("event", "column", "value", "said"),
    [
        ("label", "slices", "1 two", "slices is '1 two', expected 'all', or whole numbers"),
        ("label", "when", "yesterday", "when is 'yesterday', expected a time with a zone"),
        ("label", "who", "", "who is empty in a row of 'label'"),
        ("label", "event", "labelled", "event 'labelled' is unknown"),
        ("label", "about", "77", "it contradicts other rows, or lacks something"),
        ("label", "file", "../../a.nii.gz", "file is '../../a.nii.gz', which leads out of its folder"),
        ("label", "sha256", "1" * 64, "it has changed since it was exported, its SHA-256 is not that in"),
        ("image", "image", "../a", "image is '../a', which leads out of its folder"),
        ("image", "image", "x", "no row describes the image 'a'"),
        ("image", "role", "judge", "it contradicts other rows, or lacks something"),
        ("asked", "score", "high", "score is 'high', expected a number"),
        ("compared", "detail", "{", "detail is '{', expected JSON"),
        ("compared", "detail", "[" * 100_000, "expected JSON"),
        ("image", "covered_slices", "9" * 30, f"covered_slices is '{'9' * 30}', expected a whole number"),
        ("label", "seconds", "nan", "seconds is 'nan', expected a number"),
        ("label", "detail", "by guess", "detail is 'by guess', expected one of"),
        ("draft", "detail", "by guess", "detail is 'by guess', expected one of"),
        ("draft", "named_slices", "1 two", "named_slices is '1 two', expected 'all', whole numbers, or nothing"),
        ("label", "sent_otherwise", '{"one": ""}', "expected JSON with a digest by slice"),
        ("label", "sent_otherwise", '{"1": 1}', "expected JSON with a digest by slice"),
        ("compared", "about", "1", "expected two labels and how much they agree"),
        ("file", "image", "nobody", "no row describes the image 'nobody'"),
        ("file", "file", "imagesTr/x.nii.gz", "cannot be read (No such file or directory)"),
    ],
)
def test_a_changed_audit_trail_is_refused_with_its_line(
    exported: Export, tmp_path: Path, event: str, column: str, value: str, said: str
) -> None:
    source = exported("nnunet")
    line = change_cell(source, event, column, value)
    with pytest.raises(InvalidInputError) as refused:
        imported(source, tmp_path / "new")
    message = str(refused.value)
    assert said in message
    assert "\n" not in message
    if value != "x":  # the row that misses it is named instead
        assert f"{source / 'audit.csv'}, line {line}" in message
    left = {path.name for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert left == set()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda source: (source / "labelsTr/a.nii.gz").write_bytes(b"edited"),
        lambda source: (source / "imagesTr/b_0000.nii.gz").unlink(),
        lambda source: (source / "annotatedTr/c.nii.gz").write_bytes(b""),
        lambda source: next((source / "versions/c").glob("draft*.nii.gz")).write_bytes(b"edited"),
    ],
)
def test_a_changed_file_is_refused_with_the_line_that_names_it(
    exported: Export, tmp_path: Path, break_it: Callable[[Path], Any]
) -> None:
    source = exported("nnunet")
    break_it(source)
    with pytest.raises(InvalidInputError, match=rf"^{source}/.*nii\.gz: .*audit\.csv, line \d+"):
        imported(source, tmp_path / "new")
    assert not any(path.is_file() for path in (tmp_path / "new").rglob("*"))


def test_an_import_that_failed_leaves_nothing_and_can_be_done_again(exported: Export, tmp_path: Path) -> None:
    source = exported("nnunet")
    whole = (source / "audit.csv").read_bytes()
    change_cell(source, "label", "about", "77")  # is found out once all files are written
    with pytest.raises(InvalidInputError, match="it contradicts other rows"):
        imported(source, tmp_path / "new")
    (source / "audit.csv").write_bytes(whole)
    assert imported(source, tmp_path / "new")[1].images > 0


def on(url: str, folder: Path) -> dict[str, str]:
    """The settings of a project on PostgreSQL."""
    file = folder / "url"
    file.write_text(url, encoding="utf-8")
    return {"database_url_file": str(file)}


def all_rows(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables of a ledger, but the marks of what depends on its last change."""
    with ledger._reading() as session:
        tables = {table.name: table for table in Base.metadata.sorted_tables}
        return {name: sorted(map(tuple, session.execute(select(table))), key=str) for name, table in tables.items()}


def test_on_postgresql_every_row_comes_back(
    story: Story, exported: Export, tmp_path: Path, new_postgresql: Callable[..., str]
) -> None:
    source = exported("nnunet")
    on_file, _ = imported(source, tmp_path / "on file")
    on_server, _ = imported(source, tmp_path / "on a server", **on(new_postgresql(), tmp_path))
    assert on_server.ledger.file is None
    before, after = rows_of(on_file.ledger), rows_of(on_server.ledger)
    assert all(after.values())
    for rows in (before, after):  # each import withdraws the models when it is done, and counts changes of images
        rows["facts"] = [fact for fact in rows["facts"] if fact["name"] in audit.KEPT_FACTS]
        for model in rows["model_versions"]:
            assert model.pop("withdrawn_at")
        rows["model_uses"] = [use for use in rows["model_uses"] if use["model_version"] is not None]
    assert after == before
    on_server.ledger.grant_lease("zoe", "a", 5, "random_volumes")  # with an id that is free
    on_server.ledger.close()


@pytest.mark.parametrize("step", ["sync_images", "write_missing_records"])
@pytest.mark.parametrize("on_server", [False, True], ids=["sqlite", "postgresql"])
def test_an_import_that_fails_after_the_ledger_was_filled_leaves_nothing(
    story: Story,
    exported: Export,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    on_server: bool,
) -> None:
    source, conf = exported("nnunet"), {}
    if on_server:
        conf = on(request.getfixturevalue("new_postgresql")(), tmp_path)
    project = new_project(tmp_path / "new", **conf)
    if on_server:  # a ledger in a file is a new file
        project.ledger.fix_fact("of before", "7", "set before")
        project.ledger.add_user("ann", "annotator", "hash")
        empty = all_rows(project.ledger)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*((Ledger, step) if step == "sync_images" else (importing, step)), full)
        with pytest.raises(OSError, match="No space"):
            fill(project, source)
    assert not any(path.is_file() for path in (tmp_path / "new").rglob("*") if path.suffix in (".gz", ".json"))
    if on_server:
        assert all_rows(project.ledger) == empty
        project.labels_folder.mkdir(exist_ok=True)
        assert fill(project, source).images > 0
        assert project.ledger.user("ann") is not None
    project.ledger.close()
    if not on_server:
        assert imported(source, tmp_path / "new")[1].images > 0


def test_a_ledger_that_another_import_has_filled_meanwhile_keeps_its_rows(
    story: Story, exported: Export, tmp_path: Path, new_postgresql: Callable[..., str]
) -> None:
    source, url = exported("nnunet"), new_postgresql()
    late = new_project(tmp_path / "late", **on(url, tmp_path))
    first, _ = imported(source, tmp_path / "first", **on(url, tmp_path))
    kept = all_rows(first.ledger)
    with pytest.raises(InvalidInputError, match="images"):
        fill(late, source)
    assert all_rows(first.ledger) == kept
    for project in (first, late):
        project.ledger.close()


@pytest.mark.parametrize(("event", "column"), [("label", "structures"), ("model", "structures"), ("model", "detail")])
def test_rows_that_could_not_be_read_again_are_refused(
    exported: Export, tmp_path: Path, event: str, column: str
) -> None:
    source = exported("nnunet")
    change_cell(source, event, column, "7")
    with pytest.raises(InvalidInputError, match=r"audit\.csv.*: export again|audit\.csv.*or export again"):
        imported(source, tmp_path / "new")
    assert not any(path.is_file() for path in (tmp_path / "new").rglob("*"))


@pytest.mark.parametrize("place", ["versions/d/shown/1.nii.gz", "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"])
def test_a_link_out_of_the_data_set_is_not_followed(exported: Export, tmp_path: Path, place: str) -> None:
    source, secret = exported("nnunet"), tmp_path / "secret"
    secret.write_bytes((source / place).read_bytes())
    (source / place).unlink()
    (source / place).symlink_to(secret)
    with pytest.raises(InvalidInputError, match=f"{place}: it leads out of the data set"):
        imported(source, tmp_path / "new")
    assert not any(path.is_file() for path in (tmp_path / "new").rglob("*"))


def test_a_shown_mask_of_no_model_is_named(exported: Export, tmp_path: Path) -> None:
    source = exported("nnunet")
    (source / "versions/d/shown/best.nii.gz").write_bytes(b"x")
    with pytest.raises(InvalidInputError, match=r"shown/best\.nii\.gz: expected the number of a model as its name"):
        imported(source, tmp_path / "new")


@pytest.mark.parametrize("lacking", [["sent_otherwise"], ["named_slices", "sent_otherwise"]])
def test_a_table_of_an_earlier_version_is_read(exported: Export, tmp_path: Path, lacking: list[str]) -> None:
    source = exported("nnunet")
    with (source / "audit.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["named_slices"] for row in rows if row["named_slices"]] == ["1 3"]
    sent = [json.loads(row["sent_otherwise"]) for row in rows if row["event"] == "label" and row["image"] == "c"]
    slices = [[*map(int, digests.keys() - {"format"})] for digests in sent]
    assert [sorted(each) for each in slices] == [[0, 1, 3], [0]], "drawn, and not counted"
    with (source / "audit.csv").open("w", newline="", encoding="utf-8") as table:
        known = [name for name in rows[0] if name not in lacking]
        written = csv.DictWriter(table, known, extrasaction="ignore", lineterminator="\n")
        written.writeheader()
        written.writerows(rows)
    project, _ = imported(source, tmp_path / "new")
    (draft,) = project.ledger.draft_history("c")
    assert (draft.slices, draft.named_slices) == ((1, 3), None if "named_slices" in lacking else (1, 3))
    assert {label.sent_otherwise for label in project.ledger.history("c")} == {None}


def test_a_damaged_table_is_refused(exported: Export, tmp_path: Path) -> None:
    source = exported("nnunet")
    table = source / "audit.csv"
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) - 30])
    with pytest.raises(InvalidInputError, match=r"audit\.csv, line \d+: it has \d+ cells, expected 32"):
        read_trail(source)
    table.write_bytes(whole.replace(b"active_seconds,", b"", 1))
    with pytest.raises(InvalidInputError, match=r"line 1: expected the columns .*; active_seconds is missing"):
        read_trail(source)
    table.unlink()
    with pytest.raises(InvalidInputError, match=r"^--from .*: expected a folder that `activelabel export` wrote"):
        read_trail(source)


@pytest.mark.parametrize(
    ("labels", "refused"), [("x,y", True), ("box,ball", True), ("ball,box", False), ("ball,box,more", False)]
)
def test_other_labels_than_those_of_the_data_set_are_refused(
    exported: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    labels: str,
    refused: bool,
) -> None:
    words = ["--from", exported("nnunet"), "--studies", tmp_path / "new", "--conf", f"labels={labels}"]
    monkeypatch.setattr(sys, "argv", ["activelabel", "import", *map(str, words), "--conf", f"recipe={TINY_RECIPE}"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, (tmp_path / "new").exists()) == ((2, False) if refused else (0, True))
    line = f"--conf labels {labels}: the values of this data set have the names ball,box, in this order: leave the "
    assert (line in capfd.readouterr().err) == refused


def test_the_command_says_how_to_go_on(
    story: Story, exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source, studies = exported("decathlon"), tmp_path / "new"
    words = ["--from", source, "--studies", studies, "--conf", "recipe", TINY_RECIPE]
    monkeypatch.setattr(sys, "argv", ["activelabel", "import", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    versions = len(rows_of(story.ledger)["annotations"])
    assert capfd.readouterr().out == (
        f"3 images with {versions} versions of labels, 1 drafts and 3 queries are in {studies}; start it with "
        f"`activelabel start --studies {studies}`\n"
    )
