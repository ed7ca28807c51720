"""Autopilot: train when enough labels are new, score when a model is new; each once, and again after any crash.

Before there is a model, the proxy model if the recipe has one: it is trained and ranks while nothing is annotated yet.

It keeps no state of its own that matters. What is due is read from the ledger every time, so a killed server, training
or scoring picks up where the ledger says it is.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from activelabel.errors import ActiveLabelError
from activelabel.loop.due import Situation, Work, work_due
from activelabel.project.thresholds import Thresholds

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""How often a task that ends without its result is started at once again."""
PAUSE_SECONDS = 600.0
"""How long it then rests, unless a label or a model is new before: a disk may be freed, a PACS come back."""


class Tasks(Protocol):
    """The server's background tasks, as the autopilot sees them."""

    def busy(self) -> bool:
        """Whether a training or a scoring is queued or running."""

    def start(self, work: Work) -> None:
        """Queue one."""


class Autopilot:
    """A thread of the server that starts what is due, one task at a time."""

    def __init__(
        self,
        look_up: Callable[[], Situation],
        tasks: Tasks,
        limits: Thresholds,
        clock: Callable[[], float] = time.monotonic,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """Watch what `look_up` reads from the ledger; `clock` tells seconds, `leads` whether this server may act."""
        self._clock = clock
        self._leads = leads
        self._gave_up_at = 0.0
        self._look_up = look_up
        self._tasks = tasks
        self._limits = limits
        self._attempted: tuple[Work, Situation] | None = None
        self._attempts = 0
        self._wake = threading.Event()
        self._stopped = False
        self._problem = ""
        self._reported_at = 0.0

    def start(self, interval_seconds: float = 1.0) -> None:
        """Look for work now, whenever `nudge` is called, and every `interval_seconds`."""
        threading.Thread(target=self._run, args=(interval_seconds,), name="autopilot", daemon=True).start()

    def stop(self) -> None:
        """Start nothing more."""
        self._stopped = True
        self._wake.set()

    def nudge(self) -> None:
        """A label was saved or deleted: look at once."""
        self._wake.set()

    @property
    def rests(self) -> bool:
        """Whether the last task failed so often that nothing is started for a while."""
        return self._attempts > MAX_ATTEMPTS

    @property
    def busy(self) -> bool:
        """Whether a training or a scoring is queued or running."""
        return self._tasks.busy()

    def look(self) -> Work | None:
        """Start what is due, unless something runs already or it failed too often; returns what was started."""
        if self._tasks.busy() or not self._leads():
            return None
        situation = self._look_up()
        work = work_due(situation, self._limits)
        if work is None or not self._may_attempt(work, situation):
            return None
        logger.info("autopilot: %s is due (%s)", work.value, situation)
        self._tasks.start(work)
        return work

    def _may_attempt(self, work: Work, situation: Situation) -> bool:
        """A task that leaves the ledger as it was has failed; after `MAX_ATTEMPTS` it rests."""
        rested = self._attempts > MAX_ATTEMPTS and self._clock() - self._gave_up_at >= PAUSE_SECONDS
        if rested or self._attempted != (work, situation):
            self._attempted, self._attempts = (work, situation), 0
        self._attempts += 1
        if self._attempts == MAX_ATTEMPTS + 1:
            self._gave_up_at = self._clock()
            logger.error("autopilot: %s failed %d times; it rests for %d s", work.value, MAX_ATTEMPTS, PAUSE_SECONDS)
        return self._attempts <= MAX_ATTEMPTS

    def _is_news(self, error: Exception) -> bool:
        """Whether to log why it could not look: the same again only after a while.

        It looks every second, and a database may be away for a weekend.
        """
        problem, now = f"{type(error).__name__}: {error}", self._clock()
        if problem == self._problem and now - self._reported_at < PAUSE_SECONDS:
            return False
        self._problem, self._reported_at = problem, now
        return True

    def _run(self, interval_seconds: float) -> None:
        while not self._stopped:
            try:
                self.look()
                self._problem = ""
            except ActiveLabelError as error:
                if self._is_news(error):
                    logger.error("autopilot: could not look for work; it tries again: %s", error)
            except Exception as error:
                if self._is_news(error):
                    logger.exception("autopilot: could not look for work; it tries again")
            self._wake.wait(interval_seconds)
            self._wake.clear()
