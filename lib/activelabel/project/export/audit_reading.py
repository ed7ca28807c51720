"""Reads the audit trail of an exported data set back into the rows of a ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activelabel.data.files.other_names import AUDIT
from activelabel.errors import InvalidInputError
from activelabel.project.export import audit
from activelabel.project.export.audit_line import EXPORT_AGAIN, AuditLine, lines_of
from activelabel.store.case_states import DraftReason
from activelabel.store.coverage_case import CoverageCase
from activelabel.store.records.labels import FINAL, SECOND
from activelabel.store.transfer import TransferredRow

_OUTCOMES = {audit.ENDED: "released", audit.EXPIRED: "expired", "approved": "approved", "returned": "returned"}
"""The outcome of a review by the event of its row."""


@dataclass(frozen=True)
class Audit:
    """A whole audit trail: the rows of the ledger, and the lines about files, labels and drafts."""

    rows: list[TransferredRow] = field(default_factory=list)
    files: list[AuditLine] = field(default_factory=list)
    kept: list[AuditLine] = field(default_factory=list)
    """The lines of labels and drafts, whose `file` is below the folder of all label versions."""
    images: dict[str, AuditLine] = field(default_factory=dict)


def read_trail(folder: Path) -> Audit:
    """The audit trail of an exported data set. Raises as `read_audit`, and if the folder has none."""
    if not (folder / AUDIT).is_file():
        raise InvalidInputError(f"--from {folder}: expected a folder that `activelabel export` wrote, with {AUDIT}")
    return read_audit(folder / AUDIT)


def read_audit(file: Path) -> Audit:
    """Read a table that `audit_table` has written.

    Raises:
        InvalidInputError: the file is missing or no such table, or a cell cannot be read; the message names the line.
    """
    lines = list(lines_of(file))
    read = _Reading(Audit(), _by_number(lines), _decided(lines))
    for line in lines:
        read.take(line)
    return read.audit


def _by_number(lines: Sequence[AuditLine]) -> dict[tuple[str, str], AuditLine]:
    """The rows that end others, by event and number."""
    ends = (audit.TAKEN_BACK, audit.BROUGHT_BACK, audit.TAKEN)
    return {(line.cells["event"], line.cells["number"]): line for line in lines if line.cells["event"] in ends}


def _decided(lines: Sequence[AuditLine]) -> frozenset[str]:
    """The numbers of the reviews that have ended."""
    return frozenset(line.cells["number"] for line in lines if line.cells["event"] in _OUTCOMES)


@dataclass(frozen=True)
class _Reading:
    """Turns lines into rows of the ledger."""

    audit: Audit
    ends: Mapping[tuple[str, str], AuditLine]
    decided: frozenset[str]

    def take(self, line: AuditLine) -> None:
        """Add the rows of a line."""
        event = line.cells["event"]
        takers = {
            audit.IMAGE: self._image,
            audit.MODEL: self._model,
            audit.PROXY: self._model,
            audit.USE: self._use,
            audit.ROUND: self._round,
            audit.FACT: self._fact,
            audit.ASKED: self._query,
            audit.DRAFT: self._draft,
            audit.LABEL: self._label,
            audit.SECOND_LABEL: self._label,
            audit.COMPARED: self._reading,
            audit.TAKEN: self._taken,
            **dict.fromkeys(_OUTCOMES, self._review),
            "not now": self._skip,
            "cannot be annotated": self._skip,
            audit.FILE: self.audit.files.append,
            audit.TAKEN_BACK: lambda _: None,  # belongs to the row of its label
            audit.BROUGHT_BACK: lambda _: None,  # belongs to the row of its skip
        }
        taker = self._label if event.startswith(audit.OTHER_LABEL) else takers.get(event)
        if taker is None:
            raise InvalidInputError(f"{line.where}: event '{event[:80]}' is unknown: {EXPORT_AGAIN}")
        taker(line)

    def _add(self, table: str, line: AuditLine, **values: Any) -> None:
        self.audit.rows.append(TransferredRow(table, values, line.where))

    def _image(self, line: AuditLine) -> None:
        axis = line.text("detail").removeprefix("axis ")
        if axis not in ("", "0", "1", "2"):
            raise InvalidInputError(f"{line.where}: detail is '{axis[:80]}', expected axis 0, 1 or 2: {EXPORT_AGAIN}")
        image_id = line.needed("image")
        self.audit.images[image_id] = line
        self._add(
            "images",
            line,
            id=image_id,
            added_at=line.time("when"),
            role=line.needed("role"),
            patient=line.text_or_none("patient"),
            slice_axis=int(axis) if axis else None,
            slice_count=line.whole("covered_slices"),
            content_sha256=line.text_or_none("image_sha256"),
        )

    def _model(self, line: AuditLine) -> None:
        version = line.whole("number")
        self._add(
            "model_versions",
            line,
            version=version,
            kind="task" if line.cells["event"] == audit.MODEL else "proxy",
            file=line.needed("file"),
            sha256=line.needed("sha256"),
            created_at=line.time("when"),
            recipe=line.text("note"),
            labels=line.names("structures"),
            metrics=line.values("detail"),
            withdrawn_at=line.time("ended"),
        )
        for label in line.wholes("about"):
            self._add("model_annotations", line, model_version=version, annotation_id=label)

    def _use(self, line: AuditLine) -> None:
        self._add(
            "model_uses",
            line,
            kind=line.needed("detail"),
            model_version=line.whole("number"),
            chosen_by=line.text_or_none("who"),
            began_at=line.time("when"),
        )

    def _round(self, line: AuditLine) -> None:
        began = line.time("when")
        self._add(
            "rounds", line, number=line.whole("number"), model_version=line.whole("asked_by_model"), started_at=began
        )

    def _fact(self, line: AuditLine) -> None:
        name, _, value = line.needed("detail").partition("=")
        self._add("facts", line, name=name, value=value, reason=line.text("note"), recorded_at=line.time("when"))

    def _query(self, line: AuditLine) -> None:
        self._add(
            "leases",
            line,
            id=line.whole("number"),
            image_id=line.needed("image"),
            slices=line.slices(),
            annotator=line.needed("who"),
            strategy=line.needed("strategy"),
            model_version=line.whole("asked_by_model"),
            score=line.number("score"),
            reason=line.text("note"),
            round_number=line.whole("round"),
            granted_at=line.time("when"),
            expires_at=line.time("until"),
            ended_at=line.time("ended"),
            outcome=line.text_or_none("detail"),
            active_seconds=line.number("active_seconds"),
        )

    def _file(self, line: AuditLine) -> dict[str, Any]:
        self.audit.kept.append(line)
        return {
            "id": line.whole("number"),
            "image_id": line.needed("image"),
            "version": line.whole("version"),
            "file": line.needed("file"),
            "sha256": line.needed("sha256"),
            "slices": line.slices(),
            "annotator": line.needed("who"),
            "lease_id": line.whole("about"),
            "created_at": line.time("when"),
        }

    def _draft(self, line: AuditLine) -> None:
        self._add(
            "drafts",
            line,
            **self._file(line),
            reason=line.one_of("detail", DraftReason),
            why=line.text("note"),
            ended_at=line.time("ended"),
            named_slices=line.named_slices(),
        )

    def _label(self, line: AuditLine) -> None:
        event = line.cells["event"]
        tag = {audit.LABEL: FINAL, audit.SECOND_LABEL: SECOND}.get(event, event.removeprefix(audit.OTHER_LABEL))
        taken_back = self.ends.get((audit.TAKEN_BACK, line.cells["number"]))
        self._add(
            "annotations",
            line,
            **self._file(line),
            tag=tag,
            covered_slices=line.whole("covered_slices"),
            foreground_slices=line.whole("foreground_slices"),
            seconds=line.number("seconds"),
            active_seconds=line.number("active_seconds"),
            round_number=line.whole("round"),
            superseded_at=line.time("ended"),
            deleted_at=None if taken_back is None else taken_back.time("when"),
            unchanged_from=line.whole("unchanged_from"),
            label_names=line.names("structures"),
            image_sha256=line.text_or_none("image_sha256"),
            coverage=line.one_of("detail", CoverageCase),
            sent_otherwise=line.digests("sent_otherwise"),
        )

    def _reading(self, line: AuditLine) -> None:
        compared = line.wholes("about")
        found = line.values("detail")
        if len(compared) != 2 or found is None:
            raise InvalidInputError(f"{line.where}: expected two labels and how much they agree: {EXPORT_AGAIN}")
        self._add(
            "readings",
            line,
            id=line.whole("number"),
            image_id=line.needed("image"),
            first_id=compared[0],
            second_id=compared[1],
            structures=found.get("structures"),
            agrees=found.get("agrees"),
            created_at=line.time("when"),
            superseded_at=line.time("ended"),
        )

    def _taken(self, line: AuditLine) -> None:
        """A review that has begun; if it has ended, the row of its end holds all of it."""
        if line.cells["number"] not in self.decided:
            self._add_review(line, begun=line, outcome=None)

    def _review(self, line: AuditLine) -> None:
        outcome = _OUTCOMES[line.cells["event"]]
        self._add_review(line, self.ends.get((audit.TAKEN, line.cells["number"])), outcome)

    def _add_review(self, line: AuditLine, begun: AuditLine | None, outcome: str | None) -> None:
        ended = outcome is not None
        self._add(
            "reviews",
            line,
            id=line.whole("number"),
            image_id=line.needed("image"),
            annotation_id=line.whole("about"),
            reviewer=line.needed("who"),
            begun_at=None if begun is None else begun.time("when"),
            expires_at=None if begun is None else begun.time("until"),
            outcome=outcome,
            note=line.text("note") if ended else "",
            difficulty=line.text_or_none("detail") if ended else None,
            ended_at=line.time("when") if ended else None,
            superseded_at=line.time("ended") if ended else None,
        )

    def _skip(self, line: AuditLine) -> None:
        back = self.ends.get((audit.BROUGHT_BACK, line.cells["number"]))
        self._add(
            "skips",
            line,
            id=line.whole("number"),
            image_id=line.needed("image"),
            annotator=line.needed("who"),
            kind=line.cells["event"],
            reason=line.text("note"),
            last_lease=line.whole("about"),
            created_at=line.time("when"),
            ended_at=None if back is None else back.time("when"),
            ended_by=None if back is None else back.needed("who"),
        )
