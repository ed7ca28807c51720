"""Models that travel: exported as a MONAI bundle, TorchScript or ONNX, and weights that a project begins with."""
