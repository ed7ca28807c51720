"""What the autopilot waits for, in a sentence: how many labels of what are there, and how many it takes."""

from dataclasses import asdict, dataclass
from typing import Any

from activelabel.loop.autopilot import Autopilot
from activelabel.loop.due import Situation, Work, work_due
from activelabel.project.project import Project


@dataclass(frozen=True)
class Counts:
    """Labels until the next model.

    Attributes:
        unit: what the training labels are counted in, `volumes` or `slices`.
        training: how many of them the model trained last has not seen.
        training_wanted: how many make a training due.
        validation: how many validation cases are annotated.
        validation_wanted: how many there are.
    """

    unit: str
    training: int
    training_wanted: int
    validation: int
    validation_wanted: int


def autopilot_info(project: Project, situation: Situation, autopilot: Autopilot | None) -> dict[str, Any]:
    """What `GET /info/` says of the autopilot, None where it is off: what is due, and what it waits for."""
    due, counts = work_due(situation, project.thresholds), labels_counted(project, situation)
    rests, busy = autopilot is not None and autopilot.rests, autopilot is not None and autopilot.busy
    return {
        "due": None if due is None else due.value,
        "rests": rests,
        "waits_for": waits_for(situation, due, counts, on=autopilot is not None, busy=busy, rests=rests),
        "labels": asdict(counts),
    }


def labels_counted(project: Project, situation: Situation) -> Counts:
    """The labels until the next model."""
    first, query, limits = situation.model_version is None, project.recipe.query, project.thresholds
    slices = query.starts_with_slices if first else query.asks_slices
    judging = project.ledger.annotations(role="validation")
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
    """What happens next, or what it takes until something does.

    Args:
        situation: what the ledger says.
        due: what is to be done now.
        counts: the labels until the next model.
        on: whether the autopilot starts work by itself.
        busy: whether a training or scoring runs or is queued.
        rests: whether it failed so often that it rests.
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


def _validation(counts: Counts) -> str:
    """How far the cases are on which models are judged."""
    if not counts.validation_wanted:
        return "No cases are set aside to judge models on."
    cases, annotated = _number(counts.validation_wanted, "validation cases"), counts.validation
    return f"Of {cases}, on which models are judged, {annotated or 'none'} {_is_or_are(annotated)} annotated."


def _is_or_are(number: int) -> str:
    return "is" if number < 2 else "are"


def _number(number: int, things: str) -> str:
    """So many things, in the singular for one."""
    return f"{number} {things.removesuffix('s') if number == 1 else things}"
