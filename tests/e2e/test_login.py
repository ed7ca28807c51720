"""Two readers on other machines: OHIF in a browser, Slicer's client and a script, by users and by a login provider."""

import datetime
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException
from ohif_page import OhifPage
from openid_provider import OpenIdProvider, Person
from ports import free_port
from running_server import RunningServer
from self_signed import certificate_for, outside_address

from activelabel.login.passwords import hash_password
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc

pytestmark = pytest.mark.e2e

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"
PASSWORD = "correct horse battery"
ANSWER_SECONDS = 60


@pytest.fixture
def patients(blobs: Callable[[int], Any], orthanc: Orthanc) -> Any:
    cases = blobs(4)
    for number, image in enumerate(sorted(cases.studies.iterdir())):
        orthanc.store(ct_series(image, image.name.split(".")[0], datetime.datetime(2026, 5, 6, 7, number)))
    return cases


@pytest.fixture
def make_clinic(
    make_server: Callable[..., RunningServer], orthanc: Orthanc, tmp_path: Path
) -> Callable[..., RunningServer]:
    def make(**environment: str) -> RunningServer:
        places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(tmp_path)}
        return make_server(
            orthanc.dicom_web, {**places, **environment}, recipe=TINY, labels="ball", autopilot="false",
            finished_by="saving", project_dir=tmp_path / "project",
        )  # fmt: skip

    return make


class Script(requests.Session):
    """A script that verifies the server's certificate."""

    def __init__(self, server: RunningServer, **headers: str) -> None:
        super().__init__()
        self.verify = str(server.certificate) if server.certificate else True
        self.headers.update(headers)
        self._address = server.address

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        # Given with each request, as requests would else take the bundle that the environment names.
        return self.request(method, self._address + path, timeout=ANSWER_SECONDS, verify=self.verify, **options)


def add_user(server: RunningServer, name: str, role: str) -> str:
    """Add a user on the command line, with the password on the standard input, and return the output."""
    places = ["--studies", str(server.studies), "--conf", f"project_dir={server.conf['project_dir']}"]
    command = [sys.executable, "-m", "activelabel", "user", "add", name, "--role", role, *places]
    return subprocess.run(command, input=f"{PASSWORD}\n", encoding="utf-8", check=True, capture_output=True).stdout


def slicer(server: RunningServer, name: str, password: str, called: str = "user-xyz") -> MONAILabelClient:
    """Make the host's client as Slicer's module does."""
    client = MONAILabelClient(server.address, client_id=called)
    assert client.auth_enabled()
    assert not client.auth_valid_token()
    client.update_auth(client.auth_token(name, password))
    assert client.auth_valid_token()
    return client


def download(server: RunningServer, image: str) -> int:
    """Download an image as Slicer does, without credentials, and return the status."""
    trusted = ssl.create_default_context(cafile=server.certificate) if server.certificate else None
    try:
        with urllib.request.urlopen(f"{server.address}/datastore/image?image={image}", context=trusted) as answer:
            assert len(answer.read()) > 1000
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def first_study(script: Script) -> str:
    return str(script.ask("GET", "/proxy/dicom/qido/studies?limit=1").json()[0]["0020000D"]["Value"][0])


def label_info(script: Script, image: str) -> dict[str, Any]:
    return dict(script.ask("GET", "/datastore/label/info", params={"label": image, "tag": "final"}).json())


def test_two_readers_and_a_script_who_are_users_over_tls(
    make_clinic: Callable[..., RunningServer], make_ohif: Callable[[str], OhifPage], patients: Any, tmp_path: Path
) -> None:
    server = make_clinic()
    server.listen_everywhere(outside_address(), *certificate_for(outside_address(), tmp_path))
    code, printed = server.start_in_vain()
    assert code == 2
    assert "nobody would ask who they are: add a user with `activelabel user add NAME" in printed
    assert "they are the first" in add_user(server, "mel", "manager")
    ledger = Ledger(sqlite_url(tmp_path / "project" / "ledger.sqlite"))
    for name in ("ann", "bob"):
        ledger.add_user(name, "annotator", hash_password(PASSWORD))
    server.start()
    script = Script(server)
    assert script.ask("GET", "/info/").status_code == 401
    script.auth = ("mel", PASSWORD)
    assert script.ask("GET", "/info/").ok

    drawn = draw_in_ohif(server, make_ohif(server.address), first_study(script))
    assert label_info(script, drawn)["client_id"] == "ann"

    client = slicer(server, "bob", PASSWORD, called="ann")  # another reader
    sample = client.next_sample("random", {})
    assert sample["id"] != drawn
    assert (download(server, sample["id"]), download(server, sample["id"])) == (200, 401)
    patient = client.datastore()["objects"][sample["id"]]["image"]["info"]["PatientID"]
    client.save_label(sample["id"], str(patients.label_of(patient)), params={"finished": True})
    assert label_info(script, sample["id"])["client_id"] == "bob"
    with pytest.raises(MONAILabelClientException) as refused:
        client.train_start("segmentation", {})
    assert "Status: 403" in refused.value.msg
    assert "higher role" in refused.value.msg
    bob = Script(server)
    bob.auth = ("bob", PASSWORD)
    others, own = ({"id": image, "tag": "final"} for image in (drawn, sample["id"]))
    assert bob.ask("DELETE", "/datastore/label", params=others).status_code == 403
    assert bob.ask("DELETE", "/datastore/label", params=own).ok
    assert script.ask("DELETE", "/datastore/label", params=others).ok

    ledger.remove_user("bob")
    assert not client.auth_valid_token()
    assert bob.ask("GET", "/info/").status_code == 401
    assert PASSWORD not in server.log.read_text(errors="replace")
    assert server.stop() == 0


def draw_in_ohif(server: RunningServer, ohif: OhifPage, study: str) -> str:
    """Open a link, log in on the way, draw once and save; return the image's id."""
    ohif.page.goto(f"{server.address}/ohif/monai-label?StudyInstanceUIDs={study}")
    ohif.page.get_by_label("Name").fill("ann")
    ohif.page.get_by_label("Password").fill(PASSWORD)
    ohif.page.get_by_role("button", name="Log in").click()
    ohif.wait_for_image()
    ohif.open(study)  # the notice is closed
    (cookie,) = (one for one in ohif.page.context.cookies() if one["name"].startswith("activelabel"))
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    sample = ohif.next_case()
    ohif.paint()
    ohif.save_and_next()
    ohif.page.goto(f"{server.address}/")
    ohif.page.get_by_role("button", name="Log out").click()
    ohif.page.get_by_role("button", name="Log in").wait_for()
    assert ohif.problems == []
    return str(sample["id"])


def test_people_of_a_login_provider(
    make_clinic: Callable[..., RunningServer], make_ohif: Callable[[str], OhifPage], patients: Any
) -> None:
    people = {"ann": Person("ann's own", ["monailabel-annotator"]), "guest": Person("guest's own")}
    openid = OpenIdProvider(free_port(), people)
    try:
        server = make_clinic(MONAI_LABEL_AUTH_ENABLE="true", MONAI_LABEL_AUTH_REALM_URI=openid.realm).start()
        openid.redirects = {f"{server.address}/login/callback"}
        script = Script(server, Authorization=f"Bearer {openid.token('ann')}")
        assert script.ask("GET", "/info/").ok
        # A route of the host, which checks roles itself after the guard.
        assert script.ask("GET", "/scoring/").status_code == 404
        assert script.ask("POST", "/train/segmentation").status_code == 403
        for token in (openid.token("guest"), openid.token("ann", exp=1), openid.token("ann", preferred_username=None)):
            refused = Script(server, Authorization=f"Bearer {token}").ask("GET", "/scoring/")
            assert (refused.status_code, list(refused.json())) == (401, ["detail"])

        study, ohif = first_study(script), make_ohif(server.address)
        ohif.page.goto(f"{server.address}/ohif/monai-label?StudyInstanceUIDs={study}")
        ohif.page.get_by_role("link", name="Log in at 127.0.0.1").click()
        ohif.wait_for_image()
        ohif.open(study)
        asked = ohif.next_case()["id"]

        openid.rotate("ES256")
        with_new_key = Script(server, Authorization=f"Bearer {openid.token('ann')}")
        # Keys are asked for at most every ten seconds.
        server.wait_for(lambda: with_new_key.ask("GET", "/info/").ok, "the provider's new key", 120)
        client = slicer(server, "ann", "ann's own", called="somebody else")
        sample = client.next_sample("random", {})
        assert sample["id"] == asked, "ann is one person, in OHIF and in Slicer"
        assert download(server, sample["id"]) == 200
        patient = client.datastore()["objects"][asked]["image"]["info"]["PatientID"]
        client.save_label(asked, str(patients.label_of(patient)), params={"finished": True})
        assert client.info()["progress"]["annotated"] == 1
        assert server.stop() == 0
    finally:
        openid.stop()
