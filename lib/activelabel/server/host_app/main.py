"""The module that the host loads: the app class for this process. `apps/activelabel/main.py` names the same class.

The host runs the `main.py` of an app folder and uses the class whose direct base has the name
`MONAILabelApp`.
"""

from activelabel.lean_imports import NOT_NEEDED_BY_TASKS, import_monai
from activelabel.quick_imports import no_collections
from activelabel.server.processes import child_method, is_child


def app_class() -> type[object]:
    """The app class of the server, or, in a child that scores or trains, a smaller one."""
    method = child_method()
    if method in ("scoring", "train"):
        import_monai(without=NOT_NEEDED_BY_TASKS)
    elif is_child():
        import_monai()
    if method in ("scoring", "train"):
        from activelabel.server.task_child import TaskApp

        return TaskApp
    from activelabel.server.app import ActiveLabel

    return ActiveLabel


with no_collections():
    App = app_class()
