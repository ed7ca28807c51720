"""Describes what the autopilot waits for: the labels there are, and the labels needed."""

from dataclasses import asdict, dataclass
from typing import Any

from activelabel.loop.autopilot import Autopilot
from activelabel.loop.due import Situation, Work, work_due
from activelabel.project.project import Project


@dataclass(frozen=True)
class Counts:
    """The labels there are and the labels needed for the next model.

    Attributes:
        unit: the unit of the training labels, `volumes` or `slices`.
        training: the number of training labels that the model trained last has not seen.
        training_wanted: the number that makes a training due.
        validation: the number of annotated validation cases.
        validation_wanted: the number of all validation cases.
    """

    unit: str
    training: int
    training_wanted: int
    validation: int
    validation_wanted: int


def autopilot_info(project: Project, situation: Situation, autopilot: Autopilot | None) -> dict[str, Any]:
    """The autopilot's part of `GET /info/`: the due task and what it waits for. `autopilot` is None if it is off."""
    due, counts = work_due(situation, project.thresholds), labels_counted(project, situation)
    rests = autopilot is not None and autopilot.rests
    busy = (autopilot is not None and autopilot.busy) or bool(project.ledger.claims("train"))
    return {
        "due": None if due is None else due.value,
        "rests": rests,
        "waits_for": waits_for(situation, due, counts, on=autopilot is not None, busy=busy, rests=rests)
        + _for_review(project),
        "labels": asdict(counts),
    }


def labels_counted(project: Project, situation: Situation) -> Counts:
    """The labels of a project, counted for the next model."""
    first, query, limits = situation.model_version is None, project.recipe.query, project.thresholds
    slices = query.starts_with_slices if first else query.asks_slices
    judging = project.ledger.labels_to_learn("validation")
    return Counts(
        "slices" if slices else "volumes",
        situation.new_training_annotations,
        limits.start if first else limits.retrain_after,
        sum(label.slices is None for label in judging),
        project.ledger.progress().validation,
    )


def waits_for(
    situation: Situation, due: Work | None, counts: Counts, *, on: bool = True, busy: bool = False, rests: bool = False
) -> str:
    """A sentence that says what happens next, or what the autopilot waits for.

    Args:
        situation: the facts from the ledger.
        due: the task that is due now.
        counts: the labels for the next model.
        on: whether the autopilot starts work by itself.
        busy: whether a training or scoring runs or is queued, here or at a worker.
        rests: whether the autopilot pauses after too many failures.
    """
    if busy:
        return "A training or a scoring is under way."
    if due is not None:
        if not on:
            return f"A {due.value} is due, but the autopilot is off (--conf autopilot false): start it yourself."
        return (
            f"A {due.value} failed several times: see the log; it is tried again."
            if rests
            else f"A {due.value} is due."
        )
    if situation.nothing_left and not situation.new_training_annotations:
        return "Nothing more: all cases are annotated, and the last model has learnt from them."
    which = "The first model" if situation.model_version is None else "The next model"
    new = "" if situation.model_version is None else "new "
    start = "is trained" if on else "can be trained"
    return (
        f"{which} {start} after {_number(counts.training_wanted, f'{new}training {counts.unit}')}; "
        f"{counts.training or 'none'} {_is_or_are(counts.training)} there. {_validation(counts)}"
    )


def _for_review(project: Project) -> str:
    """A sentence on the labels that are learnt from once a reviewer has approved them; empty if there are none."""
    waiting = project.ledger.count_waiting_for_review() if project.settings.review else 0
    return f" {_number(waiting, 'finished labels')} {_is_or_are(waiting)} not reviewed yet." if waiting else ""


def _validation(counts: Counts) -> str:
    """A phrase on how many validation cases are annotated."""
    if not counts.validation_wanted:
        return "No cases are set aside to judge models on."
    cases, annotated = _number(counts.validation_wanted, "validation cases"), counts.validation
    return f"Of {cases}, on which models are judged, {annotated or 'none'} {_is_or_are(annotated)} annotated."


def _is_or_are(number: int) -> str:
    return "is" if number < 2 else "are"


def _number(number: int, things: str) -> str:
    """A number with its noun, which is singular for 1."""
    return f"{number} {things.removesuffix('s') if number == 1 else things}"
