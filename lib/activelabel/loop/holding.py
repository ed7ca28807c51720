"""What one process holds of a project's work: it claims images and jobs, beats a heart for them, and gives them back.

The server's own children and the workers of other machines use it alike, so that they can work at the same time.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from activelabel.acquisition.score import ImageScores
from activelabel.errors import ActiveLabelError
from activelabel.store.ledger import Ledger
from activelabel.store.records.work import WHOLE_JOB, Claim, WorkKind
from activelabel.store.work.claims import Job
from activelabel.store.work.worker_names import release_of_dead, worker_name

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
"""How long a claim holds without a heartbeat."""
BEATS_PER_LEASE = 6
"""How often a claim is extended before it would expire, so that it outlives a few beats that the ledger misses."""
WRITTEN_SECONDS = 0.5
"""How long a process waits at once for its own scores to be written, before it looks whether that failed."""
CLAIMED_SECONDS = 2.0
"""How much work of its own a process claims at once; so much comes back late to the others if it is killed."""
CLAIMED_AT_MOST = 64
"""The most images that are claimed at once."""
LOOK_AGAIN_SECONDS = 0.5
"""The pause before a process that found every image held by others looks again."""


def nothing_to_write() -> None:
    """What a process calls as `Holding.write_now` while no scores are written behind it."""


@contextmanager
def only_training(ledger: Ledger, claim: Claim | None = None) -> Iterator[Claim]:
    """The claim of the only training of a project: the given one, or an own one, for which this waits."""
    if claim is not None:
        yield claim
        return
    with Holding(ledger) as holding, holding.whole("train", wait=True) as own:
        assert own is not None  # it was not stopped
        yield own


class _Pace:
    """How many images a process works on in `CLAIMED_SECONDS`; one until that is known."""

    def __init__(self) -> None:
        self._seconds = CLAIMED_SECONDS

    def note(self, seconds: float) -> None:
        """Take into account how long an image took; a later one counts more."""
        self._seconds = (self._seconds + seconds) / 2

    def images(self) -> int:
        """The number of images to claim at once."""
        return min(max(int(CLAIMED_SECONDS / max(self._seconds, 1e-3)), 1), CLAIMED_AT_MOST)


class _Search:
    """Where a process is among the images of a job, which it goes through again and again.

    Attributes:
        after: the id behind which it looks next; empty for all.
        goes_on: whether some may be left elsewhere: further on, or before those that it had.
        in_vain: whether it went through all, and found only what is passed over.
    """

    def __init__(self) -> None:
        self.after = ""
        self.goes_on = self.in_vain = self._only_passed_over = False

    def note(self, new: Sequence[str], wanted: Sequence[str]) -> None:
        """Take into account what was found, and what of it is wanted."""
        from_the_first = not self.after
        self._only_passed_over = not wanted and (self._only_passed_over or from_the_first)
        self.in_vain = self._only_passed_over and not (new or from_the_first)
        self.goes_on = not self.in_vain and bool(new or self.after)
        self.after = new[-1] if new else ""


class Holding:
    """The claims of one process, extended by a thread until the block ends; then they are given back.

    Attributes:
        worker: the name under which it claims.
        recorded: of how many images it has written the scores.
        told_to_end: whether this process is to end.
        write_now: called again and again while this process waits for nothing but the writing of what it has scored;
            what it raises ends the waiting.
    """

    def __init__(
        self,
        ledger: Ledger,
        lease_seconds: float = LEASE_SECONDS,
        stopped: Callable[[], bool] = lambda: False,
        worker: str = "",
        passed_over: Container[str] = (),
        told_to_end: Callable[[], bool] = lambda: False,
    ) -> None:
        """Hold work in `ledger`; nothing new is claimed once `stopped` is true, nor what is in `passed_over` then.

        `told_to_end` tells whether this process is to end, so that nothing is waited for that hangs.
        """
        self._passed_over = passed_over
        self.told_to_end = told_to_end
        self.worker = worker or worker_name()
        self.recorded = 0
        self.write_now: Callable[[], None] = nothing_to_write
        self._ledger = ledger
        self._lease_seconds = lease_seconds
        self._stopped = stopped
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heart", daemon=True)
        self._held: set[Claim] = set()
        self._lock = threading.Condition()  # of what is held; it tells when that becomes less
        self._writing = threading.Lock()  # so that the heart takes no claim that just ended for a lost one

    def __enter__(self) -> "Holding":
        release_of_dead(self._ledger)
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._heart.join()
        self._ledger.release_claims(self.worker)

    def images(
        self, job: Job, expect: Callable[[Sequence[str]], None] = lambda _: None, ahead: int = 0
    ) -> Iterator[str]:
        """The images of a job that this process is to work on, each claimed before it comes.

        As many are claimed at once as this process works on in two seconds, so that quick work does not wait for the
        ledger. Some wait `ahead`, and `expect` is told of each, so that they can be prepared. While others hold all
        that is left, this waits: what they lose comes here. It ends when the job is done, the process is stopped, or
        nothing can be claimed but what is passed over.
        """
        for group in self.groups(job, expect, ahead, 1):
            yield from group

    def groups(
        self, job: Job, expect: Callable[[Sequence[str]], None] = lambda _: None, ahead: int = 0, most: int = 1
    ) -> Iterator[list[str]]:
        """`images` in groups that are worked on together: up to `most` where the work is quick, else single ones.

        Of quick work another group waits ahead.
        """
        claimed, waiting, search, pace = deque[str](), deque[str](), _Search(), _Pace()
        while not self._stopped():
            began = time.monotonic()
            together = min(most, pace.images())
            wanted = ahead + 2 * together - 1
            if not claimed and len(waiting) < wanted:
                claimed.extend(self._claim(job, pace.images(), search))
                if search.goes_on and not (claimed or waiting):
                    continue
            if claimed and len(waiting) < wanted:
                if self._still_has(job, claimed[0]):
                    waiting.append(claimed[0])
                    expect([claimed[0]])
                claimed.popleft()
                if len(waiting) < wanted:
                    continue
            if waiting:
                group = [waiting.popleft() for _ in range(min(together, len(waiting)))]
                yield group
                pace.note((time.monotonic() - began) / len(group))
            elif self._has_in_hand(job):  # what is scored and not written yet
                self._wait_until_written(job)
            elif search.in_vain or not self._ledger.is_left(job):
                return
            else:
                self._ended.wait(max(LOOK_AGAIN_SECONDS, 10 * (time.monotonic() - began)))

    def _claim(self, job: Job, limit: int, search: "_Search") -> list[str]:
        """Claim the next images; what is passed over is given back."""
        new = self._ledger.claim_images(job, self.worker, self._lease_seconds, limit, search.after)
        wanted = [image_id for image_id in new if image_id not in self._passed_over]
        if len(wanted) < len(new):
            self._ledger.release_claims(self.worker, set(new) - set(wanted))
        with self._lock:
            self._held |= {self.claim_for(job, image_id) for image_id in wanted}
        search.note(new, wanted)
        return wanted

    def _wait_until_written(self, job: Job) -> None:
        while self._has_in_hand(job) and not self._stopped():  # which may ask the ledger: not under the lock
            with self._lock:
                if self._has_in_hand(job):
                    self.write_now()
                    self._lock.wait(WRITTEN_SECONDS)

    def _still_has(self, job: Job, image_id: str) -> bool:
        with self._lock:
            return self.claim_for(job, image_id) in self._held

    def _has_in_hand(self, job: Job) -> bool:
        with self._lock:
            return any((claim.kind, claim.model_version) == (job.kind, job.model_version) for claim in self._held)

    def claim_for(self, job: Job, image_id: str) -> Claim:
        """The claim of this process for an image."""
        return Claim(job.kind, job.model_version, image_id, self.worker)

    def record(self, model_version: int, images: Sequence[ImageScores], seed: int) -> list[str]:
        """Write the scores of claimed images, except of those that are lost, which it returns."""
        with self._writing:
            lost = self._ledger.record_scores_of_images(model_version, images, seed, worker=self.worker)
            self._forget(*(Claim("score", model_version, image.image_id, self.worker) for image in images))
        for image_id in lost:
            logger.warning("%s was lost to another worker while it was scored: nothing of it is written", image_id)
        self.recorded += len(images) - len(lost)
        return lost

    def drop(self, job: Job, image_id: str) -> None:
        """Give an image back without a result."""
        with self._writing:
            self._ledger.release_claims(self.worker, [image_id])
            self._forget(self.claim_for(job, image_id))

    @contextmanager
    def whole(self, kind: WorkKind, model_version: int = 0, *, wait: bool = False) -> Iterator[Claim | None]:
        """The claim of a whole job during the block; None if another process has it.

        With `wait`, first wait until no other process has it; None then means that this process was stopped.
        Blocks of one `Holding` do not overlap: the end of one gives back all whole jobs that it holds.
        """
        claim = Claim(kind, model_version, WHOLE_JOB, self.worker)
        mine, told = False, False
        while not (mine or self._stopped()):
            mine = self._ledger.claim_job(kind, self.worker, self._lease_seconds, model_version)
            if mine or not wait:
                break
            if not told:
                logger.info("another process does this already (%s): waiting until it ends", kind)
            told = True
            self._ended.wait(LOOK_AGAIN_SECONDS)
        if not mine:
            yield None
            return
        with self._lock:
            self._held.add(claim)
        try:
            yield claim
        finally:
            with self._writing:
                self._ledger.release_claims(self.worker, [WHOLE_JOB])
                self._forget(claim)

    def _forget(self, *claims: Claim) -> None:
        with self._lock:
            self._held.difference_update(claims)
            self._lock.notify_all()

    def _beat(self) -> None:
        while not self._ended.wait(self._lease_seconds / BEATS_PER_LEASE):
            with self._writing:
                self._beat_once()

    def _beat_once(self) -> None:
        with self._lock:
            before = set(self._held)
        if not before:
            return
        try:
            lost = before - self._ledger.extend_claims(self.worker, self._lease_seconds)
        except ActiveLabelError as error:  # the next beat may reach the ledger again; if none does, all expires
            logger.warning("the ledger does not answer the heartbeat: %s", error)
            return
        with self._lock:
            lost &= self._held
            self._held -= lost
            self._lock.notify_all()
        for claim in lost:
            logger.warning("lost %s: no heartbeat in time", claim.item or f"the whole job ({claim.kind})")
