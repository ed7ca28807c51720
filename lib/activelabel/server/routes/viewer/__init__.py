"""Additions to OHIF, the viewer in the browser that the host serves."""

from importlib.resources import files

import monailabel.endpoints


def ohif_configuration() -> str:
    """The script that configures OHIF: the host's script followed by ours."""
    shipped = files(monailabel.endpoints) / "static" / "ohif" / "app-config.js"
    own = files(__name__) / "ohif.js"
    return f"{shipped.read_text(encoding='utf-8')}\n{own.read_text(encoding='utf-8')}"
