"""The due work, by hand; the autopilot starts it once, and again after a failure, but not for ever."""

import threading
from dataclasses import replace

import pytest

from activelabel.errors import UnavailableError
from activelabel.loop.autopilot import MAX_ATTEMPTS, PAUSE_SECONDS, Autopilot
from activelabel.loop.due import Situation, Work, work_due
from activelabel.project.in_force.thresholds import Thresholds, thresholds
from activelabel.recipes import QuerySettings

PAPER = QuerySettings(strategy="variance", start=11, size=5)
NOTHING = Situation(model_version=None, new_annotations=0, new_training_annotations=0, unscored=0)


@pytest.mark.parametrize(
    ("start", "retrain_after", "expected"),
    [
        (None, None, Thresholds(start=11, retrain_after=5)),
        (None, 2, Thresholds(start=2, retrain_after=2)),  # holds for the first training too
        (None, 50, Thresholds(start=50, retrain_after=50)),
        (3, None, Thresholds(start=3, retrain_after=5)),  # a small start set, and rounds of the usual size
        (4, 2, Thresholds(start=4, retrain_after=2)),
        (2, 50, Thresholds(start=2, retrain_after=50)),
    ],
)
def test_settings_win_over_the_recipe(start: int | None, retrain_after: int | None, expected: Thresholds) -> None:
    assert thresholds(PAPER, start, retrain_after) == expected


def trained_after(labels: int, limits: Thresholds) -> list[int]:
    """Return the numbers of training labels that start a training if they come singly after three for validation."""
    trained: list[int] = []
    for count in range(1, labels + 1):
        version = len(trained) or None
        new = count - (trained[-1] if trained else 0)
        if work_due(Situation(version, new + 3, new, 0), limits) is Work.TRAIN:
            trained.append(count)
    return trained


@pytest.mark.parametrize(
    ("start", "retrain_after", "query_size", "expected"),
    [
        (None, None, 5, [11, 16, 21, 26]),
        (None, None, 3, [11, 14, 17, 20, 23, 26, 29]),
        (2, None, 5, [2, 7, 12, 17, 22, 27]),
        (None, 8, 5, [8, 16, 24]),
        (2, 8, 5, [2, 10, 18, 26]),
        (2, 50, 5, [2]),
        (20, 8, 5, [20, 28]),
        (20, 8, 1, [20, 28]),
    ],
)
def test_the_table_of_start_retrain_after_and_query_size(
    start: int | None, retrain_after: int | None, query_size: int, expected: list[int]
) -> None:
    query = PAPER.model_copy(update={"size": query_size})
    assert trained_after(30, thresholds(query, start, retrain_after)) == expected


@pytest.mark.parametrize(
    ("start", "retrain_after", "expected"),
    [
        (None, None, Thresholds(start=5, retrain_after=200)),
        (2, 30, Thresholds(start=2, retrain_after=30)),
        (2, None, Thresholds(start=2, retrain_after=200)),
        (None, 30, Thresholds(start=5, retrain_after=30)),  # 30 slices do not set the number of volumes
    ],
)
def test_volumes_to_start_with_and_slices_afterwards_are_counted_apart(
    start: int | None, retrain_after: int | None, expected: Thresholds
) -> None:
    query = QuerySettings(strategy="uncertainty_slices", start=5, size=200)
    assert thresholds(query, start, retrain_after) == expected
    assert work_due(Situation(None, 7, 5, 0), thresholds(query, None, None)) is Work.TRAIN
    assert work_due(Situation(1, 199, 199, 0), thresholds(query, None, None)) is None


@pytest.mark.parametrize(
    ("situation", "due"),
    [
        (NOTHING, None),
        (Situation(None, 10, 10, 0), None),  # one label fewer than the start set
        (Situation(None, 13, 11, 0), Work.TRAIN),
        (Situation(None, 30, 10, 0), None),  # enough labels, but too few of training cases
        (Situation(None, 11, 11, 0), Work.TRAIN),
        (Situation(1, 0, 0, 40), Work.SCORE),
        (Situation(1, 4, 4, 40), Work.SCORE),
        (Situation(1, 5, 5, 40), Work.TRAIN),  # the scores would be stale
        (Situation(1, 30, 4, 0), None),  # labels of validation cases end no round
        (Situation(2, 0, 0, 0), None),
    ],
)
def test_the_work_that_is_due(situation: Situation, due: Work | None) -> None:
    assert work_due(situation, Thresholds(start=11, retrain_after=5)) is due


WARM = replace(NOTHING, proxy_missing=True)


@pytest.mark.parametrize(
    ("situation", "due"),
    [
        (WARM, Work.TRAIN_PROXY),
        (replace(WARM, new_annotations=3, new_training_annotations=3), Work.TRAIN_PROXY),  # labels came meanwhile
        (replace(WARM, new_annotations=13, new_training_annotations=11), Work.TRAIN),  # too late for a warm start
        (replace(NOTHING, unscored_by_proxy=30), Work.SCORE_PROXY),
        (replace(NOTHING, unscored_by_proxy=30, new_annotations=13, new_training_annotations=11), Work.TRAIN),
        (Situation(1, 0, 0, 40, proxy_missing=True), Work.SCORE),  # with a model of the task no proxy model is needed
        (Situation(1, 0, 0, 40, unscored_by_proxy=7), Work.SCORE_PROXY),  # the strategy of all rounds
        (Situation(1, 5, 5, 40, unscored_by_proxy=7), Work.TRAIN),
        (replace(NOTHING, nothing_left=True), None),  # no image at all
        (replace(NOTHING, new_annotations=4, new_training_annotations=3, nothing_left=True), Work.TRAIN),
        (replace(WARM, new_annotations=4, new_training_annotations=3, nothing_left=True), Work.TRAIN),
        (Situation(1, 4, 4, 0, nothing_left=True), None),  # corrections alone
        (Situation(1, 4, 4, 0, nothing_left=True, unlearnt_slices=1), Work.TRAIN),  # the last cases of the study
        (Situation(1, 0, 0, 0, nothing_left=True), None),
    ],
)
def test_the_work_that_is_due_with_a_proxy_model(situation: Situation, due: Work | None) -> None:
    assert work_due(situation, Thresholds(start=11, retrain_after=5)) is due


def test_from_an_empty_ledger_to_the_first_model_each_step_is_started_once() -> None:
    tasks = FakeTasks()
    situations = iter(
        [
            WARM,
            replace(NOTHING, unscored_by_proxy=30),
            NOTHING,
            Situation(None, 11, 11, 0),
            Situation(2, 0, 0, 19),
            Situation(2, 0, 0, 0),
        ]
    )
    autopilot = Autopilot(lambda: next(situations), tasks, Thresholds(11, 5))
    started = []
    for _ in range(6):
        started.append(autopilot.look())
        tasks.running = False
    assert started == [Work.TRAIN_PROXY, Work.SCORE_PROXY, None, Work.TRAIN, Work.SCORE, None]


class FakeTasks:
    """Background tasks that only record their starts."""

    def __init__(self) -> None:
        self.started: list[Work] = []
        self.running = False

    def busy(self) -> bool:
        return self.running

    def start(self, work: Work) -> None:
        self.started.append(work)
        self.running = True


def test_nothing_is_started_beside_a_running_task() -> None:
    tasks = FakeTasks()
    autopilot = Autopilot(lambda: Situation(None, 11, 11, 0), tasks, Thresholds(11, 5))
    assert [autopilot.look() for _ in range(3)] == [Work.TRAIN, None, None]
    assert tasks.started == [Work.TRAIN]


def test_a_failing_task_is_tried_again_but_not_for_ever_until_something_is_new() -> None:
    tasks = FakeTasks()
    situation = Situation(None, 11, 11, 0)
    autopilot = Autopilot(lambda: situation, tasks, Thresholds(11, 5))
    for _ in range(10):
        autopilot.look()
        tasks.running = False  # the task ended without a change of the ledger
    assert tasks.started == [Work.TRAIN] * MAX_ATTEMPTS
    situation = replace(situation, new_annotations=12, new_training_annotations=12)
    assert autopilot.look() is Work.TRAIN


def run_until_stopped(autopilot: Autopilot) -> None:
    """Let the autopilot look without a pause until the lookup stops it."""
    before = set(threading.enumerate())
    autopilot.start(interval_seconds=0.0)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)


@pytest.mark.parametrize("error", [UnavailableError("the ledger does not answer"), KeyError("a defect")])
def test_an_error_that_stops_the_autopilot_from_looking_is_logged_once_in_a_while(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = [0.0]

    def look_up() -> Situation:
        seconds[0] += 1
        if seconds[0] == PAUSE_SECONDS + 2:
            autopilot.stop()
        raise error

    autopilot = Autopilot(look_up, FakeTasks(), Thresholds(11, 5), clock=lambda: seconds[0])
    run_until_stopped(autopilot)
    logged = [record for record in caplog.records if "could not look for work" in record.getMessage()]
    assert len(logged) == 2, "at once, and again after the pause"
    assert all(bool(record.exc_info) == isinstance(error, KeyError) for record in logged)


def test_a_problem_that_comes_back_after_it_was_gone_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    away = UnavailableError("the ledger does not answer")
    answers: list[Situation | Exception] = [away, away, NOTHING, away]

    def look_up() -> Situation:
        answer = answers.pop(0)
        if not answers:
            autopilot.stop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    autopilot = Autopilot(look_up, FakeTasks(), Thresholds(11, 5))
    run_until_stopped(autopilot)
    assert caplog.text.count("could not look for work") == 2


def test_the_autopilot_tries_a_failed_task_again_after_a_rest() -> None:
    tasks, now = FakeTasks(), [0.0]
    situation = Situation(None, 11, 11, 0)
    autopilot = Autopilot(lambda: situation, tasks, Thresholds(11, 5), clock=lambda: now[0])

    def look_often() -> int:
        before = len(tasks.started)
        for _ in range(10):
            autopilot.look()
            tasks.running = False
        return len(tasks.started) - before

    assert look_often() == MAX_ATTEMPTS
    now[0] = PAUSE_SECONDS - 1
    assert look_often() == 0
    now[0] = PAUSE_SECONDS
    assert look_often() == MAX_ATTEMPTS


def test_training_then_scoring_then_rest() -> None:
    tasks = FakeTasks()
    situations = iter([Situation(None, 11, 11, 0), Situation(1, 0, 0, 30), Situation(1, 0, 0, 0)])
    autopilot = Autopilot(lambda: next(situations), tasks, Thresholds(11, 5))
    started = []
    for _ in range(3):
        started.append(autopilot.look())
        tasks.running = False
    assert started == [Work.TRAIN, Work.SCORE, None]
