"""A worker: looks in the ledger for work that is due, does it with what it claims, and keeps nothing itself.

Workers can be started and killed at any time: what a killed worker held comes back to the others once it expires.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from activelabel.errors import InvalidInputError, NotFoundError, NotReadyError, UnavailableError
from activelabel.loop.due import Work, read_situation, work_due
from activelabel.loop.holding import LEASE_SECONDS, Holding
from activelabel.loop.passing_over import PassedOverError, PassingOver, files_to_read
from activelabel.loop.proxy_scoring import ProxyScoring
from activelabel.loop.scoring import VolumeScoring, scored_measure
from activelabel.loop.training.proxy import ProxyTraining
from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.names import ScoreKind
from activelabel.prediction.prepared.ahead import Ahead
from activelabel.project.images import DescribedImages
from activelabel.project.models.proxy import current_proxy, rank_kind
from activelabel.project.project import Project
from activelabel.project.readability import prepare_case
from activelabel.project.setting_aside import set_aside
from activelabel.project.slices.slicing import fixed_axis
from activelabel.store.records.models import ModelVersion
from activelabel.store.work.claims import Job
from activelabel.work.opening import require_version_of_server
from activelabel.work.tries import ImagesLeftError, Tries

logger = logging.getLogger(__name__)

Kind = Literal["score", "prepare", "train"]
KINDS: tuple[Kind, ...] = ("score", "prepare", "train")
LOOK_SECONDS = 2.0
"""The pause before a worker that found nothing to do looks again."""
RETRY_SECONDS = 10.0
"""The pause after the ledger, the PACS or the server did not answer."""


@dataclass
class Worker:
    """A worker of one kind of work.

    Attributes:
        project: the project, opened with the worker's own device.
        images: where it reads images.
        kind: what it does.
        stopped: whether it was told to stop: it finishes the image in hand and claims nothing more.
        lease_seconds: how long a claim holds without a heartbeat.
        until_done: end when nothing is left, instead of waiting for more.
        fetch_model: makes the file of a model available; by default it is there.
    """

    project: Project
    images: DescribedImages
    kind: Kind
    stopped: Callable[[], bool] = lambda: False
    lease_seconds: float = LEASE_SECONDS
    until_done: bool = False
    fetch_model: Callable[[ModelVersion], None] = lambda _: None
    done: int = field(default=0, init=False)
    _passing: PassingOver = field(init=False)
    _tries: Tries = field(init=False)

    def __post_init__(self) -> None:
        self._passing = PassingOver(self.images)
        self._tries = Tries(self.project.ledger, self.images, self._passing)

    def run(self) -> int:
        """Work until stopped, or with `until_done` until nothing is left; return how many pieces were done.

        While the ledger, the PACS or the server does not answer, it waits and tries again. An image that cannot be had
        is passed over until the others are done.

        Raises:
            ActiveLabelError: what it needs is wrong or missing, such as an image or the model's file, or the server is
                of another version by now.
            ImagesLeftError: with `until_done`, all that is left are images that this worker has tried in vain.
        """
        turns: Mapping[Kind, Callable[[], bool]] = {
            "score": self._score, "prepare": self._prepare, "train": self._train,
        }  # fmt: skip
        idle = False
        while not self.stopped():
            self._passing.begin()
            try:
                require_version_of_server(self.project.ledger)
                worked = turns[self.kind]()
                waits = not self.stopped() and self._looks_back()
            except (UnavailableError, NotReadyError, NotFoundError) as error:
                if self.stopped():
                    logger.warning("%s; what was scored is kept, and what is in hand goes to others", error)
                    break
                if isinstance(error, NotFoundError) and (self._tries.gives_up or not self.done):
                    raise  # most likely it is not the server's folder; later an image may be removed at any time
                logger.warning("%s; it is tried again in %d s", error, RETRY_SECONDS)
                self._pause(RETRY_SECONDS)
                continue
            if waits:
                self._pause(RETRY_SECONDS)
            elif not worked:
                if self.until_done:
                    break
                if not idle:
                    logger.info("nothing to %s: waiting", self.kind)
                self._pause(LOOK_SECONDS)
            idle = not worked
        return self.done

    def _looks_back(self) -> bool:
        """After a turn, whether images were passed over, which are to be tried after a pause.

        Raises:
            NotFoundError: as `Tries.after_turn`.
            ImagesLeftError: with `until_done`, nothing is left but images that were tried in vain.
        """
        passed_over = self._tries.after_turn(any_done=bool(self.done), until_done=self.until_done)
        if passed_over:
            logger.warning("images are passed over; they are tried again in %d s", RETRY_SECONDS)
        in_vain = self._tries.left_to_others
        left = left_to_do(self.project, self.kind) if in_vain else 0
        if self.until_done and not passed_over and 0 < left <= len(in_vain):
            ids = images_left(self.project, self.kind)
            self._tries.forget(in_vain.keys() - ids)
            if ids and ids == in_vain.keys():
                names, why = ", ".join(sorted(ids)[:3]), in_vain[min(ids)].error
                text = f"{self.done} done, {len(ids)} left that this worker could not get ({names}): {why}"
                raise ImagesLeftError(text, self.done, len(ids))
        return passed_over or (left > 0 and not self._passing.read)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stopped():
            time.sleep(min(0.2, seconds))

    def _holding(self, also_stopped: Callable[[], bool] = lambda: False) -> Holding:
        return Holding(
            self.project.ledger,
            self.lease_seconds,
            lambda: self.stopped() or also_stopped(),
            passed_over=self._passing.failed,
            told_to_end=self.stopped,
        )

    def _score(self) -> bool:
        """Score with the model in use, or the proxy model as long as that asks; whether there was anything to score."""
        measure = scored_measure(self.project)
        situation = read_situation(self.project, measure)
        if situation.unscored_by_proxy and self.project.recipe.proxy is not None:
            proxy = self.project.ledger.model_in_use("proxy")
            assert proxy is not None  # it has not scored all
            self._run(ProxyScoring(self.project, self.project.recipe.proxy), proxy)
        elif situation.unscored:
            self._run(VolumeScoring(self.project, measure), self.project.current_model())
        else:
            return False
        return True

    def _run(self, scoring: ProxyScoring | VolumeScoring, model: ModelVersion) -> None:
        """Score with a model, until all is scored or a model of the task is in use that this one is not."""
        self.fetch_model(model)

        def replaced() -> bool:
            """Whether another model is in use, so that these scores would rank nothing."""
            use = self.project.ledger.model_use()
            return use is None or use.model_version != model.version

        holding = self._holding() if model.kind == "proxy" else self._holding(replaced)
        try:
            scoring.run(self._passing, holding)
        finally:
            self.done += holding.recorded

    def _prepare(self) -> bool:
        """Read, check and prepare images that nobody has read, and keep them prepared; whether there were any."""
        ledger, job, before = self.project.ledger, Job("prepare"), self.done
        kept = self.project.prepared_images()
        kept.tidy()

        def prepared(image_id: str) -> bool:
            """Read and prepare an image; whether this worker could get at it."""
            try:
                with files_to_read(image_id, self._passing) as files:
                    image = prepare_case(image_id, files, ledger, self.project.preprocessing, kept)
                fixed_axis(ledger, image_id, image.original, self.project.slice_plane)
            except PassedOverError:
                return False
            except InvalidInputError as error:
                set_aside(image_id, error, ledger, self.images)
            return True

        with self._holding() as held, Ahead(prepared, 0, told_to_end=held.told_to_end) as in_a_thread:
            for image_id in held.images(job):
                began = time.monotonic()
                was_read = in_a_thread.take(image_id)
                held.drop(job, image_id)
                if was_read:
                    self.done += 1
                    logger.info("prepared %s in %.1f s", image_id, time.monotonic() - began)
        return self.done > before

    def _train(self) -> bool:
        """Train if a training is due and nobody trains; whether it did."""
        measure = scored_measure(self.project)

        def due() -> Work | None:
            return work_due(read_situation(self.project, measure), self.project.thresholds)

        if due() not in (Work.TRAIN, Work.TRAIN_PROXY):
            return False
        with self._holding() as held, held.whole("train") as claim:
            work = due()  # another worker may have ended one since
            if claim is None or work not in (Work.TRAIN, Work.TRAIN_PROXY):
                return False
            logger.info("%s is due: it begins", work.value)
            if work is Work.TRAIN:
                SegmentationTraining(self.project).run({}, self.images, claim)
            else:
                assert self.project.recipe.proxy is not None  # or no proxy training would be due
                ProxyTraining(self.project, self.project.recipe.proxy).run({}, self.images, claim)
            self.done += 1
            return True


def left_to_do(project: Project, kind: Kind) -> int:
    """How many pieces of a kind of work are left, claimed or not."""
    if kind == "prepare":
        return project.ledger.count_to_prepare()
    situation = read_situation(project, scored_measure(project))
    if kind == "score":
        return situation.unscored_by_proxy or situation.unscored
    return int(work_due(situation, project.thresholds) in (Work.TRAIN, Work.TRAIN_PROXY))


def images_left(project: Project, kind: Kind) -> set[str]:
    """The images that are left to prepare, or else to score."""
    if kind == "prepare":
        return set(project.ledger.to_prepare())
    proxy, measure = project.recipe.proxy, scored_measure(project)
    situation = read_situation(project, measure)
    if situation.unscored_by_proxy and proxy is not None:
        return set(project.ledger.unscored(current_proxy(project).version, rank_kind(proxy)))
    if situation.unscored:
        return set(project.ledger.unscored(project.current_model().version, ScoreKind(measure)))
    return set()


def check_kind(name: str) -> Kind:
    """The kind of work of this name.

    Raises:
        InvalidInputError: there is no such kind.
    """
    for kind in KINDS:
        if kind == name:
            return kind
    raise InvalidInputError(f"--kind {name}: use one of {', '.join(KINDS)}")
