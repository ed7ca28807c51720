"""Weights from elsewhere in a project: the start of its trainings, or a model of its own."""

from pathlib import Path

import pytest
import torch
from training_study import Study

from activelabel.errors import InvalidInputError
from activelabel.exchange.importing import import_model, import_start
from activelabel.networks import build_network
from activelabel.project.models.proxy import initial_weights
from activelabel.training.checkpoints import save_model


def model_file(study: Study, path: Path, **description: object) -> Path:
    wanted = study.project.model_description.model_copy(update=description)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        weights = build_network(wanted.network, wanted.classes).state_dict()
    save_model(path, weights, wanted)
    return path


def test_trainings_begin_with_what_fits(study: Study, tmp_path: Path) -> None:
    file = model_file(study, tmp_path / "other.safetensors", labels=("cube", "ball"))
    fitting = import_start(study.project, file)
    begun = initial_weights(study.project)
    own = build_network(study.project.recipe.network, 2).state_dict()
    assert begun.keys() == own.keys()
    assert fitting.taken
    assert set(fitting.taken) < set(own)
    assert all(torch.equal(begun[name], values) for name, values in fitting.taken.items())


def test_nothing_is_kept_of_what_does_not_fit(study: Study, tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(3, 3)}, tmp_path / "other.pt")
    with pytest.raises(InvalidInputError, match="nothing of it can be taken over"):
        import_start(study.project, tmp_path / "other.pt")
    assert initial_weights(study.project) is None
    assert not (study.project.folder / "start").exists()


def test_a_whole_model_is_in_use_at_once(study: Study, tmp_path: Path) -> None:
    _, standing = import_model(study.project, model_file(study, tmp_path / "same.safetensors"))
    assert study.project.current_model().version == 1
    assert standing == "Model 1 is in use: the newest; no validation case says how good it is."
    study.project.predictor(study.project.current_model())


def test_a_whole_model_is_judged_by_the_validation_cases_there_are(annotated: Study, tmp_path: Path) -> None:
    import_model(annotated.project, model_file(annotated, tmp_path / "same.safetensors"))
    (measured,) = annotated.project.ledger.measurements()
    assert measured.judges.cases == 2
    assert 0 <= measured.dice <= 1


def test_a_model_with_other_labels_is_not_published(study: Study, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError, match=r"--use: other\.safetensors is no model of this project .*labels: cube"
    ):
        import_model(study.project, model_file(study, tmp_path / "other.safetensors", labels=("cube",)))
    assert study.project.ledger.models() == []
