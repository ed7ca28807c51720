"""Reading ahead: while an annotator draws, the server reads the image of the case that it would give them next.

What costs seconds at a question is then done: a series is fetched from its PACS, the content of a new image is
recorded, and it is prepared for the model in use. Nothing is promised: the question chooses as if nobody had looked,
and nothing says that a person has seen the image.
"""

import logging
import threading
import time
from collections.abc import Mapping

from activelabel.data.files.one_case import one_case
from activelabel.errors import ActiveLabelError, InvalidInputError, NotFoundError
from activelabel.project.project import Project
from activelabel.project.readability import note_image, prepare_case
from activelabel.server.actions.ahead.requests import Requests
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.tasks.strategy import HostStrategy

logger = logging.getLogger(__name__)

UNUSABLE = (InvalidInputError, NotFoundError)
"""What tells of an image that cannot be used, rather than of a PACS that is away."""
MOST_UNUSABLE = 1000
"""Of so many images that cannot be used is known that they were tried."""
END_SECONDS = 2.0
"""How long the end of the server waits for a reading, which stops at the next file that it fetches."""
FETCH_SECONDS = 300.0
"""How long a fetch may take: who asks for the same series waits for it, and a PACS may send without an end."""


class ReadAhead:
    """Reads one image at a time, in a thread of its own, when no request is under way."""

    def __init__(
        self,
        project: Project,
        datastore: LedgerDatastore,
        strategies: Mapping[str, HostStrategy],
        requests: Requests,
    ) -> None:
        """Read images of `datastore` that `strategies` would ask for, and give way to `requests`."""
        self._project = project
        self._datastore = datastore
        self._strategies = strategies
        self._requests = requests
        self._asked: dict[str, str] = {}
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._unusable: dict[str, None] = {}
        self._last_problem = ""

    def start(self) -> None:
        """Read ahead from now on, unless the settings say otherwise."""
        if self._project.settings.read_ahead:
            self._thread = threading.Thread(target=self._work, name="read-ahead", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, and leave nothing half done behind if a moment suffices."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(END_SECONDS)

    def expect(self, annotator: str, strategy: str) -> None:
        """Say that an annotator was given a case, and will ask for another by the same strategy."""
        if self._thread is not None:
            with self._changed:
                self._asked[annotator] = strategy
                self._changed.notify_all()

    def read_next(self, annotator: str, strategy: str) -> str | None:
        """Read the image of the case that an annotator would be given next.

        Returns:
            The id of the image; None if there is none to read, it cannot be read, or this was stopped.
        """
        image_id, until = None, time.monotonic() + FETCH_SECONDS
        try:
            found = self._strategies[strategy].look(annotator, self._unusable)
            if found is None:
                return None
            image_id = found.image_id
            return image_id if self._read(image_id, until) else None
        except (ActiveLabelError, OSError) as error:
            if image_id is not None and (isinstance(error, UNUSABLE) or time.monotonic() >= until):
                self._leave_out(image_id)  # the question finds out by itself, and waits for it or sets it aside
            if not self._stopped.is_set() and str(error) != self._last_problem:
                self._last_problem = str(error)
                logger.warning("%s is not read ahead: %s", image_id or "the next case", error)
            return None

    def _work(self) -> None:
        while (asked := self._next_asked()) is not None:
            try:
                self.read_next(*asked)
            except Exception:
                logger.exception("the next case could not be read ahead; it is read when somebody asks for it")

    def _next_asked(self) -> tuple[str, str] | None:
        """The annotator who has waited longest, and their strategy, once it is calm; None when this is to end."""
        with self._changed:
            while not self._asked and not self._stopped.is_set():
                self._changed.wait()
        if not self._requests.give_way(self._stopped):
            return None
        with self._changed:
            annotator = next(iter(self._asked))
            return annotator, self._asked.pop(annotator)

    def _read(self, image_id: str, until: float) -> bool:
        """Fetch, record and prepare an image, as far as it was not done before; whether this came to its end."""
        began = time.monotonic()
        self._datastore.fetch(image_id, lambda: not self._stopped.is_set() and time.monotonic() < until)
        files, ledger = self._datastore.image_files(image_id), self._project.ledger
        if not self._requests.give_way(self._stopped):
            return False
        with one_case(image_id):
            note_image(image_id, files, ledger)
        if ledger.model_in_use() is not None and self._project.settings.prepared_gb != 0:
            if not self._requests.give_way(self._stopped):
                return False
            prepare_case(image_id, files, ledger, self._project.preprocessing, self._project.prepared_images())
        logger.info("%s was read ahead in %.1f s", image_id, time.monotonic() - began)
        return True

    def _leave_out(self, image_id: str) -> None:
        self._unusable[image_id] = None
        while len(self._unusable) > MOST_UNUSABLE:
            self._unusable.pop(next(iter(self._unusable)))
