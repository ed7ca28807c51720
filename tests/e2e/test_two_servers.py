"""Two servers on one project, whose ledger is in PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from running_server import RunningServer
from small_studies import TINY_RECIPE, boxes, write_image, write_nifti

pytestmark = pytest.mark.e2e


def test_two_servers_share_a_project_and_one_of_them_trains(
    make_server: Callable[..., RunningServer], new_postgresql: Callable[..., str], tmp_path: Path
) -> None:
    studies = tmp_path / "studies"
    studies.mkdir()
    for number in range(7):
        write_image(studies / f"case_{number}.nii.gz", number)
    label = write_nifti(tmp_path / "label.nii.gz", boxes(1, 2))
    environment = {"ACTIVELABEL_DATABASE_URL": new_postgresql()}
    conf = {"recipe": TINY_RECIPE, "labels": "ball,box", "device": "cpu", "finished_by": "saving"}
    first, second = (make_server(studies, environment, **conf).start() for _ in range(2))
    both = (first, second)

    asked = {
        server: server.next_sample(annotator=name)["id"] for server, name in zip(both, ("ann", "bob"), strict=True)
    }
    assert len(set(asked.values())) == 2  # a case that one has given is not given by the other
    for number in range(4):  # two that judge, and two to learn from
        name, server = ("ann", "bob")[number % 2], both[number % 2]
        server.save_label(server.next_sample(annotator=name)["id"], label, name)

    second.wait_for(lambda: second.progress()["latest_model"] == 1, "the model that one of them trains")
    for server in both:
        server.wait_for(lambda server=server: server.progress()["scored"] == 3, "the scores of all that is left")
        _, params = server.client.infer("segmentation", asked[first], {})
        assert params["model_version"] == 1
        assert server.info()["model"]["version"] == 1
    started = [server.log.read_text(encoding="utf-8").count("autopilot: training is due") for server in both]
    assert sorted(started) == [0, 1], started

    # A worker that knows only the database takes its share of what is to be scored anew, and the server the rest.
    with psycopg.connect(environment["ACTIVELABEL_DATABASE_URL"], autocommit=True) as database:
        database.execute("DELETE FROM scores")
        database.execute("DELETE FROM scored_counts")
    worker = [sys.executable, "-m", "activelabel", "work", "--kind", "score", "--device", "cpu", "--until-done"]
    ended = subprocess.run(
        worker, env={**os.environ, **environment}, capture_output=True, check=True, timeout=300, encoding="utf-8"
    )
    assert ended.stdout.endswith("done\n"), ended.stderr
    assert environment["ACTIVELABEL_DATABASE_URL"].split("@")[0].split(":")[-1] not in ended.stderr  # the password
    first.wait_for(lambda: first.progress()["scored"] == 3, "the scores anew")
    with psycopg.connect(environment["ACTIVELABEL_DATABASE_URL"], autocommit=True) as database:
        # A server gives back what it has claimed after it has written the score.
        first.wait_for(
            lambda: database.execute("SELECT count(*) FROM work_claims").fetchone() == (0,), "no claim to be left"
        )
