"""The answer about the progress of a project, in the form in which every client gets it."""

from pydantic import BaseModel, Field


class TrainingProgress(BaseModel):
    """A training that runs or is queued."""

    running: bool = Field(description="whether a training runs or is queued")
    model: str | None = Field(description="`segmentation`, or `proxy` for the proxy model; null if none runs")
    stage: str | None = Field(description="the stage of a training in several stages")
    epoch: int | None = Field(description="the epoch that is over; null before the first and if none runs")
    epochs: int | None = Field(description="how many epochs the training has")
    seconds_left: float | None = Field(description="how long it takes from the end of that epoch, if not ended early")
    dice: float | None = Field(description="the best Dice on the validation cases so far")


class ScoringProgress(BaseModel):
    """The scoring of the images that are left."""

    running: bool = Field(description="whether a scoring runs or is queued")
    unit: str = Field(description="what is counted: `images`, or `repeats` while a race runs")
    done: int = Field(description="how many of the images left have a score of the model in use")
    all: int = Field(description="how many images are left, scored or not")
    seconds_left: float | None = Field(description="how long the rest takes; null if none runs, or before two images")


class LabelCounts(BaseModel):
    """The labels there are, and those that the next model takes."""

    unit: str = Field(description="`volumes` or `slices`")
    training: int = Field(description="training labels that the newest model has not seen")
    training_wanted: int = Field(description="how many make a training due")
    validation: int = Field(description="validation cases that are annotated")
    validation_wanted: int = Field(description="all validation cases")


class CurvePoint(BaseModel):
    """A model in the learning curve."""

    model_version: int = Field(description="the version of the model")
    in_use: bool = Field(description="whether it is in use")
    volumes: int = Field(description="from how many volumes it has learnt, validation included")
    slices: int = Field(description="how many slices their labels cover")
    foreground_slices: int = Field(description="on how many of these something is drawn")
    validation_cases: int = Field(description="how many of the volumes are validation cases")
    dice: float | None = Field(description="its mean Dice on them")
    dice_low: float | None = Field(description="lower end of the 95 % interval of that mean over the cases, if known")
    dice_high: float | None = Field(description="upper end of that interval")


class ForecastAnswer(BaseModel):
    """What the labels until the next model are expected to bring."""

    at: float = Field(description="the effort after these labels, in `unit`")
    expected: float | None = Field(description="the Dice expected there; null while there are too few models")
    low: float | None = Field(description="lower end of its 95 % interval")
    high: float | None = Field(description="upper end of its 95 % interval")
    gain_expected: float | None = Field(description="the gain in Dice over now")
    gain_low: float | None = Field(description="lower end of its 95 % interval")
    gain_high: float | None = Field(description="upper end of its 95 % interval")
    n: int = Field(description="from how many models it comes")
    sentence: str = Field(description="the forecast in a sentence")


class ProjectProgress(BaseModel):
    """The progress of a project: what runs, what it waits for, and what came of it so far."""

    model_version: int | None = Field(description="the version of the model in use; null for none")
    newest_model: int | None = Field(description="the version that was published last; null for none")
    training: TrainingProgress = Field(description="the training that runs")
    scoring: ScoringProgress = Field(description="the scoring")
    waits_for: str = Field(description="what happens next, or what the project waits for, in sentences")
    labels: LabelCounts = Field(description="the labels for the next model")
    images: int = Field(description="how many images there are")
    annotated: int = Field(description="how many of them are annotated wholly")
    partly_annotated: int = Field(description="how many of them are annotated in part")
    unit: str = Field(description="the unit of effort in curve and forecast: `volumes` or `slices`")
    learning_curve: list[CurvePoint] = Field(description="the models that were not withdrawn, in their order")
    forecast: ForecastAnswer | None = Field(description="the forecast; null before the first judged model")
    seconds_ahead: float | None = Field(
        description="annotators' time until the next model: active time where it is known, else since the query"
    )
    advice: str = Field(description="whether to go on, in a sentence")


class ModelEvent(BaseModel):
    """An event: another model was published, or is in use."""

    newest_model: int | None = Field(description="the version that was published last")
    in_use: int | None = Field(description="the version in use")
    standing: str = Field(description="both in a sentence")


class CaseEventAnswer(BaseModel):
    """An event: the state of a case has changed."""

    image: str = Field(description="the id of the image")
    state: str = Field(description="its state now")
    before: str = Field(description="its state before")
    who: list[str] = Field(description="who brought the state about, or holds the case")
