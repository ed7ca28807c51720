"""MONAI Label's command line, without imports of MONAI that this app does not use.

    python -m activelabel.server.host_main start_server --app ... --studies ...

does the same as `python -m monailabel.main start_server`, but answers first requests in half of the time.
"""

import gc
import os

from activelabel.lean_imports import NOT_NEEDED, absent, import_monai


def import_monai_for_host() -> None:
    """Import what the host's modules import of MONAI at the start of a server, without what this app does not use.

    The host's training of bundles, which this app does not offer, imports MONAI's handlers.
    """
    import_monai()
    with absent(NOT_NEEDED):
        import monai.handlers  # noqa: F401


if __name__ == "__main__":
    # OpenMP reads this when torch is loaded. By default its threads spin while they wait, and take time from those of
    # other processes: a training beside a server took three times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    gc.disable()  # until the app is loaded (`server.host_app.main`)
    import_monai_for_host()
    from monailabel.main import Main

    Main().run()
