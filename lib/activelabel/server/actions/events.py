"""What happens in a project, as events for any number of clients that listen: one look at the ledger serves all.

A single thread looks while somebody listens. It reads the revision of the progress, which costs two small queries, and
computes anything only when that has changed. Clients wait in the event loop, so none of them takes a thread.
"""

import asyncio
import itertools
import json
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from activelabel.errors import ActiveLabelError, TooManyError
from activelabel.server.actions.progress_answers import CaseEventAnswer, ModelEvent, ProjectProgress
from activelabel.store.case_states import CaseState

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""The least time between two looks, so also between two events of one kind about the whole project."""
SHARE = 0.1
"""The most of the time that is spent looking: in a large project the looks are further apart."""
KEEP_ALIVE_SECONDS = 15.0
"""After this time without an event a comment is sent, so that nothing on the way takes the stream for dead."""
LONGEST_SECONDS = 900.0
"""After this time a stream ends. The client connects again, and its login is checked again."""
RETRY_SECONDS = 3
"""How long a client waits before it connects again."""
MOST_LISTENERS = 256
MOST_OF_ONE = 32
"""How many of these one person who has logged in may have."""
KEPT_EVENTS = 512
"""How many events a client that connects again can have missed without missing them for good."""
_MOST_DIGITS = 18  # of the number of an event

States = Mapping[str, tuple[str, tuple[str, ...]]]
"""The state of each case to which something has happened, and who brought it about."""
_UNSEEN = (CaseState.UNSEEN.value, ())


@dataclass(frozen=True)
class Event:
    """An event: its id, its kind, and its content as JSON."""

    id: str
    kind: str
    data: str

    def __str__(self) -> str:
        """The event as a stream of server-sent events has it."""
        return f"id: {self.id}\nevent: {self.kind}\ndata: {self.data}\n\n"


class Listener:
    """A client that listens, in its event loop."""

    def __init__(self, after: str | None, person: str = "") -> None:
        """Listen as `person` for events after the one with the id `after`, or from now on."""
        self.after = after
        self.person = person
        self.greeted = False
        self.ended = False
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Event] = deque()
        self._something = asyncio.Event()

    def tell(self, event: Event | None) -> None:
        """Give the client an event, None to end its stream; from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._put, event)
        except RuntimeError:  # its loop is closed, as the server ends
            self.ended = True

    def _put(self, event: Event | None) -> None:
        if event is None or len(self._waiting) >= KEPT_EVENTS:  # a client that is so slow begins anew
            self.ended = True
        else:
            self._waiting.append(event)
        self._something.set()

    async def next(self, seconds: float) -> Event | None:
        """The next event; None after `seconds` without one, or when the stream has ended."""
        if not self._waiting:
            self._something.clear()
            try:
                await asyncio.wait_for(self._something.wait(), seconds)
            except asyncio.TimeoutError:
                return None
        return self._waiting.popleft() if self._waiting else None


class EventHub:
    """The events of a project, for all clients that listen.

    Attributes:
        looks: how often it has looked for changes.
    """

    def __init__(
        self,
        revision: Callable[[], Hashable],
        progress: Callable[[], ProjectProgress],
        standing: Callable[[], str],
        states: Callable[[], States],
    ) -> None:
        """Look at `revision` for a change, and then at the rest."""
        self._read_revision = revision
        self._read_progress = progress
        self._read_standing = standing
        self._read_states = states
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closed = False
        self._server = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._revision: Hashable = None
        self._progress: ProjectProgress | None = None
        self._cases: States | None = None
        self._problem = ""
        self.looks = 0

    def check_room(self, person: str = "") -> None:
        """Refuse one more client if there are too many, or too many of a person; nobody is known without a login.

        Raises:
            TooManyError: there are too many.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise TooManyError(f"{MOST_LISTENERS} clients listen already: ask GET /activelabel/progress instead")
        own = sum(listener.person == person for listener in list(self._listeners)) if person else 0
        if own >= MOST_OF_ONE:
            raise TooManyError(f"{person} has {own} clients that listen already: close some of them")

    async def stream(self, after: str | None = None, person: str = "") -> AsyncIterator[str]:
        """The lines of a stream of server-sent events, which begins with the progress or with what was missed."""
        listener = Listener(after, person)
        self._add(listener)
        try:
            yield f"retry: {RETRY_SECONDS * 1000}\n\n"
            ends_at = time.monotonic() + LONGEST_SECONDS
            while not self._closed and not listener.ended and (left := ends_at - time.monotonic()) > 0:
                event = await listener.next(min(KEEP_ALIVE_SECONDS, left))
                yield ": keep-alive\n\n" if event is None else str(event)
        finally:
            self._remove(listener)

    def close(self) -> None:
        """End all streams, because the server ends."""
        self._closed = True
        self._wake.set()
        for listener in list(self._listeners):
            listener.tell(None)

    def _add(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.append(listener)
            self._wake.set()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._keep_looking, name="events", daemon=True)
                self._thread.start()

    def _remove(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)
        self._wake.set()  # the thread ends if it was the last one

    def _keep_looking(self) -> None:
        while True:
            with self._lock:
                if self._closed or not self._listeners:
                    self._thread = None
                    return
            self._wake.clear()
            began = time.monotonic()
            try:
                self.look()
                self._problem = ""
            except Exception as error:
                if str(error) != self._problem:  # a database may be away for a weekend
                    self._problem = str(error)
                    known = isinstance(error, ActiveLabelError)
                    logger.warning("clients are not told what happens: %s", error, exc_info=None if known else error)
            took = time.monotonic() - began
            self._pause(max(LOOK_SECONDS, took / SHARE))

    def _pause(self, seconds: float) -> None:
        """Wait, but greet a client that comes meanwhile at once, and end when the last one leaves."""
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0 and not self._closed and self._listeners:
            if self._wake.wait(left):
                self._wake.clear()
                self._greet()

    def look(self) -> None:
        """Look for changes, and tell all clients."""
        self.looks += 1
        revision = self._read_revision()  # read first, so that a change during the look leads to another
        if revision != self._revision:
            self._look_closely()
            self._revision = revision
        self._greet()

    def _look_closely(self) -> None:
        progress, before = self._read_progress(), self._progress
        cases, known = self._read_states(), self._cases
        self._progress = progress
        if known is not None:
            for image in sorted(cases.keys() | known.keys()):
                (state, who), earlier = cases.get(image, _UNSEEN), known.get(image, _UNSEEN)
                if (state, who) != earlier:
                    self._tell("case", CaseEventAnswer(image=image, state=state, before=earlier[0], who=list(who)))
        self._cases = cases
        if before is not None and _models(before) != _models(progress):
            model = ModelEvent(
                newest_model=progress.newest_model, in_use=progress.model_version, standing=self._read_standing()
            )
            self._tell("model", model)
        if before is not None and before != progress:
            self._tell("progress", progress)

    def _tell(self, kind: str, content: BaseModel) -> None:
        event = self._event(kind, content.model_dump(mode="json"))
        self._events.append(event)
        for listener in list(self._listeners):
            if listener.greeted:
                listener.tell(event)

    def _event(self, kind: str, content: Any) -> Event:
        data = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return Event(f"{self._server}-{next(self._numbers)}", kind, data)

    def _greet(self) -> None:
        """Tell new clients what they have missed, and the progress now."""
        progress = self._progress
        if progress is None:
            return
        for listener in [one for one in list(self._listeners) if not one.greeted]:
            listener.greeted = True
            missed = self._missed(listener.after)
            if missed is None:
                listener.tell(self._event("missed", {}))
            for event in missed or ():
                if event.kind != "progress":
                    listener.tell(event)
            listener.tell(self._event("progress", progress.model_dump(mode="json")))

    def _missed(self, after: str | None) -> list[Event] | None:
        """The events after one; None if it is not known any more which these are."""
        if after is None:
            return []
        server, _, number = after.partition("-")
        if server != self._server or not number.isdecimal() or len(number) > _MOST_DIGITS:
            return None
        kept = list(self._events)
        oldest = _number(kept[0]) if kept else 0
        if len(kept) == KEPT_EVENTS and int(number) < oldest - 1:
            return None
        return [event for event in kept if _number(event) > int(number)]


def _number(event: Event) -> int:
    return int(event.id.partition("-")[2])


def _models(progress: ProjectProgress) -> tuple[int | None, int | None]:
    return progress.newest_model, progress.model_version
