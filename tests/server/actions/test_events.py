"""Events for clients: each hears all that happens since it listens, and one look at the ledger serves all."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Any

import pytest

from activelabel.errors import TooManyError, UnavailableError
from activelabel.server.actions import events
from activelabel.server.actions.events import EventHub
from activelabel.server.actions.progress_answers import LabelCounts, ProjectProgress, ScoringProgress, TrainingProgress
from activelabel.store.case_states import CaseState

SOON_SECONDS = 60.0


class Project:
    """What a hub looks at."""

    def __init__(self) -> None:
        self.version: Hashable = 0
        self.model: int | None = None
        self.waits_for = "labels"
        self.states: dict[str, tuple[str, tuple[str, ...]]] = {}  # of the cases to which something has happened
        self.away = False
        self.computed = 0
        self.hub = EventHub(self.revision, self.progress, lambda: f"Model {self.model} is in use.", self.read_states)

    def revision(self) -> Hashable:
        if self.away:
            raise UnavailableError("the database does not answer")
        return self.version

    def progress(self) -> ProjectProgress:
        self.computed += 1
        training = TrainingProgress(
            running=False, model=None, stage=None, epoch=None, epochs=None, seconds_left=None, dice=None
        )
        return ProjectProgress(
            model_version=self.model, newest_model=self.model, training=training,
            scoring=ScoringProgress(running=False, unit="images", done=0, all=0, seconds_left=None),
            waits_for=self.waits_for, labels=LabelCounts(
                unit="volumes", training=0, training_wanted=2, validation=0, validation_wanted=1
            ),
            images=2, annotated=0, partly_annotated=0, unit="volumes", learning_curve=[], forecast=None,
            seconds_ahead=None, advice="too early",
        )  # fmt: skip

    def read_states(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        return dict(self.states)

    def lease(self, image: str, person: str) -> None:
        self.states[image] = (CaseState.LEASED.value, (person,))
        self.version = (self.version, image, person)

    def release(self, image: str) -> None:
        del self.states[image]
        self.version = (self.version, image)

    def publish(self, model: int) -> None:
        self.model, self.version = model, (self.version, model)


class Client:
    """A client that listens in the event loop of a test."""

    def __init__(self, hub: EventHub, after: str | None = None) -> None:
        self.lines = hub.stream(after)
        self.last_id: str | None = None

    async def hear(self) -> tuple[str, Any]:
        """Return the next event, and pass over everything else."""
        while True:
            line = await asyncio.wait_for(anext(self.lines), SOON_SECONDS)
            fields = dict(part.split(": ", 1) for part in line.strip().split("\n") if ": " in part and part[0] != ":")
            if "event" in fields:
                self.last_id = fields["id"]
                return fields["event"], json.loads(fields["data"])

    async def leave(self) -> None:
        await self.lines.aclose()  # type: ignore[attr-defined]


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def lookers() -> int:
    return sum(thread.name == "events" for thread in threading.enumerate())


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(events, "LOOK_SECONDS", 0.02)
    made = Project()
    yield made
    made.hub.close()
    deadline = time.monotonic() + SOON_SECONDS
    while lookers():  # the next test counts its own
        assert time.monotonic() < deadline, "the thread of the hub goes on"
        time.sleep(0.01)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 300))  # type: ignore[arg-type]


def test_a_client_hears_the_progress_first_and_then_what_changes(project: Project) -> None:
    async def test() -> None:
        client = Client(project.hub)
        kind, progress = await client.hear()
        assert (kind, progress["waits_for"], progress["model_version"]) == ("progress", "labels", None)
        project.lease("b", "ann")
        assert await client.hear() == ("case", {"image": "b", "state": "leased", "before": "unseen", "who": ["ann"]})
        project.release("b")
        assert await client.hear() == ("case", {"image": "b", "state": "unseen", "before": "leased", "who": []})
        project.publish(1)
        kind, model = await client.hear()
        assert (kind, model) == ("model", {"newest_model": 1, "in_use": 1, "standing": "Model 1 is in use."})
        kind, progress = await client.hear()
        assert (kind, progress["model_version"]) == ("progress", 1)
        await client.leave()

    run(test)


def test_many_clients_cost_one_look_and_no_thread_is_left_when_they_leave(project: Project) -> None:
    async def test() -> None:
        clients = [Client(project.hub) for _ in range(20)]
        for client in clients:
            await client.hear()
        assert lookers() == 1
        computed = project.computed
        project.lease("a", "bob")
        for client in clients:
            assert (await client.hear())[0] == "case"
        assert project.computed == computed + 1
        for client in clients:
            await client.leave()
        await until(lambda: lookers() == 0)
        looks = project.hub.looks
        await asyncio.sleep(0.1)
        assert project.hub.looks == looks

    run(test)


def test_nothing_is_computed_while_nothing_changes(project: Project) -> None:
    async def test() -> None:
        client = Client(project.hub)
        await client.hear()
        looks = project.hub.looks
        await until(lambda: project.hub.looks > looks + 3)
        assert project.computed == 1
        await client.leave()

    run(test)


def test_who_connects_again_hears_what_was_missed_once(project: Project) -> None:
    async def test() -> None:
        other, client = Client(project.hub), Client(project.hub)
        await other.hear()
        await client.hear()
        project.lease("a", "ann")
        await client.hear()
        await client.leave()
        project.lease("b", "bob")
        while (await other.hear())[1].get("image") != "b":
            pass
        again = Client(project.hub, client.last_id)
        assert (await again.hear())[1]["image"] == "b"
        assert (await again.hear())[0] == "progress"
        await again.leave()
        await other.leave()

    run(test)


def test_what_happened_while_nobody_listened_is_heard_by_who_connects_again(project: Project) -> None:
    async def test() -> None:
        client = Client(project.hub)
        await client.hear()
        await client.leave()
        await until(lambda: lookers() == 0)
        project.lease("a", "bob")
        again = Client(project.hub, client.last_id)
        assert (await again.hear())[1]["image"] == "a"
        await again.leave()

    run(test)


@pytest.mark.parametrize("latest", ["0badcafe-7", "{server}-", "{server}-" + "9" * 5000])
def test_who_comes_from_another_server_hears_that_events_were_missed(project: Project, latest: str) -> None:
    """So does a client whose last event has no number, or one that no server gives."""

    async def test() -> None:
        client = Client(project.hub, latest.format(server=project.hub._server))
        assert await client.hear() == ("missed", {})
        assert (await client.hear())[0] == "progress"
        await client.leave()

    run(test)


def test_a_database_that_is_away_for_a_while_ends_no_stream(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        client = Client(project.hub)
        await client.hear()
        project.away = True
        looks = project.hub.looks
        await until(lambda: project.hub.looks > looks + 3)
        project.away = False
        project.lease("a", "ann")
        assert (await client.hear())[1]["image"] == "a"
        await client.leave()

    run(test)
    assert [record.message for record in caplog.records] == [
        "clients are not told what happens: the database does not answer"
    ]


def test_a_silent_stream_is_kept_alive(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.05)

    async def test() -> None:
        client = Client(project.hub)
        await client.hear()
        assert await anext(client.lines) == ": keep-alive\n\n"
        await client.leave()

    run(test)


def test_a_stream_ends_with_the_server_and_after_its_longest_time(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        client = Client(project.hub)
        await client.hear()
        threading.Timer(0.05, project.hub.close).start()
        assert [line async for line in client.lines if not line.startswith(":")] == []

    run(test)
    other = Project()
    monkeypatch.setattr(events, "LONGEST_SECONDS", 0.2)

    async def until_its_end() -> None:
        lines = [line async for line in other.hub.stream()]
        assert lines[0] == "retry: 3000\n\n"
        await until(lambda: lookers() == 0)

    run(until_its_end)


def test_a_client_that_does_not_read_is_dropped_and_holds_nothing_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEPT_EVENTS", 4)

    async def test() -> None:
        slow = project.hub.stream()
        assert await anext(slow) == "retry: 3000\n\n"
        reads = Client(project.hub)
        await reads.hear()
        for number in range(8):
            project.lease("a", f"person {number}")
            await reads.hear()
        assert len([line async for line in slow]) <= 5
        await reads.leave()

    run(test)


def test_one_client_too_many_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_LISTENERS", 1)

    async def test() -> None:
        client = Client(project.hub)
        project.hub.check_room()
        await client.hear()
        with pytest.raises(TooManyError, match="1 clients listen already: ask GET /activelabel/progress instead"):
            project.hub.check_room()
        await client.leave()

    run(test)


def test_one_person_leaves_room_for_others(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_OF_ONE", 1, raising=False)

    async def test() -> None:
        stream = project.hub.stream(None, "ann")
        await stream.__anext__()
        with pytest.raises(TooManyError, match="ann has 1 clients that listen already"):
            project.hub.check_room("ann")
        project.hub.check_room("bob")
        project.hub.check_room("")
        await stream.aclose()
        project.hub.check_room("ann")

    run(test)
