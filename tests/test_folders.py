"""No folder is a heap: few files lie flat in any, and no package holds most of the code."""

import subprocess
from collections import Counter
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
PACKAGE = PurePosixPath("lib/activelabel")
MOST_FILES = 20
MOST_OF_THE_LINES = 0.2


def listed() -> list[PurePosixPath]:
    """The files of the project that git knows."""
    command = ["git", "ls-files", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8").stdout
    return [PurePosixPath(name) for name in names.split("\0") if name]


def test_at_most_twenty_files_lie_flat_in_a_folder() -> None:
    flat = Counter(file.parent for file in listed())
    assert len(flat) > 100
    assert {str(folder): files for folder, files in flat.items() if files > MOST_FILES} == {}


def test_no_package_holds_more_than_a_fifth_of_the_lines() -> None:
    lines = {
        file: len((ROOT / file).read_text(encoding="utf-8").splitlines())
        for file in listed()
        if file.is_relative_to(PACKAGE) and file.suffix == ".py" and (ROOT / file).exists()
    }
    of_package: Counter[str] = Counter()
    for file, count in lines.items():
        of_package[file.relative_to(PACKAGE).parts[0]] += count
    largest, count = of_package.most_common(1)[0]
    assert count <= MOST_OF_THE_LINES * sum(lines.values()), largest
