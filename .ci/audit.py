"""Look for known vulnerabilities of what constraints.txt pins. Those in `vulnerabilities.toml` were judged.

pip install pip-audit && python .ci/audit.py
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXCEPTIONS = ROOT / "vulnerabilities.toml"
PINNED = ("constraints.txt", "requirements-override.txt")


def command() -> list[str]:
    """What is run: of each exception all names are passed on."""
    exceptions = tomllib.loads(EXCEPTIONS.read_text(encoding="utf-8"))["exception"]
    files = [part for name in PINNED for part in ("--requirement", str(ROOT / name))]
    ignored = [part for item in exceptions for known in item["ids"] for part in ("--ignore-vuln", known)]
    return [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", *files, *ignored]


if __name__ == "__main__":
    sys.exit(subprocess.run(command(), check=False).returncode)
