"""Writes the finished data set of a project into a folder of its own, completely or not at all."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from activelabel.data.files.digest import file_sha256
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.names import ending_of
from activelabel.data.files.one_case import one_case
from activelabel.data.files.other_names import AUDIT
from activelabel.data.files.state import state_of
from activelabel.data.label_checking import check_label, write_label
from activelabel.data.labels.arrays import smallest_type
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.project.export.audit import IMAGE, LABEL, MASK, WRITTEN_ANEW, ExportedFile, audit_table
from activelabel.project.export.cases import ExportedCase, exported_cases
from activelabel.project.export.layouts import ENDING, LAYOUTS, Layout, Place
from activelabel.project.export.versions import write_versions
from activelabel.project.images import Images
from activelabel.project.project import Project

Cases = Sequence[ExportedCase]


@dataclass(frozen=True)
class Exported:
    """What was exported: the numbers of cases by role, and of those of which only some slices are annotated.

    `left_out` has a line for each case that has a label and cannot be used.
    """

    training: int
    validation: int
    partial: int
    left_out: tuple[str, ...] = ()


def export_dataset(
    project: Project, images: Images, out: Path, layout: str, follow: Callable[[Cases], Iterable[ExportedCase]] = list
) -> Exported:
    """Write the images with a label to learn from, these labels, and the audit trail of all.

    Args:
        project: the project, whose server may run.
        images: finds the file of each image.
        out: the folder to write, which must not exist or be empty.
        layout: a name of `LAYOUTS`.
        follow: is given the cases and yields them one by one, to show progress.

    Raises:
        InvalidInputError: the layout is unknown, the folder has something in it, the voxels of a case cannot be read,
            or the layout has no place for several channels.
        NotReadyError: there is no label to export.
    """
    if layout not in LAYOUTS:
        raise InvalidInputError(f"--layout {layout}: expected one of {', '.join(LAYOUTS)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInputError(f"--out {out}: there is something already: name a folder that is new or empty")
    cases, left_out = exported_cases(project, images)
    if left_out and not cases:
        raise NotReadyError(f"there is no label to export: {left_out[0]}")
    if not cases:
        raise NotReadyError("there is no label to export: finish one first, or approve one with --conf review true")
    modality = project.modality.name if project.modality is not None else "other"
    if layout == "bids" and project.recipe.channel_count > 1:
        raise InvalidInputError(
            f"--layout bids: images have {project.recipe.channel_count} channels, and BIDS would need the contrast of "
            "each, which is not known: use nnunet or decathlon"
        )
    channels = project.recipe.channels if project.recipe.channel_count > 1 else (modality,)
    unfinished = out.with_name(f"{out.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)

    def lay(sound: Cases) -> Layout:
        return LAYOUTS[layout](sound, project.labels, channels, out.name)

    laid, written, changed = lay(cases), list[ExportedCase](), list[str]()
    files = _write_cases(follow(cases), laid, project, unfinished, written, changed)
    if changed:
        left_out += changed
        laid, cases = _without_changed(laid, lay, written, changed), written
    write_versions(project, {case.annotation.file for case in cases if not case.is_partial}, unfinished)
    texts = {**laid.texts, AUDIT: audit_table(project, [case.annotation for case in cases], files)}
    for path, text in texts.items():
        file = unfinished / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    if out.exists():
        out.rmdir()
    os.replace(unfinished, out)
    roles = [case.role for case in cases]
    partial = sum(case.is_partial for case in cases)
    return Exported(roles.count("training"), roles.count("validation"), partial, tuple(left_out))


def _write_cases(
    cases: Iterable[ExportedCase],
    laid: Layout,
    project: Project,
    out: Path,
    written: list[ExportedCase],
    changed: list[str],
) -> list[ExportedFile]:
    """Write cases, which are added to `written`; of each that has changed since it was sound, a line to `changed`."""
    files: list[ExportedFile] = []
    for case in cases:
        try:
            with one_case(case.name):
                files += _write_case(case, laid, project, out)
        except InvalidInputError as error:
            changed.append(str(error))
            _remove_case(laid.places[case.name], out)
        else:
            written.append(case)
    return files


def _without_changed(before: Layout, lay: Callable[[Cases], Layout], written: Cases, changed: Sequence[str]) -> Layout:
    """The layout of the cases that were written, since others changed meanwhile.

    Raises:
        NotReadyError: none was written.
        InvalidInputError: without the others, those that were written would lie elsewhere.
    """
    if not written:
        raise NotReadyError(f"there is no label to export: {changed[0]}")
    laid = lay(written)
    if laid.ignored != before.ignored or any(laid.places[case.name] != before.places[case.name] for case in written):
        raise InvalidInputError(f"{changed[0]}; export once more, as the others are numbered without it")
    return laid


def _remove_case(place: Place, out: Path) -> None:
    for path in (*place.images, place.label, place.mask):
        (out / path).unlink(missing_ok=True)


def _write_case(case: ExportedCase, laid: Layout, project: Project, out: Path) -> list[ExportedFile]:
    place = laid.places[case.name]
    masks = (place.mask,) if case.is_partial else ()
    for path in (*place.images, place.label, *masks):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
    is_copy = _write_image(case.image, [out / path for path in place.images])
    if state_of(case.image) != case.state:
        raise InvalidInputError(f"{case.name}: its image has changed while it was exported: export once more")
    if case.is_partial:
        _write_partial(case, place, laid.ignored, project, out)
    else:
        shutil.copyfile(case.label, out / place.label)
    kinds = {**dict.fromkeys(place.images, IMAGE if is_copy else WRITTEN_ANEW), place.label: LABEL}
    return [
        ExportedFile(case.name, path, file_sha256(out / path), kind)
        for path, kind in {**kinds, **dict.fromkeys(masks, MASK)}.items()
    ]


def _write_image(source: ImageFiles, targets: Sequence[Path]) -> bool:
    """Copy a compressed NIfTI as it is; write any other image as one, at the place that 3D Slicer gives its voxels.

    Channels are written on the grid of the shown one: each into its own file, or as frames if there is one target.
    Return whether it is a copy.
    """
    if not source.channels and source.path.is_file() and ending_of(source.name).lower() == ENDING:
        shutil.copyfile(source.path, targets[0])
        return True
    volume = read_volume(source)
    if len(targets) == 1:
        frames = np.moveaxis(volume.channels, 0, -1)
        _save(frames[..., 0] if len(volume.channels) == 1 else frames, volume.affine_ras, targets[0])
        return False
    for channel, target in zip(volume.channels, targets, strict=True):
        _save(channel, volume.affine_ras, target)
    return False


def _save(voxels: NDArray[np.float32], affine_ras: NDArray[np.float64], target: Path) -> None:
    image = nibabel.Nifti1Image(voxels, affine_ras)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine_ras, code="scanner")
    image.set_sform(affine_ras, code="scanner")
    nibabel.save(image, target)


def _write_partial(case: ExportedCase, place: Place, ignored: int, project: Project, out: Path) -> None:
    """Write a label of some slices, and the mask of these slices."""
    label = check_label(case.label, read_volume(case.image).grid, project.labels, as_kept=True)
    assert case.axis is not None  # slices were counted before they were annotated
    annotated = np.zeros(label.array.shape, np.uint8)
    indices: list[slice | list[int]] = [slice(None)] * 3
    indices[case.axis] = list(case.annotation.slices or ())
    annotated[tuple(indices)] = 1
    values = np.where(annotated == 1, label.array, np.uint16(ignored)).astype(np.uint16)
    write_label(out / place.label, smallest_type(values, max(ignored, project.labels.highest)), label.affine_ras)
    write_label(out / place.mask, annotated, label.affine_ras)
