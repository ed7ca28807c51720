"""Look for known vulnerabilities of what constraints.txt pins. Those in `vulnerabilities.toml` were judged.

pip install pip-audit && python .ci/audit.py
"""

import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pip-audit brings it

ROOT = Path(__file__).parents[1]
EXCEPTIONS = ROOT / "vulnerabilities.toml"
PINNED = ("constraints.txt", "requirements-override.txt")


def commands() -> list[list[str]]:
    """What is run, a file each, as one package may be in both; of each exception all names are passed on."""
    exceptions = tomllib.loads(EXCEPTIONS.read_text(encoding="utf-8"))["exception"]
    ignored = [part for item in exceptions for known in item["ids"] for part in ("--ignore-vuln", known)]
    audit = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", *ignored]
    return [[*audit, "--requirement", str(ROOT / name)] for name in PINNED]


if __name__ == "__main__":
    sys.exit(max(subprocess.run(command, check=False).returncode for command in commands()))
