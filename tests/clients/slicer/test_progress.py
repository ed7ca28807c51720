"""The project's progress, as the panel says it."""

from typing import Any

from activelabel.server.actions.progress_answers import (
    CurvePoint,
    ForecastAnswer,
    LabelCounts,
    ProjectProgress,
    ScoringProgress,
    TrainingProgress,
)
from ActiveLabelLib.server.answers import CurvePoint as Point
from ActiveLabelLib.server.answers import Progress
from ActiveLabelLib.server.progress import read_progress


def point(version: int, volumes: int, dice: float | None) -> CurvePoint:
    return CurvePoint(
        model_version=version, in_use=version == 2, volumes=volumes, slices=volumes * 40,
        foreground_slices=volumes * 20, validation_cases=2, dice=dice, dice_low=0.4 if version == 1 else None,
        dice_high=0.6 if version == 1 else None,
    )  # fmt: skip


def answer(training: TrainingProgress, scoring: ScoringProgress, forecast: ForecastAnswer | None = None) -> Any:
    """Return an answer of the server, by the server's own types."""
    return ProjectProgress(
        model_version=2,
        newest_model=3,
        training=training,
        scoring=scoring,
        waits_for="The next model is trained after 4 training volumes; 1 is there.",
        labels=LabelCounts(unit="volumes", training=1, training_wanted=4, validation=2, validation_wanted=2),
        images=20,
        annotated=6,
        partly_annotated=0,
        unit="volumes",
        learning_curve=[point(1, 4, 0.5), point(2, 8, 0.75), point(3, 12, None)],
        forecast=forecast,
        seconds_ahead=None,
        advice="Go on.",
    ).model_dump(mode="json")


def test_what_runs_is_said_with_the_time_that_is_left() -> None:
    training = TrainingProgress(
        running=True, model="segmentation", stage=None, epoch=3, epochs=50, seconds_left=150.0, dice=0.7
    )
    scoring = ScoringProgress(running=True, unit="images", done=5, all=14, seconds_left=42.4)
    forecast = ForecastAnswer(
        at=12, expected=0.8, low=0.7, high=0.9, gain_expected=0.05, gain_low=0.0, gain_high=0.1, n=2, sentence="More."
    )
    assert read_progress(answer(training, scoring, forecast)) == Progress(
        line="The next model is trained after 4 training volumes; 1 is there.",
        running="training, epoch 3 of 50, 2 min left; scoring, 5 of 14 images, 42 s left",
        curve=(Point(4.0, 0.5, 0.4, 0.6, 1, False), Point(8.0, 0.75, None, None, 2, True)),
        unit="volumes",
        forecast="More.",
    )


def test_a_training_that_has_just_begun_has_no_epoch_yet() -> None:
    begun = TrainingProgress(
        running=True, model="segmentation", stage=None, epoch=None, epochs=None, seconds_left=None, dice=None
    )
    idle = ScoringProgress(running=False, unit="images", done=14, all=14, seconds_left=None)
    found = read_progress(answer(begun, idle))
    assert (found.running, found.forecast) == ("a training begins", "")
