"""Autopilot: trains when enough labels are new, scores when a model is new; each once, and again after a crash.

If the recipe has a proxy model, the autopilot trains it first and scores with it, while nothing is annotated yet.

The autopilot keeps no state that matters. It reads the next task from the ledger every time, so work that was killed
continues from the state in the ledger.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from activelabel.errors import ActiveLabelError
from activelabel.loop.due import Situation, Work, work_due
from activelabel.project.in_force.thresholds import Thresholds

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""How often a task is started, each time at once after the last, if it ends without its result."""
PAUSE_SECONDS = 600.0
"""The pause after these attempts, unless a new label or model ends it: a full disk or an absent PACS may recover."""


class Tasks(Protocol):
    """The interface of the server's background tasks that the autopilot needs."""

    def busy(self) -> bool:
        """Whether a training or a scoring is queued or running."""

    def start(self, work: Work) -> None:
        """Queue a task."""


class Autopilot:
    """A thread of the server that starts due tasks, one at a time."""

    def __init__(
        self,
        look_up: Callable[[], Situation],
        tasks: Tasks,
        limits: Thresholds,
        clock: Callable[[], float] = time.monotonic,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take `look_up`, which reads the situation, `clock` in seconds, and `leads`: whether this server may act."""
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
        """Look for work at once, because a label was saved or deleted."""
        self._wake.set()

    @property
    def rests(self) -> bool:
        """Whether the autopilot pauses because the last task failed too often."""
        return self._attempts > MAX_ATTEMPTS

    @property
    def busy(self) -> bool:
        """Whether a training or a scoring is queued or running."""
        return self._tasks.busy()

    def look(self) -> Work | None:
        """Start the due task and return it, unless a task runs already or the due one failed too often."""
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
        """Whether to start a task: one that left the ledger unchanged has failed, and pauses after `MAX_ATTEMPTS`."""
        rested = self._attempts > MAX_ATTEMPTS and self._clock() - self._gave_up_at >= PAUSE_SECONDS
        if rested or self._attempted != (work, situation):
            self._attempted, self._attempts = (work, situation), 0
        self._attempts += 1
        if self._attempts == MAX_ATTEMPTS + 1:
            self._gave_up_at = self._clock()
            logger.error("autopilot: %s failed %d times; it rests for %d s", work.value, MAX_ATTEMPTS, PAUSE_SECONDS)
        return self._attempts <= MAX_ATTEMPTS

    def _is_news(self, error: Exception) -> bool:
        """Whether to log an error of looking for work: the same error again only after a while.

        The autopilot looks every second, and a database may be away for a weekend.
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
