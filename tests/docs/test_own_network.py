"""The network of one's own in docs/models.md: its module and its recipe, as they stand there, train and score."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from documents import ROOT
from training_study import Study

from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.features import FeatureExtractor
from activelabel.recipes import load_recipe
from activelabel.training.checkpoints import open_model

BLOCK = re.compile(r"^```(python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe of the page, in a folder with the module of the page, where Python finds it."""
    blocks = dict(BLOCK.findall((ROOT / "docs" / "models.md").read_text(encoding="utf-8")))
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "mynets.py").write_text(blocks["python"], encoding="utf-8")
    (folder / "segresnet.toml").write_text(blocks["toml"], encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "mynets", raising=False)
    return folder / "segresnet.toml"


def test_the_network_of_the_page_trains_is_recorded_and_scores(
    recipe: Path, blobs: Callable[[int], object], make_study: Callable[..., Study]
) -> None:
    study = make_study(blobs(5), recipe=str(recipe))
    study.annotate(*study.ids("training")[:2], *study.ids("validation"))
    study.train()
    project = study.project
    model = project.current_model()
    image = prepare_image(read_volume(study.get_image_uri(study.ids("training")[2])), project.preprocessing)
    statistics = project.predictor(model).sample(image.tensor, repeats=2, seed=0)
    assert statistics.variance().max() > 0  # its dropout is switched on
    extractor = FeatureExtractor(project.network(model), (16, 16, 16), 0.25)
    assert torch.isfinite(extractor.features(image.tensor)).all()
    file = project.models_folder / model.file
    with pytest.raises(InvalidInputError, match=r"code from elsewhere, mynets:segresnet, .*--recipe"):
        open_model(file)
    _, description = open_model(file, trusted=load_recipe(str(recipe)).network)
    assert description.network.settings == {"filters": 8, "dropout": 0.2}


def test_without_its_module_the_start_is_refused_in_one_line(
    recipe: Path, blobs: Callable[[int], object], make_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(recipe.parent)])
    with pytest.raises(InvalidInputError, match="there is no module 'mynets'") as refused:
        make_study(blobs(3), recipe=str(recipe))
    assert len(str(refused.value).splitlines()) == 1
