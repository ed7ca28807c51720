"""Blind readings: what a person must not see before they have drawn a case that two annotators read."""

import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from activelabel.annotation.history_reader import ORIGINAL
from activelabel.errors import ForbiddenError
from activelabel.login.identity import Role, asking
from activelabel.project.project import Project
from activelabel.server.client_info import annotator_of
from activelabel.store.records.labels import Annotation
from activelabel.strategies.second_readings import read_blind, read_twice


@dataclass(frozen=True)
class Blindfold:
    """What somebody must not be told: who else has drawn the images that they read blind.

    Attributes:
        images: these images.
        person: who reads them.
    """

    images: Collection[str] = ()
    person: str = ""

    def hides(self, image_id: str, annotator: str) -> bool:
        """Whether it is hidden that this annotator has drawn an image."""
        return image_id in self.images and annotator != self.person

    def shown(self, image_id: str, annotators: Collection[str]) -> list[str]:
        """Those of these annotators of whom it may be told, sorted."""
        return sorted(name for name in annotators if not self.hides(image_id, name))

    def cases(self, cases: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part `cases` of `GET /info/`, without who has hidden drafts and what is on them."""
        drafts = cases["drafts"]
        if not any(self.hides(draft["id"], draft["annotator"]) for draft in drafts):
            return cases
        return {**cases, "drafts": [self._draft(draft) for draft in drafts]}

    def _draft(self, draft: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**draft, "annotator": None, "why": ""} if self.hides(draft["id"], draft["annotator"]) else draft


EVERYTHING = Blindfold()
"""Nothing is hidden."""


def blind_for_all(project: Project) -> Blindfold:
    """The images that are still to be read a second time, for what everybody is told alike."""
    return Blindfold(project.ledger.not_read_by("", read_twice(project)))


class BlindReadings:
    """Which images the person who asks reads blind, computed again when the ledger has changed."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._revision: Hashable = None
        self._images: dict[tuple[str, bool], frozenset[str]] = {}

    def images(self) -> Collection[str]:
        """The images on which the person who asks must not see what others have drawn.

        A reviewer sees everything but a case that they read themselves. Where nobody logs in, nobody can be told from a
        reviewer, so only the case that a client reads at the moment is hidden from it.
        """
        if self._project.settings.readers < 2:
            return ()
        who = asking.get()
        key = annotator_of({}), who is not None and who.role < Role.REVIEWER
        revision = self._project.ledger.revision()
        with self._lock:
            if revision != self._revision:
                self._revision, self._images = revision, {}
            if key not in self._images:
                person, ahead = key
                self._images[key] = read_blind(self._project, person, ahead=ahead)
            return self._images[key]

    def fold(self) -> Blindfold:
        """What the person who asks must not be told."""
        return Blindfold(self.images(), annotator_of({}))

    def listed(self) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
        """What of an image's entry in the listing, with its id, the person who asks may see: not all labels."""
        hidden = self.images()

        def shown(image_id: str, entry: dict[str, Any]) -> dict[str, Any]:
            if image_id not in hidden:
                return entry
            seen = {tag: label for tag, label in entry["labels"].items() if self._may_see(image_id, tag)}
            return {**entry, "labels": seen}

        return shown

    def require_may_see(self, image_id: str, tag: str) -> None:
        """Refuse to show the person who asks a label that another has drawn, if they are to draw without seeing it.

        Raises:
            ForbiddenError: it is such a label.
        """
        if image_id in self.images() and not self._may_see(image_id, tag):
            raise ForbiddenError(f"image '{image_id}': draw it without the first reading, which is shown afterwards")

    def _may_see(self, image_id: str, tag: str) -> bool:
        label = self._project.ledger.current_annotation(image_id, tag)
        return label is None or not self._is_of_another(label)

    def _is_of_another(self, label: Annotation) -> bool:
        """Whether somebody else has drawn a label; what a model has drawn is shown under `original` to everybody."""
        if label.annotator == annotator_of({}):
            return False
        return label.tag != ORIGINAL or self._project.ledger.shows_drawing(label.image_id, ORIGINAL)
