"""A model taken out of its project: which one, its card, and the files of each form."""

from pathlib import Path

import pytest
import torch
from exported_models import MakeExported
from training_study import Study

from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.exchange.exporting import exported, write_model
from activelabel.networks import build_network
from activelabel.project.models.publishing import publish_model


def publish(study: Study, dice: float, kind: str = "task") -> None:
    weights = build_network(study.project.recipe.network, 2).state_dict()
    metrics = {"dice": dice, "dice_ball": dice}
    publish_model(study.project, weights, metrics, study.project.ledger.annotations(), kind=kind)


def test_the_model_in_use_is_taken_unless_a_version_is_named(annotated: Study) -> None:
    publish(annotated, 0.8125)
    publish(annotated, 0.5)
    taken = exported(annotated.project, None, None)
    assert (taken.version, taken.name, taken.metrics["dice"]) == (1, "tiny-1", 0.8125)
    assert exported(annotated.project, 2, None).metrics["dice"] == 0.5
    published = annotated.project.network(annotated.project.ledger.model(2)).state_dict()
    given = exported(annotated.project, 2, None).network.state_dict()
    assert all(torch.equal(given[name], values) for name, values in published.items())


def test_the_card_says_what_the_ledger_knows_and_names_nobody(annotated: Study) -> None:
    publish(annotated, 0.5)
    publish(annotated, 0.8125)
    card = exported(annotated.project, None, "CC-BY-4.0").card
    for line in (
        "- 1: ball",
        "- learned from: 3 labels with 0 slices, on 0 of them something is drawn",
        "- judged by: 2 labels with 0 slices, on 0 of them something is drawn",
        "- annotators: 1",
        "- images of the project: 8",
        "| mean | 0.812 |",
        "| ball | 0.812 |",
        "2 cases are few: expect another number on other images.",
        "CC-BY-4.0",
        "tiny: Every step, as small as it can be. Source: ours.",
    ):
        assert line in card.splitlines()
    assert [row.split(" | ")[0] for row in card.splitlines() if "(this one)" in row] == ["| 2 (this one)"]
    assert "reader" not in card  # the annotator
    assert str(annotated.studies) not in card
    assert not [image.id for image in annotated.project.ledger.images() if image.id in card]


def test_a_licence_that_nobody_gave_is_said(annotated: Study) -> None:
    publish(annotated, 0.5)
    card = exported(annotated.project, None, None).card
    assert card.split("## Licence\n\n")[1].startswith("not given\n")


def test_what_cannot_be_exported_is_refused(annotated: Study) -> None:
    with pytest.raises(NotReadyError, match="no model yet"):
        exported(annotated.project, None, None)
    weights = build_network(annotated.project.recipe.network, 2).state_dict()
    publish_model(annotated.project, weights, {}, [], kind="proxy")
    with pytest.raises(InvalidInputError, match="--version 1: is a proxy model"):
        exported(annotated.project, 1, None)


def test_a_file_has_its_card_beside_it(make_exported: MakeExported, tmp_path: Path) -> None:
    model = make_exported()
    written = write_model(model, "torchscript", tmp_path / "new" / "model.ts")
    assert written == [tmp_path / "new" / "model.ts", tmp_path / "new" / "model.ts.md"]
    assert written[1].read_text(encoding="utf-8") == model.card
    with pytest.raises(InvalidInputError, match="nothing is overwritten"):
        write_model(model, "torchscript", tmp_path / "new" / "model.ts")


def test_an_unknown_form_is_refused(make_exported: MakeExported, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="--format tflite: expected one of bundle, torchscript, onnx"):
        write_model(make_exported(), "tflite", tmp_path / "model")
