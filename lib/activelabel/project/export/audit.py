"""The audit trail of a project: who did what when, as a table with a row for each event of each case."""

import csv
import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime

from activelabel.analysis.harmless_text import no_formula
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.project.project import Project
from activelabel.store.records.labels import FINAL, SECOND, Annotation, Draft
from activelabel.store.records.models import ModelUse
from activelabel.store.records.queries import Lease
from activelabel.store.records.reviews import Review

COLUMNS = (
    "when", "image", "role", "event", "who", "version", "slices", "seconds", "active_seconds", "strategy",
    "asked_by_model", "model_in_use", "models_shown", "unchanged_from", "note", "file", "sha256", "exported",
)  # fmt: skip
"""`asked_by_model` chose the case, `model_in_use` was in use at that time, `models_shown` have ever shown a mask of the
image. `version` counts within labels and within drafts; a review names the version that it is about."""
Row = dict[str, object]


def audit_table(project: Project, exported: Sequence[Annotation] = ()) -> str:
    """All queries, drafts, labels, reviews and skips as CSV, in the order in which they happened.

    `exported` are the labels of the data set that goes along.
    """
    sent = {label.id for label in exported}
    rows = sorted(_Events(project, sent).rows(), key=lambda row: str(row["when"]))
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: no_formula(value) for key, value in row.items()} for row in rows)
    return table.getvalue()


class _Events:
    """The rows of all events, with what each has in common with others."""

    def __init__(self, project: Project, exported: set[int]) -> None:
        self._ledger, self._project, self._exported = project.ledger, project, exported
        self._uses = project.ledger.model_uses()
        self._roles = {image.id: image.role for image in project.ledger.images()}
        self._labels = {image_id: project.ledger.history(image_id) for image_id in self._roles}

    def rows(self) -> Iterator[Row]:
        """All events, in no order."""
        for query in self._ledger.leases():
            yield self._row(query.image_id, query.granted_at, "asked", query.annotator, **_of_query(query))
        for image_id, labels in self._labels.items():
            for draft in self._ledger.draft_history(image_id):
                yield self._row(image_id, draft.created_at, "draft", draft.annotator, **_of_file(draft), note=draft.why)
            for label in labels:
                yield from self._of_label(label)
        yield from self._decisions()
        for skip in self._ledger.skips():
            yield self._row(skip.image_id, skip.created_at, skip.kind, skip.annotator, note=skip.reason)
            if skip.ended_at is not None:
                yield self._row(skip.image_id, skip.ended_at, "brought back", skip.ended_by or "")

    def _row(self, image_id: str, when: datetime, event: str, who: str, **values: object) -> Row:
        common = {"when": _time(when), "image": image_id, "role": self._roles[image_id], "event": event, "who": who}
        return {**common, "model_in_use": _in_use(self._uses, when), **values}

    def _of_label(self, label: Annotation) -> Iterator[Row]:
        """The rows of a label version of an annotator."""
        event = {FINAL: "label", SECOND: "second reading"}.get(label.tag)
        if event is None:
            return
        exported = "yes" if label.id in self._exported else ""
        shown = _models_shown(self._project, label.image_id)
        details = {**_of_label(label), "models_shown": shown, "exported": exported}
        yield self._row(label.image_id, label.created_at, event, label.annotator, **details)
        if label.deleted_at is not None:
            yield self._row(label.image_id, label.deleted_at, "taken back", "", version=label.version)

    def _decisions(self) -> Iterator[Row]:
        """The rows of comparisons and reviews."""
        versions = {label.id: label.version for labels in self._labels.values() for label in labels}
        for reading in self._ledger.readings():
            note = f"the readings {'agree' if reading.agrees else 'differ'}: {reading.in_words}"
            yield self._row(reading.image_id, reading.created_at, "compared", "", note=note)
        for review in self._ledger.reviews():
            image_id, who, version = review.image_id, review.reviewer, versions[review.annotation_id]
            if review.begun_at is not None:
                yield self._row(image_id, review.begun_at, "taken for review", who, version=version)
            if review.ended_at is not None:
                yield self._row(image_id, review.ended_at, _event_of(review), who, version=version, note=_note(review))


def _event_of(review: Review) -> str:
    outcome = str(review.outcome)
    return {"released": "review ended", "expired": "review expired"}.get(outcome, outcome)


def _note(review: Review) -> str:
    return " ".join(filter(None, (review.difficulty and f"[{review.difficulty}]", review.note)))


def _of_query(query: Lease) -> Row:
    return {
        "slices": _slices(query.slices),
        "strategy": query.strategy,
        "asked_by_model": _or_nothing(query.model_version),
        "note": query.reason,
    }


def _of_file(kept: Annotation | Draft) -> Row:
    return {"version": kept.version, "slices": _slices(kept.slices), "file": kept.file, "sha256": kept.sha256}


def _of_label(label: Annotation) -> Row:
    return {
        **_of_file(label),
        "seconds": _or_nothing(label.seconds),
        "active_seconds": _or_nothing(label.active_seconds),
        "unchanged_from": _or_nothing(label.unchanged_from),
    }


def _in_use(uses: Sequence[ModelUse], when: datetime) -> object:
    """The version of the model that was in use at a time."""
    place = bisect_right([use.began_at for use in uses], when)
    return "" if place == 0 else _or_nothing(uses[place - 1].model_version)


def _models_shown(project: Project, image_id: str) -> str:
    masks = (project.predictions_folder / image_id).glob(f"*{LABEL_ENDING}")
    return " ".join(str(version) for version in sorted(int(mask.name.split(".")[0]) for mask in masks))


def _slices(slices: Sequence[int] | None) -> str:
    return "all" if slices is None else " ".join(map(str, slices))


def _or_nothing(value: object) -> object:
    return "" if value is None else value


def _time(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds")
