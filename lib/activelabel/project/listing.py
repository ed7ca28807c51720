"""The host's listing of a studies folder: the files of images and labels, and what has changed in it since.

A server writes the whole listing when images come or go, when somebody asks for it, and when it stops. A label that
changes meanwhile is one more line in a second file, whose lines count more than the listing.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LISTING = "datastore_v2.json"
CHANGES = "datastore_v2.changes.jsonl"
"""One line for each label that has changed since the listing was written: image, tag, and its entry or null."""
FILE = "file"
"""The key of an image's path below the studies folder, if the image is not directly in the folder under its id."""


def file_of(image_id: str, ending: str, info: dict[str, Any]) -> str:
    """The path of an image below the studies folder."""
    return str(info.get(FILE) or f"{image_id}{ending}")


def note_change(studies: Path, image_id: str, tag: str, label: Mapping[str, Any] | None) -> None:
    """Add the line of a label that has changed; None: it is gone."""
    line = json.dumps({"image": image_id, "tag": tag, "label": label}, default=str)
    with (studies / CHANGES).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def changes(studies: Path) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """The labels that have changed since the listing was written, oldest first: image, tag, entry."""
    try:
        lines = (studies / CHANGES).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        try:
            entry = json.loads(line)
            image_id, tag, label = str(entry["image"]), str(entry["tag"]), entry["label"]
            label = None if label is None else {**label, "info": {**label["info"]}}
        except (ValueError, KeyError, TypeError):
            continue  # a line that a power cut has cut off
        yield image_id, tag, label


def listed_labels(studies: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The labels that a server has listed, by image and tag; empty if there is nothing readable."""
    try:
        objects = json.loads((studies / LISTING).read_text(encoding="utf-8"))["objects"]
        labels = {
            (image_id, tag): dict(label["info"])
            for image_id, listed in objects.items()
            for tag, label in listed.get("labels", {}).items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        labels = {}
    for image_id, tag, label in changes(studies):
        labels.pop((image_id, tag), None)
        if label is not None:
            labels[image_id, tag] = label["info"]
    return labels


def labelled(studies: Path, tag: str) -> set[str]:
    """The images of which a server has listed a label with this tag; empty if there is no readable listing."""
    return {image_id for image_id, listed_tag in listed_labels(studies) if listed_tag == tag}


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
