"""Reads the host's listing of a studies folder: the files of images and labels."""

import json
from pathlib import Path
from typing import Any

LISTING = "datastore_v2.json"
FILE = "file"
"""The key of an image's path below the studies folder, if the image is not directly in the folder under its id."""


def file_of(image_id: str, ending: str, info: dict[str, Any]) -> str:
    """The path of an image below the studies folder."""
    return str(info.get(FILE) or f"{image_id}{ending}")


def listed_labels(studies: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The labels that a server has listed, by image and tag; empty if there is no readable listing."""
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
    """The images of which a server has listed a label with this tag; empty if there is no readable listing."""
    try:
        objects = json.loads((studies / LISTING).read_text(encoding="utf-8"))["objects"]
        return {image_id for image_id, listed in objects.items() if tag in listed.get("labels", {})}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def listed_files(studies: Path) -> dict[str, str]:
    """The file of each image that a server has listed, by id; empty if there is no readable listing."""
    try:
        objects = json.loads((studies / LISTING).read_text(encoding="utf-8"))["objects"]
        return {
            image_id: file_of(image_id, listed["image"]["ext"], listed["image"].get("info", {}))
            for image_id, listed in objects.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # the server rewrites a damaged listing
