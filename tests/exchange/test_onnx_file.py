"""ONNX: what onnxruntime computes from the file is what the network computes."""

import importlib.util
import json

import numpy as np
import onnx as onnx_package
import onnxruntime
import pytest
import torch
from exported_models import MakeExported
from torch import Tensor, nn

from activelabel.errors import InvalidInputError
from activelabel.exchange import onnx_file
from activelabel.exchange.onnx_file import onnx
from activelabel.networks import build_network
from activelabel.recipes import NetworkSettings


def test_onnxruntime_gives_the_same_logits_for_any_batch(make_exported: MakeExported) -> None:
    settings = NetworkSettings(
        channels=(4, 8), strides=(2,), residual_units=1, upsampling="smoothed", padding="repeated"
    )
    model = make_exported(network=build_network(settings, classes=3))
    content = onnx(model)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert [entry.shape[1:] for entry in session.get_inputs()] == [[1, 16, 16, 8]]
    windows = model.example(3)
    (given,) = session.run(["logits"], {"image": windows.numpy()})
    with torch.no_grad():
        assert np.allclose(given, model.network(windows).numpy(), atol=1e-4)
    (entry,) = [entry for entry in onnx_package.load_from_string(content).metadata_props if entry.key == "activelabel"]
    assert json.loads(entry.value)["description"]["labels"] == ["liver", "tumour"]


class Counting(nn.Module):
    """A network whose flow depends on its values."""

    def forward(self, values: Tensor) -> Tensor:
        logits = torch.cat([values] * 3, dim=1)
        return logits * int(values.sum()) if float(values.max()) > 2 else logits


def test_a_network_without_an_onnx_form_is_refused_in_one_line(make_exported: MakeExported) -> None:
    with pytest.raises(InvalidInputError, match="no ONNX form") as refused:
        onnx(make_exported(network=Counting()))
    assert len(str(refused.value).splitlines()) == 1


def test_a_file_that_computes_something_else_is_refused(
    make_exported: MakeExported, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = onnx(make_exported())
    other = make_exported()
    with torch.no_grad():
        next(other.network.parameters()).add_(1)
    monkeypatch.setattr(onnx_file, "_exported", lambda model: content)
    with pytest.raises(InvalidInputError, match="onnxruntime differs by up to"):
        onnx(other)


def test_without_its_packages_it_says_what_to_install(
    make_exported: MakeExported, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(InvalidInputError, match=r"not installed: onnxscript; .*activelabel\[export\]"):
        onnx(make_exported())
