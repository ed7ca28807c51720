"""The room that prepared images take on the disk."""

from pathlib import Path

from activelabel.prediction.prepared.file import ENDING
from activelabel.prediction.prepared.room import Room


def test_several_processes_together_keep_little_more_than_the_limit(tmp_path: Path) -> None:
    """Each counts again after it has added more than 2 % of the limit, which are three of these files."""
    rooms = [Room(tmp_path, 10_000) for _ in range(4)]
    for number in range(200):
        room = rooms[number % 4]
        if room.has_for(100):
            (tmp_path / f"image-{number}{ENDING}").write_bytes(bytes(100))
    held = sum(file.stat().st_size for file in tmp_path.glob(f"*{ENDING}"))
    assert 10_000 <= held <= 10_000 + 4 * 300
