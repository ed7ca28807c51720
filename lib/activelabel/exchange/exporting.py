"""Takes a model out of its project, and writes it in the form that somebody asks for."""

from collections.abc import Callable, Mapping
from pathlib import Path

from activelabel.data.files.writing import write_atomically
from activelabel.data.labels.label_texts import read_stored
from activelabel.errors import InvalidInputError
from activelabel.exchange.bundle import write_bundle
from activelabel.exchange.exported import LICENCE_NOT_GIVEN, Exported
from activelabel.exchange.model_card import model_card
from activelabel.exchange.onnx_file import onnx
from activelabel.exchange.traced import torchscript
from activelabel.project.models.standing import read_standing
from activelabel.project.project import Project

FILES: Mapping[str, Callable[[Exported], bytes]] = {"torchscript": torchscript, "onnx": onnx}
FORMATS = ("bundle", *FILES)


def exported(project: Project, version: int | None, licence: str | None) -> Exported:
    """A model of the task, by default the one in use, with its card.

    Raises:
        NotReadyError: there is no model yet.
        NotFoundError: there is no such version; the line lists the versions.
        InvalidInputError: it is a proxy model, its file is missing or damaged, or the images' modality is not known.
    """
    model = project.current_model() if version is None else project.ledger.model(version)
    if model.kind != "task":
        raise InvalidInputError(f"--version {model.version}: is a proxy model, expected one of the task")
    preprocessing = project.preprocessing
    if preprocessing.decides_itself:
        raise InvalidInputError("modality: nobody has said what the images are: give --conf modality CT or other")
    standing = read_standing(project.ledger)
    measured = standing.measurement_of(model.version)
    metrics = model.metrics if measured is None else measured.metrics
    name, licence = f"{project.recipe.name}-{model.version}", licence or LICENCE_NOT_GIVEN
    modality = project.modality
    return Exported(
        name=name,
        version=model.version,
        network=project.network(model),
        description=project.model_description.model_copy(update={"labels": read_stored(model.labels)}),
        prediction=project.recipe.prediction,
        modality="n/a" if modality is None else modality.name,
        metrics={key: value for key, value in metrics.items() if value is not None},
        licence=licence,
        card=model_card(project, model, standing, name, licence),
    )


def write_model(model: Exported, form: str, out: Path) -> list[Path]:
    """Write a model as one of `FORMATS` and return what was written: a bundle, or a file and its card beside it.

    Raises:
        InvalidInputError: the form is unknown, something of that name exists, it cannot be written, or the network has
            no such form.
    """
    if form not in FORMATS:
        raise InvalidInputError(f"--format {form}: expected one of {', '.join(FORMATS)}")
    if form == "bundle":
        write_bundle(model, out)
        return [out]
    card = out.with_name(f"{out.name}.md")
    for path in (out, card):
        if path.exists():
            raise InvalidInputError(f"--out {path}: exists already, and nothing is overwritten: name a new file")
    content = FILES[form](model)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(card, model.card.encode())
        write_atomically(out, content)
    except OSError as error:
        raise InvalidInputError(f"--out {out}: cannot be written ({error.strerror}): name another file") from error
    return [out, card]
