"""Every key of the JSON that a server answers is described, and every described key comes out."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.config import settings as host_settings
from monailabel.interfaces.utils import app as host_apps
from training_study import TINY

from activelabel.annotation.label_info import LabelInfo
from activelabel.server.app import ActiveLabel
from activelabel.server.routes.answer_keys import INFO, LABEL_PARAMS, NEXT_SAMPLE, NEXT_SAMPLE_PARAMS, SAVED_LABEL
from activelabel.server.routes.app_routes import ROUTES
from activelabel.strategies.case_requests import FORM

NOT_HERE = {
    "train_stats.{trainer}.current_time",  # while a training runs
    "train_stats.{trainer}.seconds_left",
    "modality.differing.{image}",  # of many images
}
"""Keys of states into which this test does not bring the project."""


def paths(value: object, known: Iterable[str], path: str = "") -> Iterator[str]:
    """The path of each key of `value`, with a name in braces where that is how `known` has it."""
    if isinstance(value, list):
        for item in value:
            yield from paths(item, known, f"{path}[]")
    if not isinstance(value, dict):
        return
    below = f"{path}." if path else ""
    if f"{below}*" in known:
        yield f"{below}*"
        return
    names = [name for name in known if re.fullmatch(re.escape(below) + r"{\w+}", name)]
    for key, item in value.items():
        here = f"{below}{key}"
        here = here if here in known or not names else names[0]
        yield here
        yield from paths(item, known, here)


class Site:
    """The whole app in this process, asked by its routes as clients ask."""

    def __init__(self, cases: Any, folder: Path, patch: pytest.MonkeyPatch, **conf: str) -> None:
        self.cases = cases
        settings = {"recipe": str(TINY), "labels": "ball", "device": "cpu", "autopilot": "false"}
        self.app = ActiveLabel(str(folder), str(cases.studies), {**settings, "project_dir": str(folder / "p"), **conf})
        address = f"{host_settings.MONAI_LABEL_APP_DIR}{host_settings.MONAI_LABEL_STUDIES}"
        patch.setitem(host_apps.apps, address, self.app)
        web = FastAPI()
        web.router.routes[:0] = ROUTES
        self.client = TestClient(web)
        self.samples: list[dict[str, Any]] = []
        self.saved: list[dict[str, Any]] = []

    def info(self) -> dict[str, Any]:
        return dict(self.client.get("/info/").raise_for_status().json())

    def ask(self, strategy: str = "recipe", **params: Any) -> dict[str, Any]:
        answer = self.client.post(f"/activelearning/{strategy}", json={"client_id": "ann", **params})
        self.samples.append(answer.raise_for_status().json())
        return self.samples[-1]

    def send(self, image: str, label: bytes | None = None, **params: Any) -> None:
        answer = self.client.put(
            "/datastore/label",
            params={"image": image},
            data={"params": json.dumps({"client_id": "ann", **params})},
            files={"label": ("label.nii.gz", label or self.cases.label_of(image).read_bytes())},
        )
        self.saved.append(answer.raise_for_status().json())


@pytest.fixture
def site(blobs: Callable[[int], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    cases = blobs(10)
    (cases.studies / "blob_broken.nii.gz").write_text("no image, but a name that ends as if")
    return Site(cases, tmp_path, monkeypatch, readers="2", readers_share="0.05")


def test_every_key_that_a_server_answers_is_described_and_every_described_key_comes_out(site: Site) -> None:
    infos = [site.info()]
    for number in range(6):
        image = site.ask()["id"]
        site.send(image, finished=number != 2, confirmed=True, label_info=[{"name": "ball", "idx": 1}])
        infos.append(site.info())
    again = site.ask(client_id="eve")
    assert again["strategy"] == "second_reading"
    site.send(again["id"], client_id="eve", finished=True, confirmed=True, label_info=[{"name": "ball", "idx": 1}])
    site.ask("random_slices", client_id="bob")
    site.ask("random_slices", client_id="bob", skip="not now", reason="blurred")
    site.ask(client_id="bob", skip="cannot be annotated", reason="no ball")
    site.app.train({"model": "segmentation"})
    image = site.ask()["id"]
    drawn = site.client.post("/infer/segmentation", params={"image": image, "output": "image"}).raise_for_status()
    site.send(image, drawn.content, confirmed=True)
    infos.append(site.info())

    assert not wrong(infos, INFO) - NOT_HERE
    assert not wrong(site.samples, NEXT_SAMPLE)
    assert not wrong(site.saved, SAVED_LABEL)


def wrong(answers: list[dict[str, Any]], known: Mapping[str, str]) -> set[str]:
    """Keys that came out and are not described, and the other way round."""
    return {path for answer in answers for path in paths(answer, known)} ^ set(known)


def test_an_undescribed_key_and_one_that_never_comes_are_both_found() -> None:
    known = {"a": "", "a.b": "", "list": "", "list[].c": "", "by": "", "by.{name}": "", "free": "", "free.*": ""}
    answer = {"a": {"b": 1}, "list": [{"c": 1}], "by": {"liver": 2}, "free": {"x": {"y": 1}}}
    assert not wrong([answer], known)
    assert wrong([{**answer, "new": 1}], known) == {"new"}
    assert wrong([{**answer, "list": []}], known) == {"list[].c"}
    assert wrong([{**answer, "by": {"liver": {"z": 1}}}], known) == {"by.{name}.z"}


def test_what_a_request_may_say_is_what_the_server_reads() -> None:
    assert {"skip", "reason", *FORM} | {"client_id"} == set(NEXT_SAMPLE_PARAMS)
    assert set(READ_AS.values()) == set(LABEL_PARAMS)
    assert set(READ_AS) == {item.name for item in dataclasses.fields(LabelInfo)}


READ_AS = {
    "annotator": "client_id",
    "segment_names": "label_info",
    "segment_numbers": "label_info",
    "annotated_slices": "annotated_slices",
    "finished": "finished",
    "confirmed": "confirmed",
    "unanswered": "unanswered",
}
"""What the app reads of a label's params, by its own name for it."""
