"""The autopilot's sentence on what it waits for."""

from pathlib import Path

from recorded import record_annotation

from activelabel.loop.due import Situation, Work, read_situation
from activelabel.loop.waiting import Counts, autopilot_info, waits_for
from activelabel.project.opening import open_project


def situation(version: int | None = None, new: int = 0, nothing_left: bool = False) -> Situation:
    return Situation(version, new, new, 0, nothing_left=nothing_left)


def test_the_sentence_before_the_first_model() -> None:
    assert waits_for(situation(new=1), None, Counts("volumes", 1, 4, 2, 3)) == (
        "The first model is trained after 4 training volumes; 1 is there. "
        "Of 3 validation cases, on which models are judged, 2 are annotated."
    )
    assert waits_for(situation(), None, Counts("slices", 0, 1, 0, 1)) == (
        "The first model is trained after 1 training slice; none is there. "
        "Of 1 validation case, on which models are judged, none is annotated."
    )


def test_the_sentence_between_two_models() -> None:
    assert waits_for(situation(2, 3), None, Counts("volumes", 3, 5, 0, 0)) == (
        "The next model is trained after 5 new training volumes; 3 are there. "
        "No cases are set aside to judge models on."
    )


def test_with_the_autopilot_off_the_sentence_asks_for_a_start_by_hand() -> None:
    sentence = waits_for(situation(), None, Counts("volumes", 0, 4, 0, 0), on=False)
    assert sentence.startswith("The first model can be trained after 4 training volumes; none is there.")
    assert waits_for(situation(new=4), Work.TRAIN, Counts("volumes", 4, 4, 0, 0), on=False) == (
        "A training is due, but the autopilot is off (--conf autopilot false): start it yourself."
    )


def test_the_sentence_names_the_work_that_is_due_or_running() -> None:
    counts = Counts("volumes", 4, 4, 0, 0)
    assert waits_for(situation(new=4), Work.TRAIN, counts) == "A training is due."
    assert waits_for(situation(new=4), Work.TRAIN, counts, busy=True) == "A training or a scoring is under way."
    assert waits_for(situation(1), Work.SCORE_PROXY, counts) == "A scoring by the proxy model is due."
    assert waits_for(situation(1), Work.SCORE, counts, rests=True) == (
        "A scoring failed several times: see the log; it is tried again."
    )


def test_the_sentence_when_all_is_done() -> None:
    sentence = waits_for(situation(3, 0, nothing_left=True), None, Counts("volumes", 0, 5, 3, 3))
    assert sentence == "Nothing more: all cases are annotated, and the last model has learnt from them."


def test_info_counts_what_the_ledger_holds(tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"labels": "ball", "recipe": "quick", "start": "4", "seed": "1"})
    project.ledger.sync_images([f"case{number}" for number in range(30)], validation_cases=3)
    images = project.ledger.images()
    training, judging = ([i.id for i in images if i.role == role] for role in ("training", "validation"))
    for number, image_id in enumerate((training[0], *judging[:2])):
        record_annotation(project.ledger, image_id, f"{number}.nii.gz", "0" * 64, "ann")
    info = autopilot_info(project, read_situation(project, "variance"), None)
    assert (info["due"], info["rests"]) == (None, False)
    assert info["labels"] == {
        "unit": "volumes",
        "training": 1,
        "training_wanted": 4,
        "validation": 2,
        "validation_wanted": 3,
    }
    assert info["waits_for"].endswith("Of 3 validation cases, on which models are judged, 2 are annotated.")
