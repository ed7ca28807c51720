"""The host's listing of a studies folder, as far as it says which file an image is."""

import json
from pathlib import Path
from typing import Any

LISTING = "datastore_v2.json"
FILE = "file"
"""In what is listed of an image: where it is below the studies folder, if not directly in it under its id."""


def file_of(image_id: str, ending: str, info: dict[str, Any]) -> str:
    """The path of an image below the studies folder."""
    return str(info.get(FILE) or f"{image_id}{ending}")


def listed_labels(studies: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What a server has listed of labels, by image and tag; nothing where there is no listing that can be read."""
    try:
        objects = json.loads((studies / LISTING).read_text(encoding="utf-8"))["objects"]
        return {
            (image_id, tag): dict(label["info"])
            for image_id, listed in objects.items()
            for tag, label in listed.get("labels", {}).items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def labelled(studies: Path, tag: str) -> set[str]:
    """The images of which a server has listed a label; none where there is no listing that can be read."""
    try:
        objects = json.loads((studies / LISTING).read_text(encoding="utf-8"))["objects"]
        return {image_id for image_id, listed in objects.items() if tag in listed.get("labels", {})}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def listed_files(studies: Path) -> dict[str, str]:
    """The file of each image that a server has listed, by id; nothing where there is no listing that can be read."""
    try:
        objects = json.loads((studies / LISTING).read_text(encoding="utf-8"))["objects"]
        return {
            image_id: file_of(image_id, listed["image"]["ext"], listed["image"].get("info", {}))
            for image_id, listed in objects.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # the server makes a damaged listing anew
