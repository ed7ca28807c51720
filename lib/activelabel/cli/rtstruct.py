"""The command `activelabel rtstruct`: writes a label as DICOM RTSTRUCT."""

from pathlib import Path
from typing import Annotated

import typer

from activelabel.errors import InvalidInputError


def rtstruct(
    label: Annotated[Path, typer.Option(help="The label, a file on the grid of its image.")],
    series: Annotated[Path, typer.Option(help="The folder with the DICOM files of the image, a series of its own.")],
    labels: Annotated[
        str,
        typer.Option(help="Names of the structures, by commas, with their values if need be: liver=1+2,tumour=2."),
    ],
    out: Annotated[Path, typer.Option(help="The file to write. It must not exist.")],
    author: Annotated[str, typer.Option(help="Who drew it.")] = "",
) -> None:
    """Write a label as RTSTRUCT, the outlines of its structures, for programs of radiotherapy.

    A reader of RTSTRUCT that fills outlines as DICOM says gets the label back voxel for voxel.
    """
    # Here, so that the command's --help does not wait.
    import datetime

    from activelabel.data.dicom_objects.rtstruct_writing import rtstruct_uid, write_rtstruct
    from activelabel.data.files.digest import file_sha256
    from activelabel.data.label_checking import check_label
    from activelabel.data.labels.label_texts import parse_labels
    from activelabel.data.volumes import read_grid

    for option, path, found in (("--label", label, label.is_file()), ("--series", series, series.is_dir())):
        if not found:
            raise InvalidInputError(f"{option} {path}: there is no such {'file' if option == '--label' else 'folder'}")
    if out.exists():
        raise InvalidInputError(f"--out {out}: exists already, and nothing is overwritten: name a new file")
    named = parse_labels(labels.split(","), "--labels")
    check_label(label, read_grid(label), named)
    uid = rtstruct_uid(file_sha256(label), str(series.resolve()))
    made = datetime.datetime.fromtimestamp(label.stat().st_mtime)
    dataset = write_rtstruct(label, series, named, uid, author, made)
    if dataset is None:
        raise InvalidInputError(f"--label {label}: no structure is drawn in it, and an RTSTRUCT holds nothing else")
    try:
        dataset.save_as(out, write_like_original=False)
    except OSError as error:
        raise InvalidInputError(f"--out {out}: cannot be written ({error.strerror}): name another file") from error
    typer.echo(f"wrote {len(dataset.StructureSetROISequence)} structures to {out}")
