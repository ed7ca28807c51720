"""A picture of four cases with the outlines of their labels, for the documentation."""

from pathlib import Path

import matplotlib
import nibabel
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from abdomen_phantom.files import Folders, file_name
from abdomen_phantom.patient import BACKGROUND, LABELS, Finding, Habitus, Patient
from abdomen_phantom.shapes import Labels

matplotlib.use("Agg")

WINDOW_HU = (-160.0, 240.0)
COLOURS = {"liver": "#ff9f40", "spleen": "#4bc0ff", "kidneys": "#7ddc6f", "tumour": "#ff4d6d"}


def choose(patients: list[Patient]) -> list[Patient]:
    """Up to four cases as unlike as possible: each takes the one that differs most from those already taken."""
    with_tumour = [patient for patient in patients if Finding.LIVER_TUMOUR in patient.findings]
    chosen = (with_tumour or patients)[:1]
    while len(chosen) < min(4, len(patients)):
        rest = [patient for patient in patients if patient not in chosen]
        chosen.append(max(rest, key=lambda patient: min(_difference(patient, other) for other in chosen)))
    return chosen


def _difference(a: Patient, b: Patient) -> float:
    return 3 * (a.phase != b.phase) + 2 * (a.habitus != b.habitus) + 0.5 * len(a.findings ^ b.findings)


def draw(patients: list[Patient], folders: Folders, path: Path) -> None:
    """An axial and a coronal slice of each, seen as radiologists do: the patient's right on the left."""
    figure = Figure(figsize=(3 * len(patients), 5.4), layout="constrained", facecolor="black")
    grid = figure.subplots(2, len(patients), squeeze=False, gridspec_kw={"height_ratios": [1.0, 0.85]})
    for column, patient in enumerate(patients):
        image = nibabel.load(folders.images / file_name(patient))
        volume = np.asarray(image.dataobj)
        label = np.asarray(nibabel.load(folders.labels / file_name(patient)).dataobj)
        x_mm, y_mm, z_mm = (float(size) for size in image.header.get_zooms())
        axial, coronal = _fullest_slice(label, axis=2), _fullest_slice(label, axis=1)
        _show(grid[0, column], volume[:, :, axial].T, label[:, :, axial].T, y_mm / x_mm)
        _show(grid[1, column], volume[:, coronal, ::-1].T, label[:, coronal, ::-1].T, z_mm / x_mm)
        grid[0, column].set_title(_caption(patient), color="white", fontsize=8)
    handles = [Line2D([], [], color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), labelcolor="white", frameon=False)
    figure.savefig(path, dpi=110)


def _caption(patient: Patient) -> str:
    traits = [patient.phase, *([patient.habitus] if patient.habitus is not Habitus.NORMAL else [])]
    return ", ".join(traits) + "\n" + ", ".join(sorted(patient.findings))


def _fullest_slice(label: Labels, axis: int) -> int:
    """The slice that shows most of all labels: the product of their areas, each plus a little."""
    others = tuple(other for other in range(3) if other != axis)
    areas = [(label == value).sum(axis=others) for value in LABELS if value != BACKGROUND]
    return int(np.prod([area + 20.0 for area in areas], axis=0).argmax())


def _show(axes: Axes, values: npt.NDArray[np.int16], label: Labels, aspect: float) -> None:
    axes.imshow(values, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect=aspect, interpolation="bilinear")
    for value, name in LABELS.items():
        if value != BACKGROUND and (label == value).any():
            axes.contour(label == value, levels=[0.5], colors=COLOURS[name], linewidths=1.1)
    axes.axis("off")
