"""Queries of several readers: never one image for two, one's own query again, no unreadable image."""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests
from running_server import RunningServer
from small_studies import BROKEN, REASONS, TINY_RECIPE, boxes, write_image, write_model, write_nifti

from activelabel.cli.main import main
from activelabel.names import ScoreKind
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

pytestmark = pytest.mark.e2e

READERS = 20
IMAGES = 44
LEFT_OVER = ".datastore_v2.json.0123abcd.part"

Samples = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More images than readers, and one unreadable image of each kind."""
    folder = tmp_path_factory.mktemp("leases") / "studies"
    folder.mkdir()
    for number in range(IMAGES):
        write_image(folder / f"case_{number:02d}.nii.gz", number)
    for kind, write in BROKEN.items():
        write(folder / f"broken_{kind}.nii.gz")
    (folder / "._case_00.nii.gz").write_bytes(b"what another system leaves beside a file")
    (folder / LEFT_OVER).write_bytes(b"what a killed server leaves of its listing")
    return folder


@pytest.fixture(scope="module")
def server(start_server: Callable[..., RunningServer], studies: Path) -> RunningServer:
    return start_server(
        studies, recipe=TINY_RECIPE, labels="ball,box", device="cpu", autopilot="false", finished_by="saving"
    )


@pytest.fixture(scope="module")
def ledger(server: RunningServer, studies: Path) -> Ledger:
    return Ledger(sqlite_url(studies / "activelabel" / "ledger.sqlite"))


@pytest.fixture(scope="module")
def label(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nifti(tmp_path_factory.mktemp("label") / "label.nii.gz", boxes(1, 2))


def ask_at_once(server: RunningServer, readers: Iterable[str]) -> Samples:
    """Return the query of each reader when all ask at the same moment."""
    names = list(readers)
    together = Barrier(len(names))

    def ask(reader: str) -> dict[str, Any]:
        together.wait()
        return server.next_sample(annotator=reader)

    with ThreadPoolExecutor(len(names)) as threads:
        return dict(zip(names, threads.map(ask, names), strict=True))


def ids(samples: Samples) -> set[str]:
    return {sample["id"] for sample in samples.values()}


@pytest.fixture(scope="module")
def first(server: RunningServer) -> Samples:
    """The readers' first queries, before there is a model."""
    return ask_at_once(server, (f"reader {number}" for number in range(READERS)))


@pytest.fixture(scope="module")
def scored(server: RunningServer, first: Samples, label: Path) -> RunningServer:
    """The server after the first queries were answered and a model has scored the rest."""
    for reader, sample in first.items():
        server.save_label(sample["id"], label, annotator=reader)
    model = write_model(label.with_name("model.safetensors"), ("ball", "box"))
    with model.open("rb") as content:
        assert requests.put(f"{server.address}/model/segmentation", files={"file": content}, timeout=60).ok
    assert requests.post(f"{server.address}/scoring/variance?run_sync=true", timeout=300).ok
    return server


@pytest.fixture(scope="module")
def second(scored: RunningServer, first: Samples) -> Samples:
    """The readers' second queries, by score."""
    return ask_at_once(scored, first)


def test_what_a_killed_server_left_is_removed(server: RunningServer, studies: Path) -> None:
    server.wait_for(lambda: not (studies / LEFT_OVER).exists(), "the removal of an unfinished listing")


def test_readers_who_ask_at_once_get_different_images(first: Samples) -> None:
    assert len(ids(first)) == READERS
    reasons = {sample["reason"] for sample in first.values()}
    assert all("no model yet" in reason or "a validation case" in reason for reason in reasons)


def test_a_reader_who_asks_again_gets_their_own_query(server: RunningServer, first: Samples) -> None:
    assert ask_at_once(server, first) == first
    assert server.next_sample("random_volumes", "reader 3") == first["reader 3"]


def test_a_reader_skips_through_the_hosts_client_and_by_a_route(server: RunningServer, first: Samples) -> None:
    held = server.next_sample(annotator="skipper")["id"]
    options = server.info()["strategies"]["random"]["config"]
    assert options["skip this case"] == ["no", "not now", "cannot be annotated"]
    other = server.next_sample(annotator="skipper", skip="cannot be annotated", reason="cut off at the dome")
    assert (other["skipped"]["id"], other["id"] != held) == (held, True)
    (aside,) = server.info()["cases"]["cannot_be_annotated"]
    assert (aside["id"], aside["annotator"], aside["reason"]) == (held, "skipper", "cut off at the dome")
    address = f"{server.address}/activelabel"
    back = requests.post(f"{address}/bring-back", json={"client_id": "boss", "image": held}, timeout=60)
    assert (back.status_code, back.json()) == (200, {"id": held, "state": "unseen"})
    skipped = requests.post(f"{address}/skip", json={"client_id": "skipper"}, timeout=60)
    assert (skipped.status_code, skipped.json()["id"], skipped.json()["kind"]) == (200, other["id"], "not now")
    again = requests.post(f"{address}/skip", json={"client_id": "skipper"}, timeout=60)
    assert again.status_code == 409
    assert again.json()["detail"].startswith("skipper holds no case that could be skipped")
    wrong = requests.post(f"{address}/skip", json={"client_id": "skipper", "skip": "later"}, timeout=60)
    assert (wrong.status_code, "got 'later'" in wrong.json()["detail"]) == (422, True)
    unknown = requests.post(f"{address}/finish", json={"client_id": "skipper", "image": "../x"}, timeout=60)
    assert unknown.status_code == 404
    assert [skip["id"] for skip in requests.get(f"{address}/cases", timeout=60).json()["not_now"]] == [other["id"]]


def test_readers_who_ask_at_once_get_different_scored_images(
    scored: RunningServer, first: Samples, second: Samples, ledger: Ledger
) -> None:
    assert len(ids(second)) == READERS
    assert not ids(second) & ids(first)
    ranked = [sample["score"] for sample in second.values() if sample["score"] is not None]
    assert {sample["model_version"] for sample in second.values() if sample["score"] is not None} == {1}
    assert len(ranked) >= READERS - 2  # the two validation cases of the recipe have no score
    left = ledger.ranking(1, ScoreKind("variance"), limit=IMAGES)
    assert min(ranked) >= max(left.values())


def test_unreadable_images_are_recorded_and_never_asked_for(
    scored: RunningServer, first: Samples, second: Samples, ledger: Ledger
) -> None:
    given = ids(first) | ids(second)
    for number in range(IMAGES + len(BROKEN)):
        sample = scored.next_sample(annotator=f"late {number}")
        if not sample:
            break
        assert sample["id"] not in given
        given.add(sample["id"])
    assert given == {f"case_{number:02d}" for number in range(IMAGES)}
    assert scored.next_sample("random_volumes", "latest") == {}
    reasons = {image.id: image.unreadable_reason for image in ledger.images() if image.unreadable_reason is not None}
    assert reasons.keys() == {f"broken_{kind}" for kind in BROKEN}
    for kind, word in REASONS.items():
        assert reasons[f"broken_{kind}"].startswith(f"broken_{kind}.nii.gz: ")
        assert word in reasons[f"broken_{kind}"]
    progress = scored.progress()
    assert (progress["unreadable"], progress["images"]) == (len(BROKEN), IMAGES + len(BROKEN))
    assert progress["leased"] == IMAGES - READERS


def test_a_saved_label_ends_the_lease(
    scored: RunningServer, first: Samples, second: Samples, ledger: Ledger, label: Path
) -> None:
    sample = second["reader 0"]
    scored.save_label(sample["id"], label, annotator="reader 0")
    granted = [lease for lease in ledger.leases() if lease.annotator == "reader 0"]
    assert [lease.outcome for lease in granted] == ["saved", "saved"]
    assert [lease.image_id for lease in granted] == [first["reader 0"]["id"], sample["id"]]


def test_an_image_that_was_mended_is_asked_for(scored: RunningServer, second: Samples, studies: Path) -> None:
    before = scored.progress()["unreadable"]
    write_image(studies / "broken_text.nii.gz")
    given: dict[str, Any] = {}

    def is_given() -> bool:
        given.update(scored.next_sample(annotator="mender"))
        return bool(given)

    scored.wait_for(is_given, "the mended image", 60)
    while given["id"] != "broken_text":  # more images are left if this test runs alone
        given = scored.next_sample(annotator=f"mender of {given['id']}")
    assert scored.progress()["unreadable"] < before


def test_a_model_that_another_process_chose_is_in_use_at_once_and_every_client_is_told(
    scored: RunningServer, label: Path, studies: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_model(label.with_name("other.safetensors"), ("ball", "box"), change=lambda weight: weight + 0.5)
    with other.open("rb") as content:
        answer = requests.put(f"{scored.address}/model/segmentation", files={"file": content}, timeout=60).json()
    assert (answer["version"], answer["compared"]) == (2, 2 if answer["validation_cases"] else 0)
    newest_not_in_use = 2 if scored.info()["model"]["version"] == 1 else 1
    command = ["activelabel", "models", "--studies", str(studies), "--use", str(newest_not_in_use), "--by", "Dr. Ann"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        main()

    info = scored.info()
    mask, params = scored.client.infer("segmentation", "case_00", {})

    Path(mask).unlink()
    assert (info["model"]["version"], info["model"]["chosen_by"]) == (newest_not_in_use, "Dr. Ann")
    assert info["progress"]["model_in_use"] == params["model_version"] == newest_not_in_use
    for text in (info["standing"], info["description"], info["models"]["segmentation"]["description"]):
        assert "Dr. Ann" in text
    ledger.use_best()
    assert scored.info()["model"]["chosen_by"] is None
