"""Look for known vulnerabilities of what constraints.txt pins. Those in `.ci/vulnerabilities.toml` were judged.

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
EXCEPTIONS = ROOT / ".ci" / "vulnerabilities.toml"
PINNED = ROOT / "constraints.txt"


def command() -> list[str]:
    """What is run; of each exception all names are passed on."""
    exceptions = tomllib.loads(EXCEPTIONS.read_text(encoding="utf-8"))["exception"]
    ignored = [part for item in exceptions for known in item["ids"] for part in ("--ignore-vuln", known)]
    audit = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip"]
    return [*audit, *ignored, "--requirement", str(PINNED)]


if __name__ == "__main__":
    sys.exit(subprocess.run(command(), check=False).returncode)
