"""A model as ONNX, compared with the network in onnxruntime before it is written."""

import importlib.util
import io
import json
import logging
import warnings

import numpy as np
import torch

from activelabel.errors import InvalidInputError
from activelabel.exchange.exported import Exported
from activelabel.exchange.traced import not_exportable

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4


def onnx(model: Exported) -> bytes:
    """The bytes of an ONNX file: input `image` (B, 1, *window_size), output `logits` (B, C, *window_size), for any B.

    Its metadata hold labels, preprocessing and prediction settings as JSON under `activelabel`.

    Raises:
        InvalidInputError: a package is missing; the network cannot be exported; onnxruntime gives another result.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InvalidInputError(
            f"--format onnx: not installed: {', '.join(missing)}; install the extra, pip install 'activelabel[export]'"
        )
    content = _exported(model)
    _compare(model, content)
    return content


def _exported(model: Exported) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                model.network,
                (model.example(2),),  # with a batch of 1, the exporter would fix the batch
                dynamo=True,
                verbose=False,
                input_names=["image"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
        except Exception as error:  # the exporter raises what the network's operations make it raise
            raise not_exportable("ONNX", error) from error
    assert program is not None
    described = {
        "description": model.description.model_dump(mode="json"),
        "prediction": model.prediction.model_dump(mode="json"),
        "licence": model.licence,
    }
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = "activelabel", json.dumps(described, sort_keys=True)
    return io.BytesIO(proto.SerializeToString()).getvalue()


def _compare(model: Exported, content: bytes) -> None:
    """Run the file in onnxruntime, with another batch than it was exported with."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for batch in (1, 2):
            windows = model.example(batch)
            (given,) = session.run(["logits"], {"image": windows.numpy()})
            with torch.no_grad():
                expected = model.network(windows).numpy()
            if not np.allclose(given, expected, rtol=_RELATIVE, atol=_ABSOLUTE):
                apart = float(np.abs(given - expected).max())
                raise not_exportable("ONNX", f"onnxruntime differs by up to {apart:.3g} from the network")
    except InvalidInputError:
        raise
    except Exception as error:  # onnxruntime raises classes of its own
        raise not_exportable("ONNX", error) from error
