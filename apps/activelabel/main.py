"""What `monailabel start_server --app apps/activelabel` loads: the app, as small as the process needs it.

The host takes the class that it finds here by the name of its direct base, `MONAILabelApp`.
"""

from activelabel.server.lean_imports import NOT_NEEDED_TO_SCORE, import_monai
from activelabel.server.processes import child_method, is_child

if child_method() in ("scoring", "train"):
    if child_method() == "scoring":
        import_monai(without=NOT_NEEDED_TO_SCORE)
    else:
        import_monai()
    from activelabel.server.task_child import TaskApp as TaskApp
else:
    if is_child():
        import_monai()
    from activelabel.server.app import ActiveLabel as ActiveLabel
