"""The model card: what the ledger knows of a model, as Markdown for whoever gets it. It names no person and no path."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from activelabel import __version__
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.labels.label_texts import entries_of, read_stored
from activelabel.exchange.bundle_configs import NOTICE
from activelabel.project.models.standing import Standing
from activelabel.project.project import Project
from activelabel.store.records.labels import Annotation
from activelabel.store.records.models import ModelVersion
from activelabel.training.checkpoints import ModelDescription

FEW_CASES = 10


def model_card(project: Project, model: ModelVersion, standing: Standing, name: str, licence: str) -> str:
    """The card of a model of the task."""
    learnt = read_stored(model.labels)
    labels = ", ".join(learnt)
    parts = [
        f"# {name}\n\nSegments {labels} in 3D images. {NOTICE}",
        _section("Labels", _list(_values(learnt))),
        _section("Data", _list(_data(project, model))),
        _section("Rounds", "\n".join(_rounds(standing, model))),
        _section("Metrics", "\n".join(_metrics(standing, model))),
        _section("Images that it takes", _list(_images(project.model_description))),
        _section("Recipe", "\n".join(_recipe(project))),
        _section("Licence", f"{licence}"),
        _section("Origin", _list(_origin(model))),
    ]
    return "\n\n".join(parts) + "\n"


def _values(labels: LabelMap) -> Iterator[str]:
    """The values of masks, and what else is to be known of structures that have several or share some."""
    yield "0: background"
    yield from (f"{value}: {name}" for name, value in labels.predicted_names.items())
    if not labels.is_plain:
        yield f"the values of the label files that it learned from: {', '.join(entries_of(labels))}"
    if labels.overlaps:
        yield "the structures overlap, and each has a probability of its own; masks are painted over each other"


def _data(project: Project, model: ModelVersion) -> Iterator[str]:
    """What it learned from and was judged by, by the labels as they were then."""
    images = project.ledger.images()
    labels = {item.id: item for image in images for item in project.ledger.history(image.id)}
    for role, ids in (("learned from", model.trained_on), ("judged by", model.validated_on)):
        yield f"{role}: {_counted([labels[id_] for id_ in ids if id_ in labels])}"
    annotators = {labels[id_].annotator for id_ in (*model.trained_on, *model.validated_on) if id_ in labels}
    yield f"annotators: {len(annotators)}"
    patients = {image.patient for image in images if image.patient is not None}
    yield f"images of the project: {len(images)}" + (f", of {len(patients)} patients" if patients else "")
    modality = project.modality
    yield f"modality: {'not known' if modality is None else modality.name}"
    start = project.ledger.fact("start weights")
    if start is not None and start.value and start.recorded_at <= model.created_at:
        yield f"trainings began with weights of another model: {start.reason}"


def _counted(labels: Sequence[Annotation]) -> str:
    slices = sum(item.covered_slices or 0 for item in labels)
    drawn = sum(item.foreground_slices or 0 for item in labels)
    accepted = sum(item.unchanged_from is not None for item in labels)
    text = f"{len(labels)} labels with {slices} slices, on {drawn} of them something is drawn"
    return text + (f"; {accepted} are a model's own drawing that an annotator accepted unchanged" if accepted else "")


def _rounds(standing: Standing, model: ModelVersion) -> Iterator[str]:
    before = [item for item in standing.models if item.version <= model.version]
    yield f"Of {len(before)} models of the task up to this one, each trained on more labels:"
    yield ""
    rows = []
    for item in before:
        measured = standing.measurement_of(item.version)
        rows.append(
            (
                f"{item.version}{' (this one)' if item.version == model.version else ''}",
                f"{item.created_at:%Y-%m-%d}",
                str(len(item.trained_on)),
                "-" if measured is None else _number(measured.dice),
                "-" if measured is None else str(measured.judges.cases),
            )
        )
    yield from _table(("model", "date", "training labels", "Dice", "validation cases"), rows)


def _metrics(standing: Standing, model: ModelVersion) -> Iterator[str]:
    measured = standing.measurement_of(model.version)
    if measured is None:
        yield "No validation case has judged it: nobody knows how good it is."
        return
    cases = measured.judges.cases
    yield f"On {cases} validation cases of the same project, which it never learned from:"
    yield ""
    rows = [(name.removeprefix("dice_"), _number(value)) for name, value in measured.metrics.items() if name != "dice"]
    yield from _table(("label", "Dice"), [("mean", _number(measured.dice)), *rows])
    yield ""
    if cases < FEW_CASES:
        yield f"{cases} cases are few: expect another number on other images."
    yield "The best epoch was chosen by these cases, so the numbers are somewhat too good."


def _images(model: ModelDescription) -> Iterator[str]:
    settings = model.preprocessing
    yield f"{model.inputs} channel{'s' if model.inputs > 1 else ''}, any orientation and size"
    if model.inputs > 1:
        yield f"in this order: {', '.join(model.channels)}"
    spacing = settings.spacing_mm
    yield "its own spacing" if spacing is None else f"resampled to {' x '.join(f'{step:g}' for step in spacing)} mm"
    low, high = settings.window_hu
    for kind in dict.fromkeys(settings.intensities(model.inputs)):
        windowed = kind == "window"
        yield (
            f"Hounsfield units, of which {low:g} to {high:g} count" if windowed else "any unit: z-scored image by image"
        )


def _recipe(project: Project) -> Iterator[str]:
    recipe = project.recipe
    yield f"{recipe.name}: {recipe.title}. Source: {recipe.source}."
    yield ""
    yield "```json"
    yield recipe.model_dump_json(indent=1)
    yield "```"


def _origin(model: ModelVersion) -> Iterator[str]:
    yield f"model {model.version} of its project, published {_day(model.created_at)}"
    yield f"SHA-256 of its file there: {model.sha256}"
    yield f"made with activelabel {__version__}"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _list(lines: Iterator[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}"


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d}"
