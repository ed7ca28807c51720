"""Known vulnerabilities: each exception has a verdict for the pinned version, and is passed on to pip-audit."""

import datetime
import importlib.util
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from activelabel.backports import tomllib

ROOT = Path(__file__).parents[1]
EXCEPTIONS: list[dict[str, Any]] = tomllib.loads((ROOT / ".ci" / "vulnerabilities.toml").read_bytes().decode())[
    "exception"
]


def name_of(item: dict[str, Any]) -> str:
    return f"{item['package']}-{item['ids'][0]}"


def audit_command() -> list[str]:
    specification = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return list(module.command())


@pytest.mark.parametrize("item", EXCEPTIONS, ids=name_of)
def test_an_exception_has_a_date_and_a_verdict(item: dict[str, Any]) -> None:
    assert item.keys() == {"ids", "package", "version", "date", "what", "verdict"}
    assert all(re.fullmatch(r"(CVE|GHSA|PYSEC)-[0-9A-Za-z-]+", known) for known in item["ids"])
    assert isinstance(item["date"], datetime.date)
    assert item["verdict"].startswith(("not reached: ", "accepted: "))
    assert len(item["what"]) > 20


@pytest.mark.parametrize("item", EXCEPTIONS, ids=name_of)
def test_an_exception_is_of_the_version_that_is_pinned(item: dict[str, Any]) -> None:
    """Another version needs a new verdict, or no exception any more."""
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"{item['package']}=={item['version']}" in pinned


def test_each_exception_is_passed_on_and_nothing_else_is_ignored() -> None:
    known = [name for item in EXCEPTIONS for name in item["ids"]]
    assert len(set(known)) == len(known)
    pairs = list(itertools.pairwise(audit_command()))
    assert [value for option, value in pairs if option == "--ignore-vuln"] == known
    assert [value for option, value in pairs if option == "--requirement"] == [str(ROOT / "constraints.txt")]


def test_the_workflow_runs_the_tests_and_the_audit() -> None:
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    steps = re.findall(r"- run: (.+)", text)
    assert steps == ["make test", "python -m pip install pip-audit", "python .ci/audit.py", "make docs"]


def test_the_claims_of_the_verdicts_about_this_program_hold() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "lib").rglob("*.py"))
    # What MONAI runs of a bundle that was exported, where this program is not.
    of_a_bundle = '"_target_": "torch.jit.load"'
    assert sources.count(of_a_bundle) == 1
    sources = sources.replace(of_a_bundle, "")
    for never in ("algo_from_pickle", "auto3dseg", "NumpyReader", "diskcache", "torch.jit.script", "torch.jit.load"):
        assert never not in sources
