"""The code of a bundle, where a stock MONAI transform or inferer would give another mask than this app.

`exchange.bundle` copies these modules, and those of this package that they import, into the folder `scripts` of a
bundle. They import torch, MONAI, numpy and nibabel only, so that a bundle runs where this app is not installed.
"""
