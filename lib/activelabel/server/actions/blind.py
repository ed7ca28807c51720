"""Blind readings: what a person must not see before they have drawn a case that two annotators read."""

import threading
from collections.abc import Collection, Hashable

from activelabel.annotation.history_reader import ORIGINAL
from activelabel.errors import ForbiddenError
from activelabel.login.identity import Role, asking
from activelabel.project.project import Project
from activelabel.server.client_info import annotator_of
from activelabel.store.records.labels import Annotation
from activelabel.strategies.second_readings import read_blind


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

    def require_may_see(self, image_id: str, tag: str) -> None:
        """Refuse to show the person who asks a label that another has drawn, if they are to draw without seeing it.

        Raises:
            ForbiddenError: it is such a label.
        """
        if image_id not in self.images():
            return
        label = self._project.ledger.current_annotation(image_id, tag)
        if label is not None and self._is_of_another(label):
            raise ForbiddenError(f"image '{image_id}': draw it without the first reading, which is shown afterwards")

    def _is_of_another(self, label: Annotation) -> bool:
        """Whether somebody else has drawn a label; what a model has drawn is shown under `original` to everybody."""
        if label.annotator == annotator_of({}):
            return False
        return label.tag != ORIGINAL or self._project.ledger.shows_drawing(label.image_id, ORIGINAL)
