"""Skips, drafts and the next case as clients request them: a real project and datastore, without the host."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from small_studies import SHAPE, TINY_RECIPE, boxes, write_image, write_nifti

from activelabel.annotation.archive import open_archive
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.loop.training_cases import usable_annotations
from activelabel.project.opening import open_project
from activelabel.server.actions.case_json import kept_as_json
from activelabel.server.actions.cases import CaseActions
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.tasks.strategy import host_strategies

NAMES = [f"case_{number}" for number in range(8)]
LEASE = timedelta(minutes=120)


class App:
    """A project on a folder of eight images, two of them for validation, whose cases are asked for one by one."""

    def __init__(self, folder: Path, **conf: str) -> None:
        self.studies, self.folder = folder / "studies", folder
        settings = {"recipe": str(TINY_RECIPE), "labels": "ball,box", "device": "cpu", **conf}
        self.project = open_project(str(folder), str(self.studies), settings)
        self.now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
        self.project.ledger._clock = lambda: self.now
        self.project.ledger.sync_images(NAMES, 2)
        archive = open_archive(self.project)
        self._datastore = LedgerDatastore(
            str(self.studies), self.project.ledger, archive, validation_cases=2, follow_changes=False
        )
        self.strategies = host_strategies(self.project)
        self.actions = CaseActions(self.project, self._datastore, self.strategies, lambda: None)

    def ask(self, annotator: str = "ann", **params: Any) -> dict[str, Any]:
        return self.actions.next_sample({"client_id": annotator, "strategy": "random", **params})

    def send(self, image_id: str, annotator: str = "ann", values: tuple[int, ...] = (1, 2), **info: Any) -> Any:
        file = write_nifti(self.folder / "sent.nii.gz", boxes(*values))
        kept = self._datastore.keep_label(image_id, str(file), "final", {"client_id": annotator, **info})
        return kept_as_json(kept, self.project.ledger)

    def opens_with(self, image_id: str) -> np.ndarray | None:
        """Return the label `original` as it is listed and as it is in the folder."""
        file = self.studies / "labels" / "original" / f"{image_id}.nii.gz"
        listed = "original" in self._datastore.get_labels_by_image_id(image_id)
        assert listed == file.exists()
        return np.asarray(nibabel.load(file).dataobj) if listed else None


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., App]:
    (tmp_path / "studies").mkdir()
    for number, name in enumerate(NAMES):
        write_image(tmp_path / "studies" / f"{name}.nii.gz", number)
    return lambda **conf: App(tmp_path, **conf)


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    return make_app()


def test_a_skipped_case_is_given_to_others_at_once_and_to_its_skipper_after_five_others(app: App) -> None:
    skipped = app.ask()["id"]
    answer = app.ask(skip="not now", reason="the phone rings")
    assert answer["id"] != skipped
    assert answer["skipped"] == {
        "id": skipped,
        "kind": "not now",
        "reason": "the phone rings",
        "annotator": "ann",
        "when": app.now.isoformat(),
    }
    given = [answer["id"]]
    for _ in range(4):
        app.send(given[-1], finished=True)
        given.append(app.ask()["id"])
    assert skipped not in given
    app.send(given[-1], finished=True)
    assert app.ask()["id"] == skipped


def test_an_expired_lease_frees_the_image(make_app: Callable[..., App]) -> None:
    app = make_app(lease_minutes="2")
    for image_id in NAMES[1:]:
        app.send(image_id, "eve", finished=True)
    assert app.ask("ann")["id"] == NAMES[0]
    app.now += timedelta(minutes=2) - timedelta(seconds=1)
    assert app.ask("bob") == {}
    app.now += timedelta(seconds=1)
    assert app.ask("bob")["id"] == NAMES[0]
    anns, bobs = app.project.ledger.leases()
    assert (anns.annotator, anns.outcome) == ("ann", "expired")
    assert bobs.annotator == "bob"
    assert bobs.granted_at >= anns.expires_at


def test_a_case_skipped_for_now_is_given_to_another_annotator(app: App) -> None:
    skipped = app.ask()["id"]
    app.ask(skip="not now")
    app.now += LEASE
    assert app.ask("bob")["id"] == skipped


def test_when_only_skipped_ones_are_left_they_come_back_the_oldest_first(app: App) -> None:
    training = [image.id for image in app.project.ledger.images() if image.role == "training"]
    for image_id in set(NAMES) - set(training[:3]):
        app.send(image_id, "eve", finished=True)
    skipped = [app.ask()["id"], app.ask(skip="not now")["id"], app.ask(skip="not now")["id"]]
    assert sorted(skipped) == training[:3]
    assert app.ask(skip="not now")["id"] == skipped[0]
    assert app.ask(skip="not now")["id"] == skipped[1]


def test_a_validation_case_can_be_skipped_like_any_other(app: App) -> None:
    validation = {image.id for image in app.project.ledger.images() if image.role == "validation"}
    seen: list[str] = []
    for _ in range(6):
        answer = app.ask(skip="not now") if seen and seen[-1] in validation else app.ask()
        seen.append(answer["id"])
        if answer["id"] in validation:
            assert app.ask(skip="not now")["id"] != answer["id"]
            return
        app.send(answer["id"], finished=True)
    pytest.fail("no validation case was asked for")


def test_a_case_that_cannot_be_annotated_is_never_asked_for_until_it_is_brought_back(app: App) -> None:
    first = app.ask()["id"]
    assert app.ask(skip="cannot be annotated", reason="no contrast")["id"] != first
    assert [case["id"] for case in app.actions.cases()["cannot_be_annotated"]] == [first]
    for number in range(len(NAMES)):
        sample = app.ask(f"reader {number}")
        assert sample.get("id") != first
    assert app.ask("latest") == {}
    assert app.actions.bring_back({"client_id": "boss"}, first) == {"id": first, "state": "unseen"}
    assert app.ask("latest")["id"] == first
    assert app.actions.cases()["cannot_be_annotated"] == []


def test_slices_of_a_skipped_volume_are_passed_over_whichever_they_are(make_app: Callable[..., App]) -> None:
    app = make_app(strategy="random_slices", query_size="24")
    first = app.ask()
    assert first["query"]["kind"] == "slices"
    second = app.ask(skip="not now")
    assert second["id"] != first["id"]
    third = app.ask(skip="cannot be annotated")
    assert third["id"] not in (first["id"], second["id"])
    given = [app.ask(f"reader {number}").get("id") for number in range(40)]
    assert first["id"] in given  # it may be given to other annotators at once
    assert second["id"] not in given
    assert given[-1] is None
    app.actions.bring_back({"client_id": "ann"}, second["id"])
    assert app.ask("latest")["id"] == second["id"]


def test_a_skip_without_a_case_is_refused_at_its_route_and_ignored_with_a_next_sample(app: App) -> None:
    assert "skipped" not in app.ask(skip="not now")
    app.actions.skip_case({"client_id": "ann"}, None)
    with pytest.raises(NotReadyError, match="bob holds no case that could be skipped: ask for one, or name an image"):
        app.actions.skip_case({"client_id": "bob"}, None)
    set_aside = app.actions.skip_case({"client_id": "bob", "skip": "cannot be annotated"}, NAMES[0])
    assert set_aside["state"] == "cannot be annotated"


def test_the_route_of_skips_keeps_a_reason_that_comes_without_a_kind(app: App) -> None:
    held = app.ask()["id"]
    skipped = app.actions.skip_case({"client_id": "ann", "reason": "unscharf"}, None)
    assert (skipped["id"], skipped["kind"], skipped["reason"]) == (held, "not now", "unscharf")


def test_the_route_of_skips_does_not_skip_what_is_not_to_be_skipped(app: App) -> None:
    held = app.ask()["id"]
    with pytest.raises(InvalidInputError, match='skip: expected "not now" or "cannot be annotated", got \'no\''):
        app.actions.skip_case({"client_id": "ann", "skip": "no"}, None)
    assert app.ask()["id"] == held


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"skip": "later"}, 'skip: expected "not now" or "cannot be annotated", got \'later\''),
        ({"skip": 3}, "skip: expected"),
        ({"skip": True}, "skip: expected"),
        ({"skip": "not now", "reason": 3}, "reason: expected a text"),
        ({"skip": "not now", "reason": "two\nlines"}, "reason: expected a text"),
        ({"skip": "not now", "reason": "x" * 501}, "reason: expected a text of at most 500 characters"),
    ],
)
def test_an_impossible_skip_is_refused_and_the_query_kept(app: App, params: dict[str, Any], line: str) -> None:
    held = app.ask()["id"]
    with pytest.raises(InvalidInputError, match=line):
        app.ask(**params)
    assert app.ask()["id"] == held


def test_the_stock_clients_offer_skipping_in_their_options(app: App) -> None:
    config = app.strategies["random"].info()["config"]
    assert config == {"skip this case": ["no", "not now", "cannot be annotated"], "reason to skip it": ""}
    held = app.ask()["id"]
    assert app.ask(**{"skip this case": "no", "reason to skip it": ""})["id"] == held  # the untouched form of Slicer
    answer = app.ask(**{"skip this case": "not now", "reason to skip it": "late"})
    assert (answer["skipped"]["id"], answer["skipped"]["reason"]) == (held, "late")


def test_a_form_that_stays_filled_in_takes_only_one_case_out_of_the_pool(app: App) -> None:
    form = {"skip this case": "cannot be annotated", "reason to skip it": "cut off"}
    first = app.ask()["id"]
    second = app.ask(**form)["id"]
    line = f"as it was for {first}: set it to 'no', or give the reason of {second}"
    with pytest.raises(InvalidInputError, match=line):
        app.ask(**form)
    assert app.ask()["id"] == second
    app.send(second, finished=True)
    third = app.ask(**form)["id"]  # the annotator holds no case to skip
    assert app.ask(**{**form, "reason to skip it": "another patient"})["skipped"]["id"] == third
    assert {case["id"] for case in app.actions.cases()["cannot_be_annotated"]} == {first, third}


def test_asking_again_gives_the_same_case_unless_the_project_takes_it_for_a_skip(make_app: Callable[..., App]) -> None:
    app = make_app()
    held = app.ask()["id"]
    app.now += timedelta(seconds=20)
    assert app.ask()["id"] == held


def test_asking_again_soon_after_skips_if_the_project_says_so(make_app: Callable[..., App]) -> None:
    app = make_app(skip_by_asking_again="30")
    held = app.ask()["id"]
    app.now += timedelta(seconds=1)
    assert app.ask()["id"] == held  # the button pressed twice
    app.now += timedelta(seconds=19)
    answer = app.ask()
    assert answer["id"] != held
    assert answer["skipped"]["reason"] == "asked again after 20 s"
    app.now += timedelta(seconds=31)
    assert app.ask()["id"] == answer["id"]  # some time later: a reload before was no skip


def test_a_draft_opens_again_for_its_annotator_and_for_nobody_else(app: App) -> None:
    asked = app.ask()
    case = asked["id"]
    saved = app.send(case, values=(0, 0, 1))
    assert saved["state"] == "draft"
    assert saved["message"].startswith("kept as a draft: something is drawn on 2 of 8 slices")
    np.testing.assert_array_equal(app.opens_with(case), boxes(0, 0, 1))
    answer = app.ask()
    assert (answer["id"], answer["PatientID"]) == (case, f"{case} | draft")
    assert answer["draft"]["why"] == saved["message"]
    own = f"{asked['reason']}; your own draft of 2026-01-01 12:00 UTC: {saved['message']}"
    assert answer["reason"] == own
    assert app.actions.current_query({"client_id": "ann"}).query.reason == own
    app.now += LEASE
    others = app.ask("bob")
    assert others["id"] != case
    answer = app.ask()
    assert (answer["id"], answer["reason"]) == (case, own)
    for image_id in set(NAMES) - {case}:
        app.send(image_id, "eve", finished=True)
    app.now += LEASE
    assert app.ask("bob")["id"] == case  # no other case is left
    assert app.opens_with(case) is None
    assert "draft" not in app.ask("bob")


def test_a_draft_goes_on_saying_why_its_case_was_asked_for(app: App) -> None:
    asked = app.ask()
    for hour, values in ((12, (0, 0, 1)), (13, (0, 1, 0)), (14, (1, 0, 0))):  # asked for, then for drafts of drafts
        saved = app.send(asked["id"], values=values, finished=False)
        own = f"your own draft of 2026-01-01 {hour}:00 UTC: {saved['message']}"
        assert app.ask()["reason"] == f"{asked['reason']}; {own}"
        app.now += timedelta(hours=1)
        app.actions.release({"client_id": "ann"})


def test_a_draft_of_a_case_that_nobody_asked_for_has_no_other_reason(app: App) -> None:
    saved = app.send(NAMES[0], values=(0, 0, 1), finished=False)
    answer = app.ask()
    assert answer["id"] == NAMES[0]
    assert answer["reason"] == f"your own draft of 2026-01-01 12:00 UTC: {saved['message']}"
    assert [lease.reason for lease in app.project.ledger.leases()] == ["drawn on before it was asked for"]


def test_a_draft_survives_a_restart_and_is_finished_after_it(make_app: Callable[..., App]) -> None:
    case = make_app().ask()["id"]
    make_app().send(case, values=(0, 0, 1), finished=False)
    again = make_app()
    assert (again.ask()["id"], again.ask()["draft"]["version"]) == (case, 1)
    np.testing.assert_array_equal(again.opens_with(case), boxes(0, 0, 1))
    assert again.actions.finish_case({"client_id": "ann"}, case) == {
        "image": case,
        "state": "finished",
        "coverage": "answer for the volume",
    }
    assert again.ask()["id"] != case
    assert again.project.ledger.progress().annotated == 1
    assert again.actions.cases()["drafts"] == []


def test_a_draft_is_never_learnt_from(app: App) -> None:
    for image_id in NAMES:
        app.send(image_id, values=(0, 0, 1))
    ledger = app.project.ledger
    assert usable_annotations(ledger, "training") == usable_annotations(ledger, "validation") == []
    progress = ledger.progress()
    assert (progress.new_annotations, progress.new_training_slices, progress.annotated_slices) == (0, 0, 0)
    assert len(app.actions.cases()["drafts"]) == len(NAMES)


def test_a_draft_that_is_skipped_for_now_is_kept_and_comes_back(app: App) -> None:
    case = app.ask()["id"]
    app.send(case, finished=False)
    others = app.ask(skip="not now")["id"]
    assert others != case
    app.send(others, finished=True)
    assert app.ask()["id"] != case  # four other cases first
    assert [draft["id"] for draft in app.actions.cases()["drafts"]] == [case]


def test_labels_that_a_model_drew_are_counted(app: App) -> None:
    training, validation = (
        next(image.id for image in app.project.ledger.images() if image.role == role)
        for role in ("training", "validation")
    )
    for image_id in (training, validation):
        shown = app.project.predictions_folder / image_id
        shown.mkdir(parents=True)
        write_nifti(shown / "1.nii.gz", boxes(1, 2))
    assert boxes(1).shape == SHAPE
    assert app.send(training, finished=True) == {
        "state": "finished",
        "coverage": "nobody asked, whole volume",
        "unchanged_from": 1,
        "message": "recorded as exactly what model 1 drew",
    }
    assert app.send(validation, finished=True)["state"] == "draft"
    assert app.actions.cases()["unchanged_from_model"] == {"training": 1, "validation": 0}
    assert app.send(validation, confirmed=True)["state"] == "finished"
    assert app.actions.cases()["unchanged_from_model"] == {"training": 1, "validation": 1}
