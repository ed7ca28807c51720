"""The message with first steps for users, printed when the server is ready."""

from activelabel.project.studies import is_pacs


def welcome(address: str, studies: str, waiting: int) -> str:
    """The first steps in each client, for a server at `address` with `waiting` cases to annotate."""
    ohif = (
        f"open {address}/ohif/, choose a study, then MONAI Label; press the round arrow, then Next Sample;\n"
        "              draw, and choose Export DICOM SEG"
        if is_pacs(studies)
        else "shows images of a PACS only: start with --studies http://PACS/dicom-web (see docs/clients.md)"
    )
    return f"""
activelabel is ready at {address}, with {waiting} cases waiting.

  3D Slicer   extension MONAILabel, module MONAI Label: server {address}, press the round arrow, then Next Sample;
              draw, and press Submit Label
  OHIF        {ohif}
  Python      from monailabel.client import MONAILabelClient
              MONAILabelClient("{address}", client_id="YOUR NAME").next_sample("recipe", {{}})

  {address}/info/ tells how far the project is; Ctrl-C stops the server, and nothing that was saved is lost.
"""
