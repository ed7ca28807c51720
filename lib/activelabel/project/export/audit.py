"""The audit trail of a project: who did what when, as a table with a row for each event of each case."""

import csv
import io
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from activelabel.analysis.harmless_text import no_formula
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.project.project import Project
from activelabel.store.records import FINAL, Annotation, Draft, Lease, ModelUse, Review

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
    rows = sorted(_rows(project, sent), key=lambda row: str(row["when"]))
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: no_formula(value) for key, value in row.items()} for row in rows)
    return table.getvalue()


def _rows(project: Project, exported: set[int]) -> Iterator[Row]:
    ledger, uses = project.ledger, project.ledger.model_uses()
    roles = {image.id: image.role for image in ledger.images()}
    labels = {image_id: ledger.history(image_id) for image_id in roles}
    versions = {label.id: label.version for of_image in labels.values() for label in of_image}

    def row(image_id: str, when: datetime, event: str, who: str, **values: object) -> Row:
        common = {"when": _time(when), "image": image_id, "role": roles[image_id], "event": event, "who": who}
        return {**common, "model_in_use": _in_use(uses, when), **values}

    for query in ledger.leases():
        yield row(query.image_id, query.granted_at, "asked", query.annotator, **_of_query(query))
    for image_id, of_image in labels.items():
        shown = _models_shown(project, image_id)
        for draft in ledger.draft_history(image_id):
            yield row(image_id, draft.created_at, "draft", draft.annotator, **_of_file(draft), note=draft.why)
        for label in (one for one in of_image if one.tag == FINAL):
            details = {**_of_label(label), "models_shown": shown, "exported": "yes" if label.id in exported else ""}
            yield row(image_id, label.created_at, "label", label.annotator, **details)
            if label.deleted_at is not None:
                yield row(image_id, label.deleted_at, "taken back", "", version=label.version)
    for review in ledger.reviews():
        yield from _of_review(review, row, versions)
    for skip in ledger.skips():
        yield row(skip.image_id, skip.created_at, skip.kind, skip.annotator, note=skip.reason)
        if skip.ended_at is not None:
            yield row(skip.image_id, skip.ended_at, "brought back", skip.ended_by or "")


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


def _of_review(review: Review, row: Callable[..., Row], versions: Mapping[int, int]) -> Iterator[Row]:
    version = versions[review.annotation_id]
    if review.begun_at is not None:
        yield row(review.image_id, review.begun_at, "taken for review", review.reviewer, version=version)
    if review.ended_at is not None:
        event = {"released": "review ended", "expired": "review expired"}.get(review.outcome or "", review.outcome)
        note = " ".join(filter(None, (review.difficulty and f"[{review.difficulty}]", review.note)))
        yield row(review.image_id, review.ended_at, str(event), review.reviewer, version=version, note=note)


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
