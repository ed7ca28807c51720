"""The audit trail of a project: who did what when, as a table with a row for each event of each case.

With the label files, the table is enough to make the ledger anew: `audit_reading` reads it back.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from activelabel.analysis.harmless_text import no_formula
from activelabel.project.given.channels import FACT as CHANNELS
from activelabel.project.given.patients import FACT as PATIENTS
from activelabel.project.models.shown_masks import shown_masks
from activelabel.project.project import Project
from activelabel.project.readability import MODALITY
from activelabel.store.records.images import Image
from activelabel.store.records.labels import FINAL, SECOND, Annotation, Draft
from activelabel.store.records.models import ModelUse, ModelVersion
from activelabel.store.records.queries import Lease
from activelabel.store.records.reviews import Review

COLUMNS = (
    "when", "image", "patient", "role", "event", "who", "number", "about", "round", "version", "slices",
    "covered_slices", "foreground_slices", "seconds", "active_seconds", "strategy", "score", "asked_by_model",
    "model_in_use", "models_shown", "unchanged_from", "detail", "note", "until", "ended", "structures", "file",
    "sha256", "image_sha256", "exported", "named_slices", "sent_otherwise",
)  # fmt: skip
"""`asked_by_model` chose the case, `model_in_use` was in use at that time, `models_shown` have ever shown a mask of the
image. `version` counts within labels and within drafts; a review names the version that it is about.
`number` counts queries, drafts, labels, reviews, comparisons, skips and models, each by itself, over the project;
`about` is the number of the query that a label or draft answers, or of the labels that a review, a comparison or a
model is about. `docs/files.md` says what `detail` is for each event."""
KEPT_FACTS = (CHANNELS, MODALITY, PATIENTS)
"""The facts about the images that go along: the other facts belong to files that stay."""
IMAGE, MODEL, PROXY, USE, ROUND, FACT, FILE = "image", "model", "proxy model", "model in use", "round", "fact", "file"
ASKED, DRAFT, LABEL, SECOND_LABEL, TAKEN_BACK = "asked", "draft", "label", "second reading", "taken back"
OTHER_LABEL = "label kept as "
TAKEN, ENDED, EXPIRED, COMPARED, BROUGHT_BACK = (
    "taken for review", "review ended", "review expired", "compared", "brought back",
)  # fmt: skip
WRITTEN_ANEW, MASK = "image written anew", "mask of annotated slices"
Row = dict[str, object]


@dataclass(frozen=True)
class ExportedFile:
    """A file of an exported data set: its path in it, its SHA-256, its image, and what it is."""

    image_id: str
    path: str
    sha256: str
    what: str


def audit_table(project: Project, exported: Sequence[Annotation] = (), files: Sequence[ExportedFile] = ()) -> str:
    """All that the ledger knows of cases and models as CSV, in the order in which it happened.

    `exported` are the labels of the data set that goes along, `files` its files.
    """
    sent = {label.id for label in exported}
    rows = sorted(_Events(project, sent).rows(), key=lambda row: str(row["when"]))
    now = _time(datetime.now(timezone.utc))
    for file in files:
        place = {"image": file.image_id, "detail": file.what, "file": file.path, "sha256": file.sha256}
        rows.append({"when": now, "event": FILE, **place})
    lines = [",".join(COLUMNS), *(",".join(_cell(row.get(key, "")) for key in COLUMNS) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def _cell(value: object) -> str:
    """A value as a cell that no spreadsheet runs, and that `audit_reading` reads back as it was."""
    text = "" if value is None else str(no_formula(value))
    if isinstance(value, str) and value.startswith("'"):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


class _Events:
    """The rows of all events, with what each has in common with others."""

    def __init__(self, project: Project, exported: set[int]) -> None:
        self._ledger, self._project, self._exported = project.ledger, project, exported
        self._uses = project.ledger.model_uses()
        self._images = {image.id: image for image in project.ledger.images()}
        self._patients = _numbered_patients(self._images.values())
        self._labels = {image_id: project.ledger.history(image_id) for image_id in self._images}

    def rows(self) -> Iterator[Row]:
        """All events, in no order."""
        yield from self._of_project()
        for query in self._ledger.leases():
            yield self._row(query.image_id, query.granted_at, ASKED, query.annotator, **_of_query(query))
        for image_id, labels in self._labels.items():
            yield self._of_image(self._images[image_id])
            for draft in self._ledger.draft_history(image_id):
                yield self._row(image_id, draft.created_at, DRAFT, draft.annotator, **_of_draft(draft))
            for label in labels:
                yield from self._of_label(label)
        yield from self._decisions()
        for skip in self._ledger.skips():
            values = {"number": skip.id, "about": skip.last_lease, "note": skip.reason}
            yield self._row(skip.image_id, skip.created_at, skip.kind, skip.annotator, **values)
            if skip.ended_at is not None:
                yield self._row(skip.image_id, skip.ended_at, BROUGHT_BACK, skip.ended_by or "", number=skip.id)

    def _of_project(self) -> Iterator[Row]:
        """The rows of models, rounds, and facts about all images."""
        for model in (*self._ledger.models("task"), *self._ledger.models("proxy")):
            yield _of_model(model)
        uses = {"task": self._uses, "proxy": self._ledger.model_uses("proxy")}
        for kind, use in ((kind, use) for kind, of_kind in uses.items() for use in of_kind):
            who, number = use.chosen_by or "", use.model_version
            yield {"when": _time(use.began_at), "event": USE, "who": who, "number": number, "detail": kind}
        for one in self._ledger.rounds():
            number, asks = one.number, one.model_version
            yield {"when": _time(one.started_at), "event": ROUND, "number": number, "asked_by_model": asks}
        for name in KEPT_FACTS:
            fact = self._ledger.fact(name)
            if fact is not None:
                told = {"detail": f"{name}={fact.value}", "note": fact.reason}
                yield {"when": _time(fact.recorded_at), "event": FACT, **told}

    def _row(self, image_id: str, when: datetime, event: str, who: str, **values: object) -> Row:
        role = self._images[image_id].role
        common = {"when": _time(when), "image": image_id, "role": role, "event": event, "who": who}
        return {**common, "model_in_use": _in_use(self._uses, when), **values}

    def _of_image(self, image: Image) -> Row:
        """The row of an image. Patients are numbered, so that none of their names goes along."""
        counted = "" if image.slice_axis is None else f"axis {image.slice_axis}"
        return {
            "when": _time(image.added_at),
            "image": image.id,
            "patient": self._patients.get(image.patient or "", ""),
            "role": image.role,
            "event": IMAGE,
            "covered_slices": image.slice_count,
            "detail": counted,
            "image_sha256": image.content_sha256,
        }

    def _of_label(self, label: Annotation) -> Iterator[Row]:
        """The rows of a label version."""
        event = {FINAL: LABEL, SECOND: SECOND_LABEL}.get(label.tag, f"{OTHER_LABEL}{label.tag}")
        exported = "yes" if label.id in self._exported else ""
        shown = _models_shown(self._project, label.image_id)
        details = {**_of_label(label), "models_shown": shown, "exported": exported}
        yield self._row(label.image_id, label.created_at, event, label.annotator, **details)
        if label.deleted_at is not None:
            numbered = {"number": label.id, "version": label.version}
            yield self._row(label.image_id, label.deleted_at, TAKEN_BACK, "", **numbered)

    def _decisions(self) -> Iterator[Row]:
        """The rows of comparisons and reviews."""
        versions = {label.id: label.version for labels in self._labels.values() for label in labels}
        for reading in self._ledger.readings(with_earlier=True):
            structures = {name: asdict(agreement) for name, agreement in reading.structures.items()}
            values = {
                "number": reading.id,
                "about": f"{reading.first_id} {reading.second_id}",
                "detail": _json({"agrees": reading.agrees, "structures": structures}),
                "note": f"the readings {'agree' if reading.agrees else 'differ'}: {reading.in_words}",
                "ended": _time_or_nothing(reading.superseded_at),
            }
            yield self._row(reading.image_id, reading.created_at, COMPARED, "", **values)
        for review in self._ledger.reviews():
            image_id, who = review.image_id, review.reviewer
            numbered = {"number": review.id, "about": review.annotation_id, "version": versions[review.annotation_id]}
            if review.begun_at is not None:
                until = _time_or_nothing(review.expires_at)
                yield self._row(image_id, review.begun_at, TAKEN, who, **numbered, until=until)
            if review.ended_at is not None:
                decision = {**numbered, "detail": review.difficulty, "note": review.note}
                ended = _time_or_nothing(review.superseded_at)
                yield self._row(image_id, review.ended_at, _event_of(review), who, **decision, ended=ended)


def _numbered_patients(images: Iterable[Image]) -> dict[str, str]:
    names = sorted({image.patient for image in images if image.patient})
    return {name: f"patient {number:04d}" for number, name in enumerate(names, start=1)}


def _event_of(review: Review) -> str:
    outcome = str(review.outcome)
    return {"released": ENDED, "expired": EXPIRED}.get(outcome, outcome)


def _of_model(model: ModelVersion) -> Row:
    """The row of a model; its file stays in the project."""
    return {
        "when": _time(model.created_at),
        "event": MODEL if model.kind == "task" else PROXY,
        "number": model.version,
        "about": " ".join(map(str, sorted((*model.trained_on, *model.validated_on)))),
        "detail": _json(dict(model.metrics)),
        "note": model.recipe,
        "ended": _time_or_nothing(model.withdrawn_at),
        "structures": _json(model.labels),
        "file": model.file,
        "sha256": model.sha256,
    }


def _of_query(query: Lease) -> Row:
    return {
        "number": query.id,
        "round": query.round_number,
        "slices": _slices(query.slices),
        "active_seconds": query.active_seconds,
        "strategy": query.strategy,
        "score": query.score,
        "asked_by_model": query.model_version,
        "detail": query.outcome,
        "note": query.reason,
        "until": _time(query.expires_at),
        "ended": _time_or_nothing(query.ended_at),
    }


def _of_file(kept: Annotation | Draft) -> Row:
    return {
        "number": kept.id,
        "about": kept.lease_id,
        "version": kept.version,
        "slices": _slices(kept.slices),
        "file": kept.file,
        "sha256": kept.sha256,
    }


def _of_draft(draft: Draft) -> Row:
    ended = _time_or_nothing(draft.ended_at)
    named = None if draft.named_slices is None else _slices(None if draft.named_slices == "all" else draft.named_slices)
    details = {"detail": draft.reason.value, "note": draft.why, "ended": ended, "named_slices": named}
    return {**_of_file(draft), **details}


def _of_label(label: Annotation) -> Row:
    return {
        **_of_file(label),
        "round": label.round_number,
        "covered_slices": label.covered_slices,
        "foreground_slices": label.foreground_slices,
        "seconds": label.seconds,
        "active_seconds": label.active_seconds,
        "unchanged_from": label.unchanged_from,
        "detail": None if label.coverage is None else label.coverage.value,
        "ended": _time_or_nothing(label.superseded_at),
        "structures": None if label.label_names is None else _json(label.label_names),
        "image_sha256": label.image_sha256,
        "sent_otherwise": None if label.sent_otherwise is None else _json(dict(label.sent_otherwise)),
    }


def _in_use(uses: Sequence[ModelUse], when: datetime) -> object:
    """The version of the model that was in use at a time."""
    place = bisect_right([use.began_at for use in uses], when)
    return "" if place == 0 else uses[place - 1].model_version


def _models_shown(project: Project, image_id: str) -> str:
    return " ".join(str(version) for version, _ in shown_masks(project.predictions_folder / image_id))


def _slices(slices: Sequence[int] | None) -> str:
    return "all" if slices is None else " ".join(map(str, slices))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _time(when: datetime) -> str:
    return when.isoformat(timespec="microseconds")


def _time_or_nothing(when: datetime | None) -> str:
    return "" if when is None else _time(when)
