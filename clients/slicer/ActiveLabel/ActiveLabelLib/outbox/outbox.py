"""Drawings that the server does not have yet: each lies in a file of this machine until the server has taken it.

Several Slicers may use one folder at once. Each keeps and sends its own drawings; those of a Slicer that has ended
without having sent them are sent by the next one that looks.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ActiveLabelLib.outbox.private_files import PART, Presence, make_durable, private_folder, write_whole
from ActiveLabelLib.outbox.unsent import DamagedError, Unsent, digest, read_record, stem_of, stem_of_image, write_record

DAMAGED = ".damaged"
"""The ending of a record that was set aside; its drawing stays where it is."""
_RUNS = ".runs"
"""The ending of the sign of a Slicer that runs."""
_ABANDONED_SECONDS = 3600.0
"""An unfinished file of this age was left by a Slicer that has crashed."""


class Outbox:
    """A folder with at most one drawing for each image and Slicer: the newest."""

    def __init__(self, folder: Path, address: str, name: str, project: str) -> None:
        """Keep the drawings of `name` for a `project` of the server at `address` below `folder`.

        Others cannot open the folder. What an older version of this module has kept, which knew no projects, goes to
        the first project that is met at its address, as it did then.

        Raises:
            OSError: the folder cannot be made, or belongs to somebody else.
        """
        older, whose = (folder / _name_of(*parts) for parts in ((address, name), (address, name, project)))
        private_folder(folder)
        if older.is_dir() and not whose.exists():
            older.rename(whose)
        self.folder = private_folder(whose)
        self.owner = uuid.uuid4().hex[:12]
        self._problems: list[str] = []
        self._presence = self._sign_of(self.owner)
        self._remove_abandoned()

    def end(self) -> None:
        """Leave what waits to other Slicers: called when this one ends, or changes the server."""
        if self._presence is not None:
            self._presence.end()

    def take_problems(self) -> list[str]:
        """A line for each record that was set aside since the last call."""
        problems, self._problems = self._problems, []
        return problems

    # The drawings

    def place(self, image: str) -> Path:
        """A new file for the drawing of an image, to be written and then given to `put`."""
        return private_folder(self.folder) / f"new-{stem_of_image(image)}-{self.owner}.nii.gz"

    def put(self, image: str, kind: str, params: Mapping[str, Any]) -> Unsent:
        """Keep what was written to `place(image)`, in the stead of this Slicer's older drawing of the image.

        Raises:
            OSError: the disk is full, for example; the older drawing is then still there.
        """
        written, record = self.place(image), self._record(image, self.owner)
        make_durable(written)
        # Each drawing has a name of its own: after a crash in between, the older one is still whole.
        prefix = f"{stem_of_image(image)}-{self.owner}-"
        file = self.folder / f"{prefix}{digest(written)}.nii.gz"
        is_new = not file.exists()
        written.replace(file)
        entry = Unsent(image, kind, file, dict(params), owner=self.owner)
        try:
            write_record(record, entry)
        except OSError:
            if is_new:
                file.unlink(missing_ok=True)
            raise
        for older in self.folder.glob(f"{prefix}*.nii.gz"):
            if older != file:
                older.unlink(missing_ok=True)
        return entry

    def refuse(self, entry: Unsent, line: str) -> None:
        """Note that the server has refused a drawing, which stays."""
        write_record(self._record(entry.image, entry.owner), replace(entry, refused=line))

    def remove(self, entry: Unsent) -> None:
        """Forget a drawing that the server has, unless its Slicer has kept a newer one of the image."""
        record = self._record(entry.image, entry.owner)
        kept = self._kept(record)
        if kept is not None and replace(kept, refused="") == replace(entry, refused=""):
            record.unlink(missing_ok=True)
            entry.file.unlink(missing_ok=True)

    def of(self, image: str) -> Unsent | None:
        """The newest drawing of an image, of whichever Slicer; None if there is none."""
        stem = stem_of_image(image)
        kept = [entry for record in self._records() if stem_of(record) == stem and (entry := self._kept(record))]
        return kept[-1] if kept else None

    def own(self, image: str) -> Unsent | None:
        """The drawing of an image that this Slicer keeps; None if there is none."""
        return self._kept(self._record(image, self.owner))

    def take(self, image: str) -> Unsent | None:
        """The newest drawing of an image, of whichever Slicer, to be opened: this Slicer keeps it from now on.

        Raises:
            OSError: the disk is full, for example.
        """
        found = self.of(image)
        if found is None or found.owner == self.owner:
            return found
        self.place(image).write_bytes(found.file.read_bytes())
        taken = self.put(image, found.kind, found.params)
        if found.refused:
            self.refuse(taken, found.refused)
        with self._while_ended(found.owner) as has_ended:
            if has_ended:  # one that still runs sends its own
                self.remove(found)
        return replace(taken, refused=found.refused)

    def all(self) -> list[Unsent]:
        """All drawings, the oldest first. A damaged one is set aside, and stops none of the others."""
        return [entry for record in self._records() if (entry := self._kept(record))]

    def to_send(self) -> Iterator[Unsent]:
        """The drawings that this Slicer has to send, the oldest first: its own, and those of Slicers that have ended.

        While one of another Slicer is handed out, no third Slicer gets it.
        """
        for entry in self.all():
            if entry.owner == self.owner:
                yield entry
                continue
            with self._while_ended(entry.owner) as has_ended:
                # Another Slicer may have sent it meanwhile.
                if has_ended and self._kept(self._record(entry.image, entry.owner)) == entry:
                    yield entry

    # Marks

    def keep_marks(self, image: str, marks: Sequence[int]) -> None:
        """Remember which slices of an image are marked as done; without any, forget the image."""
        file = self.folder / f"{stem_of_image(image)}.marks"
        if marks:
            write_whole(file, json.dumps(list(marks)))
        else:
            file.unlink(missing_ok=True)

    def marks_of(self, image: str) -> tuple[int, ...]:
        """The slices of an image that were marked as done on this machine."""
        file = self.folder / f"{stem_of_image(image)}.marks"
        try:
            return tuple(int(index) for index in json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError) as error:
            self._set_aside(file, f"the marked slices of {image}: {error}")
            return ()

    # Records

    def _record(self, image: str, owner: str) -> Path:
        return self.folder / (f"{stem_of_image(image)}-{owner}.json" if owner else f"{stem_of_image(image)}.json")

    def _records(self) -> list[Path]:
        """The records, the oldest first; another Slicer may remove one meanwhile."""
        found = []
        for record in self.folder.glob("*.json"):
            try:
                found.append((record.stat().st_mtime_ns, record))
            except FileNotFoundError:
                continue
        return [record for _, record in sorted(found)]

    def _kept(self, record: Path) -> Unsent | None:
        """The drawing of a record; None if it is gone, or damaged and set aside."""
        try:
            return read_record(record)
        except FileNotFoundError:  # another Slicer has just sent it
            return None
        except DamagedError as error:
            self._set_aside(record, str(error))
        except OSError as error:
            self._problems.append(f"{record}: cannot be read ({error}); the drawing stays there")
        return None

    def _set_aside(self, file: Path, why: str) -> None:
        aside = file.with_name(file.name + DAMAGED)
        try:
            file.replace(aside)
        except OSError as error:
            why, aside = f"{why}; it cannot be set aside: {error}", file
        self._problems.append(f"a drawing kept on this machine is damaged ({why}): look at {aside}")

    def _sign_of(self, owner: str) -> Presence | None:
        """The sign of a Slicer, held if no other process gives it; None where the disk has no locks.

        Without locks nobody can tell whether another Slicer runs, so its drawings are left to it.
        """
        try:
            return Presence(self.folder / f"{owner or 'before'}{_RUNS}")
        except OSError as error:
            self._problems.append(
                f"{self.folder}: this disk has no locks ({error}); what another Slicer has kept here is not sent by "
                "this one"
            )
            return None

    @contextmanager
    def _while_ended(self, owner: str) -> Iterator[bool]:
        """Whether another Slicer has ended; if so, no third one is told the same meanwhile."""
        sign = self._sign_of(owner)
        try:
            yield sign is not None and sign.held
        finally:
            if sign is not None:
                sign.end()

    def _remove_abandoned(self) -> None:
        """Remove what crashed Slicers have left unfinished."""
        for pattern in (f"*{PART}", "new-*.nii.gz"):
            for file in self.folder.glob(pattern):
                try:
                    if time.time() - file.stat().st_mtime > _ABANDONED_SECONDS:
                        file.unlink()
                except FileNotFoundError:
                    continue


def _name_of(*parts: str) -> str:
    """A name for a folder, of letters that every file system takes."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
