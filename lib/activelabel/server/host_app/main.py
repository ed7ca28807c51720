"""What the host loads: the app, as small as the process needs it. `apps/activelabel/main.py` names the same class.

The host runs the `main.py` of an app folder, and takes the class that it finds there by the name of its direct base,
`MONAILabelApp`.
"""

from activelabel.server.lean_imports import NOT_NEEDED_TO_SCORE, import_monai
from activelabel.server.processes import child_method, is_child


def app_class() -> type[object]:
    """The app of the server and of its children that train; in a child that scores, one that can do no more."""
    if child_method() == "scoring":
        import_monai(without=NOT_NEEDED_TO_SCORE)
        from activelabel.server.scoring_child import ScoringApp

        return ScoringApp
    if is_child():
        import_monai()
    from activelabel.server.app import ActiveLabel

    return ActiveLabel


App = app_class()
