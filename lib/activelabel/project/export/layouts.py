"""Layouts of a data set: where images, labels and masks lie, and the files that describe them. Writes nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from activelabel import __version__
from activelabel.analysis.harmless_text import no_formula, visible
from activelabel.data.files.other_names import AUDIT, VERSIONS
from activelabel.data.labels.label_map import IGNORE, LabelMap, label_map_of
from activelabel.data.labels.label_texts import ORDER
from activelabel.project.export.cases import ExportedCase

ENDING = ".nii.gz"


@dataclass(frozen=True)
class Place:
    """Paths below the data set's folder for one case; `mask` is that of its annotated slices, if they are not all.

    `more` has the files of further channels, in layouts that have one for each.
    """

    image: str
    label: str
    mask: str
    more: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """The files of the image: one, or one for each channel."""
        return (self.image, *self.more)


@dataclass(frozen=True)
class Layout:
    """Where everything of a data set lies.

    Attributes:
        places: the paths of each case, by its name.
        texts: the content of each describing file, by its path.
        ignored: the value of voxels on slices that nobody has annotated; 0 where the layout has no value for them.
    """

    places: Mapping[str, Place]
    texts: Mapping[str, str] = field(default_factory=dict)
    ignored: int = 0


def nnunet(cases: Sequence[ExportedCase], labels: Sequence[str], channels: Sequence[str], name: str) -> Layout:
    """nnU-Net's raw data set, with a `splits_final.json` of one fold. Unannotated slices have its label `ignore`.

    Structures that overlap are its regions, in the order in which they are painted.
    """
    named = label_map_of(labels)
    ignored = named.ignored[0] if named.ignored else 0
    if any(case.is_partial for case in cases):
        ignored = ignored or named.highest + 1
    order = {ORDER: [value for _, value in named.painting]} if named.overlaps else {}
    description = {
        "name": name,
        "channel_names": {str(place): channel for place, channel in enumerate(channels)},
        "labels": {**_nnunet_values(named), **({IGNORE: ignored} if ignored else {})},
        **order,
        "numTraining": len(cases),
        "file_ending": ENDING,
    }
    fold = {"train": _names(cases, "training"), "val": _names(cases, "validation")}
    places = {
        case.name: Place(
            f"imagesTr/{case.name}_0000{ENDING}",
            f"labelsTr/{case.name}{ENDING}",
            f"annotatedTr/{case.name}{ENDING}",
            tuple(f"imagesTr/{case.name}_{place:04}{ENDING}" for place in range(1, len(channels))),
        )
        for case in cases
    }
    return Layout(places, {"dataset.json": _json(description), "splits_final.json": _json([fold])}, ignored)


def decathlon(cases: Sequence[ExportedCase], labels: Sequence[str], channels: Sequence[str], name: str) -> Layout:
    """The Medical Segmentation Decathlon's layout, with a list `validation` beside `training`, as MONAI reads it."""
    places = {
        case.name: Place(
            f"imagesTr/{case.name}{ENDING}", f"labelsTr/{case.name}{ENDING}", f"annotatedTr/{case.name}{ENDING}"
        )
        for case in cases
    }

    def listed(role: str) -> list[dict[str, str]]:
        found = [places[named] for named in _names(cases, role)]
        return [{"image": f"./{place.image}", "label": f"./{place.label}"} for place in found]

    description = {
        "name": name,
        "description": f"exported by activelabel {__version__}",
        "tensorImageSize": "3D" if len(channels) == 1 else "4D",
        "modality": {str(place): channel for place, channel in enumerate(channels)},
        "labels": {str(value): label for value, label in _named_values(labels).items()},
        "numTraining": len(_names(cases, "training")),
        "numTest": 0,
        "training": listed("training"),
        "validation": listed("validation"),
        "test": [],
    }
    return Layout(places, {"dataset.json": _json(description)})


def bids(cases: Sequence[ExportedCase], labels: Sequence[str], channels: Sequence[str], name: str) -> Layout:
    """BIDS: images as raw data, labels as a derivative. Subjects are numbered, so that no patient's name goes along."""
    (modality,) = channels
    folder, suffix = _BIDS_KINDS.get(modality, ("other", "image"))
    subjects = {patient: f"sub-{number:04d}" for number, patient in enumerate(_patients(cases), start=1)}
    runs = dict.fromkeys(subjects, 0)
    places, rows = {}, []
    for case in cases:
        runs[case.patient] += 1
        subject = subjects[case.patient]
        stem = f"{subject}/{folder}/{subject}_run-{runs[case.patient]}"
        below = f"{_DERIVATIVES}/{stem}"
        places[case.name] = Place(
            f"{stem}_{suffix}{ENDING}", f"{below}_desc-manual_dseg{ENDING}", f"{below}_desc-annotated_mask{ENDING}"
        )
        rows.append((subject, str(runs[case.patient]), case.name, case.role, places[case.name].image))
    generated = [{"Name": "activelabel", "Version": __version__}]
    raw = {"Name": name, "BIDSVersion": _BIDS_VERSION, "DatasetType": "raw", "GeneratedBy": generated}
    derived = {**raw, "Name": f"Labels of {name}", "DatasetType": "derivative"}
    names = [("index", "name"), *((str(value), label) for value, label in _named_values(labels).items())]
    return Layout(
        places,
        {
            "dataset_description.json": _json(raw),
            "participants.tsv": _tsv([("participant_id",), *((subject,) for subject in subjects.values())]),
            "cases.tsv": _tsv([("participant_id", "run", "image", "role", "file"), *rows]),
            ".bidsignore": f"cases.tsv\n{AUDIT}\n{VERSIONS}/\n{folder}/\n",
            f"{_DERIVATIVES}/dataset_description.json": _json(derived),
            f"{_DERIVATIVES}/dseg.tsv": _tsv(names),
        },
    )


LAYOUTS: Mapping[str, Callable[[Sequence[ExportedCase], Sequence[str], Sequence[str], str], Layout]] = {
    "nnunet": nnunet,
    "decathlon": decathlon,
    "bids": bids,
}
_DERIVATIVES = "derivatives/activelabel"
_BIDS_VERSION = "1.10.0"
_BIDS_KINDS = {"CT": ("ct", "ct"), "MR": ("anat", "mri"), "PET": ("pet", "pet"), "PT": ("pet", "pet")}
"""The folder and suffix of an image by its modality. The contrast of an MR image is not recorded, hence no `T1w`."""


def _nnunet_values(labels: LabelMap) -> dict[str, int | list[int]]:
    """The value of each structure as nnU-Net has it, or its values; overlapping ones in the order of painting."""
    places = [index for index, _ in labels.painting] if labels.overlaps else list(range(len(labels)))
    values = {"background": [0, *labels.background], **{labels[place]: list(labels.values[place]) for place in places}}
    return {name: own if len(own) > 1 else own[0] for name, own in values.items()}


def _named_values(labels: Sequence[str]) -> dict[int, str]:
    """The name of each value of the label files."""
    return {0: "background", **{value: name for name, value in label_map_of(labels).drawn_names.items()}}


def _names(cases: Sequence[ExportedCase], role: str) -> list[str]:
    return [case.name for case in cases if case.role == role]


def _patients(cases: Sequence[ExportedCase]) -> list[str]:
    return list(dict.fromkeys(case.patient for case in cases))


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _tsv(rows: Sequence[Sequence[str]]) -> str:
    """A table of rows, whose cells no spreadsheet runs as formulas and which neither tabs nor line breaks end."""
    return "".join("\t".join(map(_cell, row)) + "\n" for row in rows)


def _cell(text: str) -> str:
    one_line = visible(text).replace("\t", "\\t").replace("\n", "\\n")
    return str(no_formula(one_line))
