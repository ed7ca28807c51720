"""A worker that knows only the ledger: it scores, prepares and trains, from a shared folder or from a server."""

import errno
import http.server
import json
import os
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from recorded import record_annotation

from activelabel import __version__
from activelabel.annotation.archive import open_archive
from activelabel.annotation.label_info import LabelInfo
from activelabel.cli.work import open_worker, work_until_stopped
from activelabel.data.volumes import read_grid
from activelabel.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NotLoggedInError,
    NotReadyError,
    UnavailableError,
)
from activelabel.login.worker_passes import hash_of
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.project.models.publishing import publish_model
from activelabel.project.opening import open_project
from activelabel.project.place import write_place
from activelabel.project.project import Project
from activelabel.project.setting_aside import set_aside
from activelabel.work.fetched import FetchedImages
from activelabel.work.images import ServerImages, SharedFolder
from activelabel.work.opening import Wanted, ledger_url, open_work
from activelabel.work.token_file import read_token
from activelabel.work.tries import ImagesLeftError, LeftToOthers
from activelabel.work.worker import Worker, check_kind, images_left, left_to_do

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"
KIND = ScoreKind("variance")
CONF = {"recipe": str(TINY), "labels": "ball", "device": "cpu", "precision": "float32"}
NAMES = [f"blob_0{number}" for number in range(4)]


@pytest.fixture
def served(blobs: Callable[[int], Any], tmp_path: Path) -> Project:
    """A project of four images, one for validation, as its server has begun it with a recipe of the user's own."""
    studies = blobs(4).studies
    project = open_project("app", str(studies), {**CONF, "project_dir": str(tmp_path / "project")})
    project.ledger.sync_images(NAMES, 1)
    write_place(project, CONF)
    return project


@pytest.fixture
def modelled(served: Project) -> Project:
    """The same with a model of random weights."""
    torch.manual_seed(0)
    publish_model(served, build_network(served.recipe.network, classes=2).state_dict(), {}, [])
    return served


def worker_of(project: Project, kind: Any = "score", **wanted: str) -> Worker:
    url = f"sqlite:///{project.ledger.file}"
    own = Path(tempfile.mkdtemp(dir=project.folder.parent))
    return open_worker(Wanted(url, device="cpu", **wanted), kind, 60, until_done=True, own=own)


def test_a_worker_that_knows_the_ledger_scores_what_is_left_as_the_server_would(modelled: Project) -> None:
    worker = worker_of(modelled)
    assert worker.project.recipe == modelled.recipe
    assert left_to_do(worker.project, "score") == 3
    assert worker.run() == 3
    assert left_to_do(worker.project, "score") == 0
    assert modelled.ledger.scored_images(1, KIND) == set(modelled.ledger.pool("training"))
    assert set(modelled.ledger.score_repeats(1, KIND).values()) == {3}
    assert modelled.ledger.claims() == []
    assert worker_of(modelled).run() == 0


def test_a_worker_scores_with_the_next_model_when_one_is_published_meanwhile(modelled: Project) -> None:
    worker = worker_of(modelled)

    def publish_after_one() -> bool:
        """Publish a model once the first image is claimed."""
        if modelled.ledger.claims("score") and len(modelled.ledger.models()) == 1:
            publish_model(modelled, build_network(modelled.recipe.network, classes=2).state_dict(), {}, [])
        return False

    worker.stopped = publish_after_one
    worker.run()
    assert len(modelled.ledger.scored_images(1, KIND)) < 3
    assert modelled.ledger.scored_images(2, KIND) == set(modelled.ledger.pool("training"))


def test_a_damaged_image_is_set_aside_and_the_others_are_scored(modelled: Project) -> None:
    first = modelled.ledger.pool("training")[0]
    (Path(modelled.studies) / f"{first}.nii.gz").write_bytes(b"nothing")
    assert worker_of(modelled).run() == 2
    assert [image.id for image in modelled.ledger.images_set_aside()] == [first]


@pytest.mark.parametrize(("device", "is_kept"), [("cpu", False), ("cuda", True)])
def test_a_worker_without_the_folder_measures_no_precision_on_a_cpu_as_the_next_might_choose_another(
    modelled: Project, device: str, is_kept: bool, tmp_path: Path
) -> None:
    url = f"sqlite:///{modelled.ledger.file}"

    def choices_file(server: str) -> Path | None:
        project = open_work(Wanted(url, server=server, device="cpu"), tmp_path)
        return replace(project, settings=project.settings.model_copy(update={"device": device})).choices_file

    assert choices_file("http://host:8000") == (tmp_path / "layouts.json" if is_kept else None)
    assert choices_file("") == modelled.folder / "layouts.json"


@pytest.mark.parametrize("server", ["", "http://host:8000"])
def test_a_worker_computes_in_the_precision_that_was_set_for_the_server(
    modelled: Project, server: str, tmp_path: Path
) -> None:
    wanted = Wanted(f"sqlite:///{modelled.ledger.file}", server=server, device="cpu")
    assert CONF["precision"] == "float32"  # whichever this processor is faster in
    assert open_work(wanted, tmp_path).precision == "float32 (as requested)"


def test_a_worker_prepares_each_image_once(served: Project) -> None:
    assert left_to_do(served, "prepare") == 4
    assert worker_of(served, "prepare").run() == 4
    assert left_to_do(served, "prepare") == 0
    assert all(image.content_sha256 and image.slice_count for image in served.ledger.images())


def test_a_worker_trains_when_that_is_due_and_nobody_else_does(served: Project, tmp_path: Path) -> None:
    worker = worker_of(served, "train")
    assert worker.run() == 0  # nothing is annotated
    archive = open_archive(served)
    for image_id in served.ledger.pool("training")[:2]:
        image = Path(served.studies) / f"{image_id}.nii.gz"
        label = tmp_path / "blob-labels" / image.name
        archive.keep(image_id, "final", label, read_grid(image), LabelInfo("ann", finished=True, confirmed=True))
    assert served.ledger.claim_job("train", "another", 60)
    assert worker.run() == 0
    served.ledger.release_claims("another")
    assert worker.run() == 1
    assert served.current_model().version == 1
    assert served.ledger.claims() == []


ODD: dict[str, tuple[int, dict[str, str]]] = {
    "moved": (302, {"Location": "http://localhost:{port}/seen"}),
    "half": (200, {"Content-Length": "100"}),
}
"""Images for which the server answers otherwise."""
taken: list[str] = []
"""The names under which the server was asked with its token."""


@pytest.fixture
def server(modelled: Project) -> Iterator[str]:
    """The two routes that a worker fetches from, as a server answers them with the token `word` or a worker's."""

    taken.clear()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(address.query))
            token = self.headers["Authorization"].removeprefix("Bearer ")
            if token != "word" and not modelled.ledger.is_worker_session(hash_of(token)):
                return self.answer(401, {}, json.dumps({"detail": "log in"}).encode())
            if query.get("image") in ODD:
                status, headers = ODD[query["image"]]
                return self.answer(status, headers, b"voxels", Path(modelled.studies) / f"{NAMES[0]}.nii.gz")
            taken.append(self.headers["Host"].partition(":")[0])
            file = modelled.models_folder / modelled.current_model().file
            if address.path == "/datastore/image":
                file = Path(modelled.studies) / f"{query['image']}.nii.gz"
            if not file.is_file():
                return self.answer(404, {}, json.dumps({"detail": "no such image"}).encode())
            return self.answer(200, {}, file.read_bytes(), file)

        def answer(self, code: int, headers: dict[str, str], content: bytes, file: Path | None = None) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value.format(port=listening.server_port))
            if file is not None:
                self.send_header("Content-Disposition", f'attachment; filename="{file.name}"')
                self.send_header("X-Image-Parts", "1")
                self.send_header("X-Image-Modified", str(file.stat().st_mtime_ns))
                self.send_header("X-Image-Changed", str(file.stat().st_ctime_ns))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()


def test_a_worker_without_a_shared_folder_fetches_images_and_the_model(
    modelled: Project, server: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("word\n", encoding="utf-8")
    worker = worker_of(modelled, server=server, token_file=str(tmp_path / "token"))
    assert worker.run() == 3
    own = worker_of(modelled)
    first = modelled.ledger.pool("training")[0]
    noted, status = modelled.ledger.image(first), own.images.image_files(first).path.stat()
    times = status.st_mtime_ns, status.st_ctime_ns
    assert (noted.file_modified_ns, noted.file_changed_ns) == times  # no file looks as if it had changed


def test_a_worker_without_a_token_is_let_in_by_the_ledger(modelled: Project, server: str) -> None:
    assert worker_of(modelled, server=server).run() == 3


def test_nothing_stays_on_the_machine_of_a_worker_that_has_ended(
    modelled: Project, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models, images and prepared images that it has fetched are patients' data."""
    (tmp_path / "token").write_text("word\n", encoding="utf-8")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    write_place(modelled, {**CONF, "prepared_dir": str(tmp_path / "of the server")})
    url = f"sqlite:///{modelled.ledger.file}"
    wanted = Wanted(url, server=server, token_file=str(tmp_path / "token"), device="cpu")
    assert work_until_stopped(wanted, "score", 60, True, lambda: False) == 3
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "of the server").exists()


def test_what_a_server_refuses_is_one_line(modelled: Project, server: str, tmp_path: Path) -> None:
    refused = ServerImages(server, str, modelled.layout, tmp_path)
    with pytest.raises(NotLoggedInError, match="log in: is it the server of this ledger"):
        refused.image_files(NAMES[0])
    with pytest.raises(NotFoundError, match="no such image"):
        ServerImages(server, lambda: "word", modelled.layout, tmp_path).image_files("nobody")
    with pytest.raises(UnavailableError, match="is the server running"):
        ServerImages("http://127.0.0.1:1", str, modelled.layout, tmp_path).image_files(NAMES[0])
    with pytest.raises(InvalidInputError, match="expected the address of a server"):
        ServerImages("host:8000", str, modelled.layout, tmp_path)


def test_a_token_is_not_carried_to_another_address(modelled: Project, server: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="302"):
        ServerImages(server, lambda: "word", modelled.layout, tmp_path).image_files("moved")
    assert "localhost" not in taken


def test_half_an_image_is_none(modelled: Project, server: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="6 of 100 bytes"):
        ServerImages(server, lambda: "word", modelled.layout, tmp_path).image_files("half")


def test_a_full_disk_of_the_worker_is_told_as_that(modelled: Project, server: str, tmp_path: Path) -> None:
    model = modelled.current_model()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / f".{model.file}.unfinished").symlink_to("/dev/full")
    with pytest.raises(UnavailableError, match="no room for it on the disk of this worker"):
        ServerImages(server, lambda: "word", modelled.layout, tmp_path / "own").fetch_model(model)


def test_a_model_that_was_replaced_while_it_was_fetched_is_fetched_again(
    modelled: Project, server: str, tmp_path: Path
) -> None:
    first = modelled.current_model()
    publish_model(modelled, build_network(modelled.recipe.network, classes=2).state_dict(), {}, [])
    images = ServerImages(server, lambda: "word", modelled.layout, tmp_path / "own")
    with pytest.raises(UnavailableError, match="another model is in use"):
        images.fetch_model(first)
    assert list((tmp_path / "own").iterdir()) == []
    images.fetch_model(modelled.current_model())
    with pytest.raises(InvalidInputError, match="does not hand out the proxy model"):
        images.fetch_model(replace(first, kind="proxy"))


def test_an_image_of_a_shared_folder_is_found_by_its_name_or_below(modelled: Project, tmp_path: Path) -> None:
    images, studies = SharedFolder(modelled), Path(modelled.studies)
    assert images.image_files(NAMES[0]).path == studies / f"{NAMES[0]}.nii.gz"
    (studies / "below").mkdir()
    (studies / f"{NAMES[1]}.nii.gz").rename(studies / "below" / "other.nii.gz")
    assert images.image_files("below~other").path == studies / "below" / "other.nii.gz"
    with pytest.raises(NotFoundError, match="is that the same folder"):
        images.image_files("nobody")


def test_a_wrong_command_line_is_one_line(modelled: Project, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="--kind dream: use one of score, prepare, train"):
        check_kind("dream")
    with pytest.raises(InvalidInputError, match="no ledger is named"):
        ledger_url("", None, {})
    with pytest.raises(InvalidInputError, match="both name the ledger"):
        ledger_url("sqlite:///a", tmp_path, {})
    with pytest.raises(InvalidInputError, match="holds a password"):
        ledger_url("postgresql://ann:secret@host/study", None, {})
    with pytest.raises(InvalidInputError, match="expected the folder of a project"):
        ledger_url("", tmp_path / "nowhere", {})
    assert ledger_url("", None, {"ACTIVELABEL_DATABASE_URL": "postgresql://a:b@c/d\n"}) == "postgresql://a:b@c/d"
    with pytest.raises(InvalidInputError, match="no such folder: name theirs with --studies"):
        worker_of(modelled, studies=str(tmp_path / "nowhere"))
    with pytest.raises(InvalidInputError, match="no such folder: name it with --project-dir"):
        worker_of(modelled, folder=str(tmp_path / "nowhere"))
    with pytest.raises(InvalidInputError, match="a training needs the project's folder"):
        worker_of(modelled, "train", server="http://host:8000")
    (tmp_path / "token").write_text("two words", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="expected one word"):
        read_token(str(tmp_path / "token"))


def test_a_ledger_without_a_project_says_to_start_the_server(tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"recipe": str(TINY), "labels": "ball", "device": "cpu"})
    with pytest.raises(NotReadyError, match="start the project's server once"):
        worker_of(project)
    with pytest.raises(InvalidInputError, match="there is no such file"):
        open_worker(Wanted(f"sqlite:///{tmp_path}/none.sqlite"), "score", 60, until_done=True, own=tmp_path)


def test_an_annotated_image_is_not_scored_any_more(modelled: Project) -> None:
    record_annotation(modelled.ledger, modelled.ledger.pool("training")[0], "label", "0", "ann")
    assert left_to_do(modelled, "score") == 2
    assert worker_of(modelled).run() == 2


def test_a_worker_of_another_version_than_the_server_is_refused(modelled: Project) -> None:
    fact = modelled.ledger.fact("place")
    assert fact is not None
    place = {**json.loads(fact.value), "version": "9.1", "new_in_9": 1}
    modelled.ledger.fix_fact("place", json.dumps(place), "as its server was started", again=True)
    with pytest.raises(InvalidInputError, match=f"its server is activelabel 9.1, and this worker is {__version__}"):
        worker_of(modelled)


def test_a_worker_neither_makes_nor_upgrades_tables(modelled: Project, tmp_path: Path) -> None:
    assert modelled.ledger.file is not None
    with closing(sqlite3.connect(modelled.ledger.file)) as database:
        database.execute("UPDATE activelabel_version SET version_num = '0001'")
        database.commit()
        with pytest.raises(InvalidInputError, match="its tables are of revision 0001, and this activelabel needs"):
            worker_of(modelled)
        assert database.execute("SELECT version_num FROM activelabel_version").fetchall() == [("0001",)]
    with closing(sqlite3.connect(tmp_path / "empty.sqlite")) as database:
        wanted = Wanted(f"sqlite:///{tmp_path}/empty.sqlite")
        with pytest.raises(NotReadyError, match="nothing is there yet: start the project's server once"):
            open_worker(wanted, "score", 60, until_done=True, own=tmp_path)
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs the rights of POSIX")
def test_an_image_that_this_worker_may_not_read_is_not_set_aside_for_all(modelled: Project) -> None:
    worker = worker_of(modelled)
    first = modelled.ledger.pool("training")[0]
    (Path(modelled.studies) / f"{first}.nii.gz").chmod(0)
    with as_nobody(Path(modelled.studies)), pytest.raises(ForbiddenError, match="this worker may not read"):
        worker.images.image_files(first)
    assert modelled.ledger.images_set_aside() == []


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """The rights of a user who may enter the folder and is nobody special, for root, who may read all."""
    if os.geteuid() != 0:
        yield
        return
    above = [one for one in (folder, *folder.parents) if one.stat().st_mode & 0o005 != 0o005]
    modes = {one: one.stat().st_mode for one in above}
    for one in above:
        one.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for one, mode in modes.items():
            one.chmod(mode)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and does not answer")
def test_a_folder_that_does_not_answer_sets_no_image_aside(modelled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = worker_of(modelled)
    first = modelled.ledger.pool("training")[0]
    monkeypatch.setattr(SharedFolder, "_by_name", lambda *_: Path("/proc/self/mem"))  # whose first byte is an error
    with pytest.raises(UnavailableError, match=r"does not answer .*: is it mounted"):
        worker.images.image_files(first)
    with pytest.raises(UnavailableError, match="is it mounted"):
        set_aside(first, InvalidInputError("broken off"), modelled.ledger, worker.images)
    assert modelled.ledger.images_set_aside() == []


@pytest.mark.parametrize(("code", "kind"), [(errno.EIO, UnavailableError), (errno.EACCES, ForbiddenError)])
def test_a_folder_that_cannot_be_listed_sets_no_image_aside(
    modelled: Project, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    worker, below = worker_of(modelled), Path(modelled.studies) / "below"
    below.mkdir()
    (Path(modelled.studies) / f"{NAMES[1]}.nii.gz").rename(below / "other.nii.gz")
    assert worker.images.image_files("below~other").path == below / "other.nii.gz"
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path) == Path(modelled.studies):
            raise OSError(code, os.strerror(code), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(kind, match="may not read" if kind is ForbiddenError else "is it mounted"):
        SharedFolder(modelled).image_files("below~other")


def test_an_image_that_goes_while_others_are_scored_does_not_end_a_worker(
    modelled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.1)
    last = modelled.ledger.pool("training")[-1]
    file = Path(modelled.studies) / f"{last}.nii.gz"
    file.rename(file.with_suffix(".away"))
    worker = worker_of(modelled)
    worker.stopped = lambda: modelled.ledger.count_unscored(1, KIND) == 1 and worker.done == 2
    assert worker.run() == 2
    with pytest.raises(NotFoundError, match="is that the same folder"):
        worker_of(modelled).run()  # which sees none at all


def test_an_image_that_is_gone_keeps_none_of_those_behind_it_from_being_scored(
    modelled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.1)
    first, *others = modelled.ledger.pool("training")
    file = Path(modelled.studies) / f"{first}.nii.gz"
    file.rename(file.with_suffix(".away"))
    worker = worker_of(modelled)
    with pytest.raises(NotFoundError, match=f"image '{first}': it is not in"):
        worker.run()
    assert modelled.ledger.scored_images(1, KIND) == set(others)
    assert (worker.done, modelled.ledger.images_set_aside(), modelled.ledger.claims()) == (2, [], [])


@pytest.mark.parametrize("kind", ["score", "prepare"])
def test_an_image_that_comes_back_is_done_after_the_others(
    modelled: Project, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.1)
    count = {"score": 3, "prepare": 4}[kind]
    first = sorted(modelled.ledger.pool("training") if kind == "score" else NAMES)[0]
    file = Path(modelled.studies) / f"{first}.nii.gz"
    away = file.rename(file.with_suffix(".away"))
    worker = worker_of(modelled, kind)

    def bring_back() -> bool:
        """Put the file back when the others are done."""
        if left_to_do(modelled, worker.kind) == 1 and away.exists():
            away.rename(file)
        return False

    worker.stopped = bring_back
    assert worker.run() == count
    assert (left_to_do(modelled, worker.kind), modelled.ledger.images_set_aside()) == (0, [])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and does not answer")
def test_an_image_that_cannot_be_read_while_others_can_is_set_aside_after_some_tries(
    modelled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.1)
    first, *others = modelled.ledger.pool("training")
    by_name = SharedFolder._by_name
    asked: list[str] = []

    def damaged(folder: SharedFolder, image_id: str) -> Path | None:
        asked.append(image_id)
        return Path("/proc/self/mem") if image_id == first else by_name(folder, image_id)

    monkeypatch.setattr(SharedFolder, "_by_name", damaged)
    assert worker_of(modelled).run() == 2
    assert modelled.ledger.scored_images(1, KIND) == set(others)
    assert asked.count(first) == 3
    (aside,) = modelled.ledger.images_set_aside()
    assert aside.id == first
    assert "is it mounted? Others there can be read." in (aside.unreadable_reason or "")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and does not answer")
def test_while_the_whole_folder_does_not_answer_nothing_is_set_aside(
    modelled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.05)
    asked: list[str] = []

    def lost(folder: SharedFolder, image_id: str) -> Path:
        asked.append(image_id)
        return Path("/proc/self/mem")

    monkeypatch.setattr(SharedFolder, "_by_name", lost)
    worker = worker_of(modelled)
    worker.stopped = lambda: len(asked) > 40
    assert worker.run() == 0
    assert modelled.ledger.images_set_aside() == []
    assert {image_id: asked.count(image_id) > 3 for image_id in modelled.ledger.pool("training")} == dict.fromkeys(
        modelled.ledger.pool("training"), True
    )


def test_a_worker_ends_when_its_server_is_upgraded(modelled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = worker_of(modelled)
    worker.until_done = False
    fact = modelled.ledger.fact("place")
    assert fact is not None
    place = {**json.loads(fact.value), "version": "9.1"}
    modelled.ledger.fix_fact("place", json.dumps(place), "as its server was started", again=True)
    with pytest.raises(InvalidInputError, match=f"its server is activelabel 9.1, and this worker is {__version__}"):
        worker.run()
    assert modelled.ledger.scored_images(1, KIND) == set()


def test_a_token_file_that_is_being_replaced_sets_no_image_aside(
    modelled: Project, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.1)
    file = tmp_path / "token"
    file.write_text("word", encoding="utf-8")
    worker = worker_of(modelled, server=server, token_file=str(file))
    worker.fetch_model(modelled.current_model())
    file.write_text("", encoding="utf-8")
    with pytest.raises(UnavailableError, match="expected one word"):
        worker.images.image_files(NAMES[0])
    looks: list[int] = []

    def write_later() -> bool:
        """Finish the file after a while."""
        looks.append(1)
        if len(looks) == 40:
            file.write_text("word", encoding="utf-8")
        return False

    worker.stopped = write_later
    assert worker.run() == 3
    assert modelled.ledger.images_set_aside() == []


def test_a_token_that_was_replaced_in_its_file_is_used(modelled: Project, server: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("expired", encoding="utf-8")
    worker = worker_of(modelled, server=server, token_file=str(file))
    with pytest.raises(NotLoggedInError):
        worker.images.image_files(NAMES[0])
    file.write_text("word", encoding="utf-8")
    assert worker.images.image_files(NAMES[0]).path.name == f"{NAMES[0]}.nii.gz"


def test_a_password_is_not_shown_with_what_a_worker_is_started_with() -> None:
    assert "secret" not in repr(Wanted("postgresql://ann:secret@host/study"))


@pytest.mark.parametrize("kind", ["score", "prepare"])
def test_a_worker_that_is_told_to_end_leaves_an_image_that_hangs_and_keeps_what_it_has_done(
    modelled: Project, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.prediction.prepared.ahead.ENDING_SECONDS", 0.2)
    hung = sorted(modelled.ledger.pool("training") if kind == "score" else NAMES)[-1]
    hangs, answers, find = threading.Event(), threading.Event(), SharedFolder.image_files

    def hang(folder: SharedFolder, image_id: str) -> Any:
        if image_id == hung:
            hangs.set()
            answers.wait(120)
        return find(folder, image_id)

    monkeypatch.setattr(SharedFolder, "image_files", hang)
    worker = worker_of(modelled, kind)
    before = left_to_do(modelled, worker.kind)
    worker.stopped = hangs.is_set
    began = time.monotonic()
    done = worker.run()
    assert time.monotonic() - began < 100
    assert left_to_do(modelled, worker.kind) == before - done
    assert kind == "score" or done == before - 1
    assert (modelled.ledger.claims(), modelled.ledger.images_set_aside()) == ([], [])
    answers.set()


def test_an_image_that_a_server_does_not_give_is_left_to_others_and_the_end_tells(
    modelled: Project, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.05)
    monkeypatch.setattr("activelabel.work.tries.SERVER_TRIES", 4)
    first, *others = modelled.ledger.pool("training")
    monkeypatch.setitem(ODD, first, (500, {}))
    (tmp_path / "token").write_text("word", encoding="utf-8")
    worker = worker_of(modelled, server=server, token_file=str(tmp_path / "token"))
    with pytest.raises(ImagesLeftError, match=rf"2 done, 1 left that this worker could not get \({first}\): .* 500"):
        worker.run()
    assert modelled.ledger.scored_images(1, KIND) == set(others)
    assert (modelled.ledger.images_set_aside(), modelled.ledger.claims()) == ([], [])
    assert caplog.text.count(f"{first} is left to others: it was tried 4 times in vain") == 1
    monkeypatch.delitem(ODD, first)
    assert worker_of(modelled, server=server, token_file=str(tmp_path / "token")).run() == 1


def test_a_worker_that_waits_for_more_tries_later_what_a_server_did_not_give(
    modelled: Project, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.05)
    monkeypatch.setattr("activelabel.work.tries.SERVER_TRIES", 2)
    monkeypatch.setattr("activelabel.work.tries.RARELY_SECONDS", 0.3)
    first = modelled.ledger.pool("training")[0]
    monkeypatch.setitem(ODD, first, (500, {}))
    (tmp_path / "token").write_text("word", encoding="utf-8")
    worker = worker_of(modelled, server=server, token_file=str(tmp_path / "token"))
    worker.until_done = False

    def mend_when_refused() -> bool:
        if first in worker._tries.left_to_others:
            ODD.pop(first, None)
        return left_to_do(modelled, "score") == 0

    worker.stopped = mend_when_refused
    assert worker.run() == 3


def test_a_server_that_is_down_leaves_no_image_to_others(
    modelled: Project, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.02)
    monkeypatch.setattr("activelabel.work.tries.SERVER_TRIES", 2)
    record_annotation(modelled.ledger, modelled.ledger.pool("training")[0], "label", "0", "ann")  # so two are left
    (tmp_path / "token").write_text("word", encoding="utf-8")
    worker = worker_of(modelled, server=server, token_file=str(tmp_path / "token"))
    worker.fetch_model(modelled.current_model())
    for name in NAMES:
        monkeypatch.setitem(ODD, name, (503, {}))

    def answer_later() -> bool:
        if caplog.text.count("images are passed over") == 6:
            for name in NAMES:
                ODD.pop(name, None)
        return False

    worker.stopped = answer_later
    assert worker.run() == 2
    assert "is left to others" not in caplog.text


def test_a_worker_that_left_an_image_to_others_who_have_done_it_does_not_end_because_of_another_one(
    modelled: Project,
) -> None:
    worker = worker_of(modelled, "prepare")
    assert worker_of(modelled, "prepare").run() == 4
    worker._passing.failed[NAMES[0]] = error = UnavailableError("no answer")
    worker._tries.left_to_others[NAMES[0]] = LeftToOthers(error, time.monotonic())
    modelled.ledger.sync_images([*NAMES, "new"], 1)
    assert left_to_do(modelled, "prepare") == 1
    assert worker._looks_back()
    assert (images_left(modelled, "prepare"), worker._tries.left_to_others, worker._passing.failed) == ({"new"}, {}, {})


def test_what_is_left_is_named_by_kind(modelled: Project) -> None:
    assert images_left(modelled, "prepare") == set(NAMES)
    assert images_left(modelled, "score") == set(modelled.ledger.pool("training"))
    worker_of(modelled).run()
    assert images_left(modelled, "score") == set()


def test_a_worker_whose_pass_is_not_known_any_more_makes_another_one(modelled: Project, server: str) -> None:
    worker = worker_of(modelled, server=server)
    worker.images.image_files(NAMES[0])
    assert modelled.ledger.end_sessions(":worker") == 1  # as `user logout`, or a copy of the ledger that is older
    worker.images.image_files(NAMES[1])
    assert modelled.ledger.end_sessions(":worker") == 1


@pytest.mark.parametrize(("kind", "count"), [("score", 3), ("prepare", 4)])
def test_a_fetched_image_that_vanishes_while_it_is_read_is_passed_over_and_fetched_again(
    modelled: Project, server: str, kind: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.work.worker.RETRY_SECONDS", 0.05)
    first, get = modelled.ledger.pool("training")[0], FetchedImages.get
    asked: list[str] = []

    def lose(images: FetchedImages, image_id: str, fetch: Any) -> Any:
        """Remove the copy of an image as soon as it is there for the first time."""
        files = get(images, image_id, fetch)
        asked.append(image_id)
        if image_id == first and asked.count(first) == 1:
            files.path.unlink()
        return files

    monkeypatch.setattr(FetchedImages, "get", lose)
    assert worker_of(modelled, kind, server=server).run() == count
    assert asked.count(first) > 1
    assert modelled.ledger.images_set_aside() == []
