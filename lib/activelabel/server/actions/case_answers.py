"""The answers about cases, in the form in which every client gets them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from activelabel.store.case_states import CaseState, Verdict
from activelabel.store.records.images import Role
from activelabel.store.records.queries import SkipKind
from activelabel.store.records.reviews import Difficulty

MODEL_NOTE = "the model version by which it was chosen; null for none"


class LabelOfCase(BaseModel):
    """The final label of a case."""

    annotator: str | None = Field(description="who sent its newest version; null for who reads the case blind")
    version: int = Field(description="the number of its version")
    saved: datetime = Field(description="when that version was saved")
    slices: list[int] | None = Field(description="the slices that it covers, from 0; null for the whole volume")


class ReviewOfCase(BaseModel):
    """What a reviewer has decided about the final label of a case, or that they have it before them."""

    reviewer: str = Field(description="who reviews it")
    verdict: Verdict | None = Field(description="`approved` or `returned`; null while they look at it")
    note: str = Field(description="what the reviewer wrote for the annotator")
    difficulty: Difficulty | None = Field(description="how hard the reviewer finds the case")
    when: datetime = Field(description="when they decided, or began to look")


class WorklistCase(BaseModel):
    """A case of the worklist."""

    image: str = Field(description="the id of the image")
    name: str = Field(description="what people call it: on a PACS the patient's id, else the id of the image")
    role: Role = Field(description="`training` or `validation`")
    state: CaseState = Field(description="the state of the case")
    who: list[str] = Field(description="who brought the state about, or holds the case")
    when: datetime | None = Field(description="since when it is so; null for a case that nobody has seen")
    note: str = Field(description="why it is so: the reason of a skip or draft, or the note of the reviewer")
    drafts_of: list[str] = Field(description="who has an open draft of it")
    label: LabelOfCase | None = Field(description="its final label; null for none")
    review: ReviewOfCase | None = Field(description="the review of that label; null for none")


class Worklist(BaseModel):
    """Cases of a project, sorted by image."""

    cases: list[WorklistCase] = Field(description="the cases, sorted by image")
    next: str | None = Field(description="what to send as `after` for the following cases; null if there are none")
    counts: dict[str, int] = Field(description="how many cases of the project are in each state")


class SliceAsked(BaseModel):
    """A slice that is asked for, as programs and as viewers count it."""

    index: int = Field(description="its index along `axis`, from 0")
    number: int = Field(description="its number counted from 1")
    ohif_number: int = Field(description="the number that OHIF shows in brackets")
    position_mm: float = Field(description="its position in mm, as Slicer shows it")


class PlacesOfSlices(BaseModel):
    """Where all slices of an image lie, as Slicer shows their positions."""

    axis: int = Field(description="the axis of the image's array along which slices are counted")
    plane: str = Field(description="their plane: `axial`, `coronal` or `sagittal`")
    towards: str = Field(description="the letter of the side towards which positions grow: `L`, `A` or `S`")
    count: int = Field(description="how many there are")
    first_mm: float = Field(description="the position of the slice with index 0")
    step_mm: float = Field(description="how far the next one lies from it; negative if positions fall with the index")


class CurrentQuery(BaseModel):
    """The query that an annotator holds."""

    image: str = Field(description="the id of the image")
    role: Role = Field(description="`training` or `validation`")
    kind: Literal["volume", "slices"] = Field(description="whether the volume or slices of it are asked for")
    axis: int | None = Field(description="the axis of the image's array along which slices are counted")
    plane: str | None = Field(description="the plane of the slices: `axial`, `coronal` or `sagittal`")
    towards: str | None = Field(description="the letter of the side towards which positions grow: `L`, `A` or `S`")
    slices: list[SliceAsked] = Field(description="the slices that are asked for; empty for a volume")
    places: PlacesOfSlices = Field(description="where the slices of the image lie, also for a volume")
    reason: str = Field(description="why the case was chosen, in a sentence")
    strategy: str = Field(description="the strategy that chose it")
    score: float | None = Field(description="the score by which it was chosen; null if no score was used")
    model_version: int | None = Field(description=MODEL_NOTE)
    granted: datetime = Field(description="when the annotator was given it")
    expires: datetime = Field(description="until when it is kept for the annotator")
    draft: bool = Field(description="whether the annotator has an open draft of it")
    returned: ReviewOfCase | None = Field(description="the review that returned its label; null for none")


class QueryAnswer(BaseModel):
    """The query that an annotator holds, if any."""

    query: CurrentQuery | None = Field(description="the query; null if the annotator holds none")


class Released(BaseModel):
    """What somebody has let go of."""

    query: str | None = Field(description="the image that they held as an annotator; null for none")
    review: str | None = Field(description="the image that they had before them as a reviewer; null for none")


class ActiveNoted(BaseModel):
    """The active time of a query so far."""

    image: str = Field(description="the id of the image")
    active_seconds: float = Field(description="how long the annotator has worked on the query")


class ReadingsOfCase(BaseModel):
    """Two readings of a case that differ, between which a reviewer decides."""

    first: str = Field(description="who drew the first, the label under review")
    second: str = Field(description="who drew the second, the label `reading_2`")
    agreement: str = Field(description="how much both agree, structure by structure, in words")


class ReviewTaken(BaseModel):
    """A label that a reviewer has before them."""

    image: str = Field(description="the id of the image")
    version: int = Field(description="the version of the label that they review")
    annotator: str = Field(description="who sent that version")
    slices: list[int] | None = Field(description="the slices that it covers, from 0; null for the whole volume")
    plane: str | None = Field(description="their plane; null for the whole volume, or if the image cannot be read now")
    covered: list[SliceAsked] = Field(description="these slices as viewers count them; empty if `plane` is null")
    expires: datetime = Field(description="until when nobody else can review it")
    readings: ReadingsOfCase | None = Field(
        default=None, description="two readings of the case that differ; null if there is nothing to decide between"
    )


class ReviewAnswer(BaseModel):
    """A label to review, if one waits."""

    review: ReviewTaken | None = Field(description="the label; null if none waits for this reviewer")


class Decided(BaseModel):
    """A case after a decision about its label."""

    image: str = Field(description="the id of the image")
    state: CaseState = Field(description="the state of the case")
    review: ReviewOfCase = Field(description="the decision")


class CaseSkipped(BaseModel):
    """A case that was skipped."""

    id: str = Field(description="the id of the image")
    kind: SkipKind = Field(description="`not now` or `cannot be annotated`")
    reason: str = Field(description="the annotator's reason")
    annotator: str = Field(description="who skipped it")
    when: datetime = Field(description="when")
    state: CaseState = Field(description="the state of the case now")


class CaseMoved(BaseModel):
    """A case that was brought back."""

    id: str = Field(description="the id of the image")
    state: CaseState = Field(description="the state of the case now")


class SavedLabel(BaseModel):
    """A label that was kept; what does not apply is left out."""

    image: str = Field(description="the id of the image")
    state: Literal["finished", "draft"] = Field(description="`finished` if it counts, `draft` if not")
    coverage: str | None = Field(default=None, description="the rule by which its slices count")
    message: str | None = Field(default=None, description="why it is a draft, or that it equals a model's mask")
    unchanged_from: int | None = Field(default=None, description="the model that drew exactly this label")
