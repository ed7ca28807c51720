"""Dockerfile and compose.yaml name what exists: files, commands, options, settings, ports, and a path that answers."""

import json
import re
import shlex
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from documents import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from activelabel.cli.main import app
from activelabel.cli.options import joined_settings
from activelabel.project.database_url import DATABASE_URL
from activelabel.project.settings import parse_settings, setting_pairs
from activelabel.server.login.roles import least_role

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def steps(target: str) -> list[tuple[str, str]]:
    """The instructions of a stage of the Dockerfile, with their arguments on one line."""
    lines = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    stage = lines.partition(f" AS {target}\n")[2].partition("\nFROM ")[0]
    return [
        (word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in stage.splitlines()) if word
    ]


def value_of(target: str, instruction: str) -> str:
    return next(rest for word, rest in steps(target) if word == instruction)


def commands_of(service: str) -> list[list[str]]:
    """The commands of ours in a service's shell command, with its variables in place."""
    words = SERVICES[service]["environment"]
    text = SERVICES[service]["command"][0].replace("$$", "$")
    for name in ("PROJECT", "LABELS", "RECIPE"):
        text = text.replace(f"${name}", words[name] if name == "PROJECT" else "quick")
    return [shlex.split(part)[1:] for part in re.findall(r"(activelabel [^|<]*)", text)]


def require_parses(arguments: list[str]) -> None:
    """Parse a command line as the program does, without running it; settings must exist."""
    found: Any = typer.main.get_command(app)
    words = list(arguments)
    while words and words[0] in getattr(found, "commands", {}):
        found = found.commands[words.pop(0)]
    assert not hasattr(found, "commands"), words
    context = found.make_context("activelabel", list(joined_settings(words)))
    parse_settings(setting_pairs(context.params.get("conf") or []))


@pytest.mark.parametrize("target", ["pacs", "server"])
def test_what_is_copied_exists_and_goes_to_the_builder(target: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for word, rest in steps(target):
        for source in rest.split()[:-1] if word == "COPY" else []:
            assert (ROOT / source).exists(), source
            assert f"!{Path(source).parts[0]}" in ignored, source
    assert "*" in ignored, "nothing else does: no image, no secret"


@pytest.mark.parametrize("target", ["pacs", "server"])
def test_a_container_runs_as_a_user_without_privileges_and_has_a_health_check(target: str) -> None:
    names = [word for word, _ in steps(target)]
    assert value_of(target, "USER") in ("orthanc", "activelabel")
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "HEALTHCHECK" in names


def test_the_server_is_well_if_a_path_without_login_answers_at_its_port() -> None:
    port = value_of("server", "EXPOSE")
    (health,) = re.findall(r"HEALTH=http://127\.0\.0\.1:(\d+)(/\S*)", DOCKERFILE)
    assert health[0] == port
    assert least_role("GET", health[1]) is None
    assert "os.environ['HEALTH']" in value_of("server", "HEALTHCHECK")
    assert SERVICES["server"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"--port {port}" in SERVICES["server"]["command"][0]


def test_the_commands_are_ours() -> None:
    require_parses(json.loads(value_of("server", "CMD")))
    assert json.loads(value_of("server", "ENTRYPOINT")) == ["activelabel"]
    for service, count in (("server", 1), ("first-user", 2)):
        commands = commands_of(service)
        assert len(commands) == count
        for command in commands:
            require_parses(command)


def test_a_setting_that_does_not_exist_would_be_seen() -> None:
    with pytest.raises(Exception, match="no such setting"):
        require_parses(["start", "--studies", "/studies", "--conf", "data_dir", "/data"])
    with pytest.raises(Exception, match=r"(?i)no such option"):
        require_parses(["start", "--studies", "/studies", "--folder", "x"])


def test_secrets_are_files_and_no_service_has_one_in_its_environment() -> None:
    assert all(secret["file"].startswith("./secrets/") for secret in COMPOSE["secrets"].values())
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    for service in SERVICES.values():
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
        used = re.findall(r"/run/secrets/(\w+)", json.dumps([service.get("command"), service.get("environment")]))
        ours = set(service.get("secrets", []))
        assert ours <= set(used)
        assert not any(
            "password" in key.lower() and not key.endswith("_FILE") for key in service.get("environment", {})
        )


def test_volumes_and_services_that_are_named_exist() -> None:
    for service in SERVICES.values():
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= COMPOSE["volumes"].keys()
        assert set(service.get("depends_on", {})) <= SERVICES.keys()
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "what others reach is decided by whoever publishes it"
    pacs = json.loads((ROOT / "docker" / "orthanc.json").read_text(encoding="utf-8"))
    address = f"http://pacs:{pacs['HttpPort']}{pacs['DicomWeb']['Root'].rstrip('/')}"
    assert address in SERVICES["server"]["environment"]["PROJECT"]
    assert SERVICES["pacs"]["volumes"] == [f"images:{pacs['StorageDirectory']}"]
    gpu = yaml.safe_load((ROOT / "docker" / "gpu.yaml").read_text(encoding="utf-8"))
    assert gpu["services"].keys() == {"server"}


def test_debian_s_python_takes_every_pinned_version() -> None:
    """Debian 12 stays with 3.11.2; a pin that asks for more says so by a marker."""
    python, refused = "3.11.2", []
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        pin = None if line.startswith("#") or not line else Requirement(line)
        if pin is None or (pin.marker and not pin.marker.evaluate({"python_full_version": python})):
            continue
        with suppress(PackageNotFoundError):  # of another Python
            wanted = metadata(pin.name).get("Requires-Python")
            if wanted and not SpecifierSet(wanted).contains(python):
                refused.append(f"{line}: {wanted}")
    assert not refused


WORKERS: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "kubernetes.yaml").read_text(encoding="utf-8"))


def test_workers_on_kubernetes_have_what_their_command_names() -> None:
    pod = WORKERS["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    require_parses(worker["args"])
    assert worker["image"] == SERVICES["server"]["image"]
    mounted = {volume["name"]: volume["mountPath"] for volume in worker["volumeMounts"]}
    assert mounted["scratch"] == "/tmp"  # a worker's folders are made there, and nothing else can be written
    (secrets,) = (volume["secret"] for volume in pod["volumes"] if "secret" in volume)
    files = {f"{mounted['secrets']}/{item['path']}" for item in secrets["items"]}
    assert {variable["value"] for variable in worker["env"] if "value" in variable} == files
    assert "--token-file" not in worker["args"], "a token of a person has no business on a cluster"
    assert {variable["name"] for variable in worker["env"]} == {DATABASE_URL, "SSL_CERT_FILE"}


def test_workers_on_kubernetes_run_as_the_images_own_user() -> None:
    pod = WORKERS["spec"]["template"]["spec"]
    (user,) = re.findall(r"useradd --uid (\d+)", DOCKERFILE)
    assert pod["securityContext"]["runAsUser"] == int(user)
    assert re.search(r"^ +USER=activelabel ", DOCKERFILE, re.MULTILINE)  # for a number that /etc/passwd does not know
    assert WORKERS["spec"]["selector"]["matchLabels"] == WORKERS["spec"]["template"]["metadata"]["labels"]
