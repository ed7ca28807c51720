"""Workers on a Ray cluster: one for each few pieces, none that waits for a node in vain, and errors in one line."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from training_study import TINY, Study

from activelabel.errors import InvalidInputError, UnavailableError
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.project.models.publishing import publish_model
from activelabel.project.place import write_place
from activelabel.work.launching import Fleet, RayWorkers, keep_fleet
from activelabel.work.ray_cluster import check_answer
from activelabel.work.tries import ImagesLeftError

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
Stopped = Callable[[], bool]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of one node with room for one worker; nodes can be added and removed."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_worker_niceness", "0")  # Ray's processes give way to all others: also to other tests
        environment.setenv("RAY_worker_register_timeout_seconds", "600")  # and are killed after 60 s of starting
        made = started_cluster()
        yield made
        made.shutdown()


def started_cluster() -> Any:
    """A cluster of one node. Ray waits 30 s for its own processes, which a busy machine may miss once or twice."""
    from ray.cluster_utils import Cluster

    for attempt in range(3):
        made = Cluster()
        try:
            made.add_node(num_cpus=1, include_dashboard=False)
        except (Exception, SystemExit):  # Ray raises bare ones
            made.shutdown()
            if attempt == 2:
                raise
        else:
            return made


def until(condition: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def test_workers_without_room_are_taken_back_when_there_is_less_to_do_and_at_the_end(cluster: Any) -> None:
    def work(stopped: Stopped) -> int:
        """Do one piece, and wait."""
        while not stopped():
            time.sleep(0.05)
        return 1

    workers = RayWorkers(Fleet(3, address=cluster.address), work)
    try:
        workers.scale(5)
        assert len(workers) == 3  # the most
        until(lambda: workers.waiting() == 2)
        workers.scale(2)
        assert (len(workers), workers.waiting()) == (2, 1)
    finally:
        began = time.monotonic()
        workers.stop()
    assert time.monotonic() - began < 300  # not until a node comes
    assert (len(workers), workers.done) == (0, 1)


def test_a_worker_of_a_lost_node_is_replaced(cluster: Any) -> None:
    def work(stopped: Stopped) -> int:
        """Do one piece, and wait."""
        while not stopped():
            time.sleep(0.05)
        return 1

    node = cluster.add_node(num_cpus=1)
    workers = RayWorkers(Fleet(None, address=cluster.address), work)
    try:
        assert workers.most == 2  # a worker for each core of the cluster
        workers.scale(9)
        until(lambda: workers.waiting() == 0)
        cluster.remove_node(node)
        until(lambda: workers.scale(9) is None and workers.waiting() == 1)
        cluster.add_node(num_cpus=1)
        until(lambda: workers.waiting() == 0)
    finally:
        workers.stop()
    assert workers.done == 2


def test_workers_that_end_with_an_error_are_not_started_for_ever(cluster: Any) -> None:
    def fail(stopped: Stopped) -> int:
        """Fail as on a machine that sees no images."""
        raise InvalidInputError("here is no such folder: name theirs with --studies")

    fleet = Fleet(2, address=cluster.address, look_seconds=0.2)
    with pytest.raises(InvalidInputError, match=r"^here is no such folder: name theirs with --studies$"):
        keep_fleet(RayWorkers(fleet, fail), fleet, lambda: 100, lambda: False, until_done=True)


def test_workers_that_end_because_the_ledger_does_not_answer_are_replaced(cluster: Any, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def wait_or_fail(stopped: Stopped) -> int:
        """Fail at the first two starts, as while a database is started again."""
        with begun.open("a", encoding="utf-8") as file:
            file.write("x")
        if begun.stat().st_size < 3:
            raise UnavailableError("the ledger's database does not answer")
        while not stopped():
            time.sleep(0.05)
        return 1

    workers = RayWorkers(Fleet(1, address=cluster.address), wait_or_fail)
    try:
        until(lambda: workers.scale(1) is None and begun.exists() and begun.stat().st_size >= 3)
    finally:
        workers.stop()
    assert workers.done == 1


def test_images_that_a_worker_could_not_get_cost_a_fleet_no_worker(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(stopped: Stopped) -> int:
        """Do two, and give up the one that is left."""
        raise ImagesLeftError("2 done, 1 left that this worker could not get", 2, 1)

    workers = RayWorkers(Fleet(1, address=cluster.address), give_up)
    try:
        until(lambda: workers.scale(1) is None and workers.given_up is not None)
        workers.scale(1)
        assert (len(workers), workers.done) == (0, 2)
        workers.scale(2)
        assert len(workers) == 1  # for another image
        until(lambda: workers.scale(1) is None and not len(workers))
        workers.scale(0)
        workers.scale(1)
        assert len(workers) == 1  # for another image: somebody has got the first one
        until(lambda: workers.scale(1) is None and not len(workers))
        monkeypatch.setattr("activelabel.work.launching.RARELY_SECONDS", 0.0)
        workers.scale(1)
        assert (len(workers), workers.done) == (1, 6)
    finally:
        until(lambda: workers.waiting() == 0)  # one without a process would be taken back
        workers.stop()
    assert workers.done == 8


@pytest.mark.parametrize("until_done", [True, False])
def test_a_fleet_ends_because_of_images_that_it_could_not_get_only_if_it_is_to_end_at_all(
    cluster: Any, until_done: bool
) -> None:
    def give_up(stopped: Stopped) -> int:
        """Do two, and give up the one that is left."""
        raise ImagesLeftError("2 done, 1 left that this worker could not get", 2, 1)

    fleet = Fleet(1, address=cluster.address, look_seconds=0.1)
    workers, looks_after = RayWorkers(fleet, give_up), [0]

    def stopped() -> bool:
        looks_after[0] += workers.given_up is not None
        return looks_after[0] > 20

    if until_done:
        with pytest.raises(ImagesLeftError, match="2 done, 1 left"):
            keep_fleet(workers, fleet, lambda: 1, lambda: False, until_done=True)
    else:
        keep_fleet(workers, fleet, lambda: 1, stopped, until_done=False)
    assert (workers.done, len(workers)) == (2, 0)


def test_the_cluster_is_left_although_several_workers_end_with_a_defect(cluster: Any) -> None:
    def fail(stopped: Stopped) -> int:
        """End as a defect of ours."""
        raise ZeroDivisionError

    workers = RayWorkers(Fleet(1, address=cluster.address), fail)
    workers.scale(1)
    until(lambda: workers.waiting() == 0)
    with pytest.raises(ZeroDivisionError):
        workers.stop()
    assert not ray.is_initialized()


def test_an_address_of_ipv6_is_asked_without_its_brackets() -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listening:
        check_answer(f"[::1]:{listening.getsockname()[1]}")


def test_the_cluster_of_this_machine_is_found_without_an_address(cluster: Any) -> None:
    def done(stopped: Stopped) -> int:
        """Nothing."""
        return 1

    workers = RayWorkers(Fleet(1, address="auto"), done)
    workers.stop()
    assert not ray.is_initialized()


def test_workers_stay_while_the_ledger_does_not_answer(cluster: Any) -> None:
    looks: list[int] = []

    def left() -> int:
        """Nothing that can be known the second time."""
        looks.append(len(workers))
        if len(looks) == 2:
            raise UnavailableError("the ledger's database does not answer")
        return 0 if len(looks) == 4 else 4

    fleet = Fleet(1, address=cluster.address, look_seconds=0.2)

    def wait(stopped: Stopped) -> int:
        """Wait."""
        while not stopped():
            time.sleep(0.05)
        return 1

    workers = RayWorkers(fleet, wait)
    keep_fleet(workers, fleet, left, lambda: False, until_done=True)
    assert looks == [0, 1, 1, 1]


def test_a_fleet_scores_each_image_of_a_project_once(study: Study) -> None:
    """The command as a user gives it, with the cluster that it starts on this machine."""
    project, left = study.project, study.ids("training")
    torch.manual_seed(0)
    publish_model(project, build_network(project.recipe.network, classes=2).state_dict(), {}, [])
    write_place(project, {"recipe": str(TINY), "labels": "ball", "precision": "float32"})
    command = [sys.executable, "-m", "activelabel", "work", "--project", str(project.folder), "--device", "cpu"]
    environment = os.environ | {"RAY_worker_niceness": "0", "RAY_worker_register_timeout_seconds": "600"}
    environment["RAY_ADDRESS"] = "127.0.0.1:1"  # of another cluster
    ended = subprocess.run(
        [*command, "--ray", "--most", "2", "--until-done"],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert (ended.returncode, ended.stdout.splitlines()[-1:]) == (0, [f"{len(left)} done"]), ended.stderr
    assert project.ledger.scored_images(1, ScoreKind("variance")) == set(left)
    assert (project.ledger.claims(), project.ledger.images_set_aside()) == ([], [])


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("127.0.0.1:1", "nothing answers there"),
        ("ray://127.0.0.1:1", "nothing answers there"),
        ("head", "expected auto, HOST:6379"),
        ("head:²", "expected auto, HOST:6379"),
        (f"{'a' * 64}.org:6379", "nothing answers there"),
    ],
)
def test_a_wrong_address_is_one_line_at_once(address: str, line: str) -> None:
    with pytest.raises(InvalidInputError, match=f"--ray-address {address}: {line}"):
        RayWorkers(Fleet(1, address=address), lambda stopped: 0)


def test_the_room_of_a_cluster_is_counted_in_cores_or_gpus() -> None:
    assert Fleet(None).room({"CPU": 12.0}) == 12
    assert Fleet(None, gpus=1).room({"CPU": 12.0, "GPU": 4.0}) == 4
    assert Fleet(None, gpus=1).room({"CPU": 12.0}) == 1  # a node with a GPU may be added
