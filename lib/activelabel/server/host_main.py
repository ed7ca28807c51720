"""MONAI Label's command line, without imports of MONAI that this app does not use.

    python -m activelabel.server.host_main start_server --app ... --studies ...

does the same as `python -m monailabel.main start_server`, but answers first requests in half of the time.
"""

import gc

from activelabel.idle_threads import let_idle_threads_sleep
from activelabel.lean_imports import NOT_NEEDED, absent, import_monai, imported_later

FOR_DICOM = ("itk", "pydicom_seg", "SimpleITK")
"""What the host reads and writes DICOM with, which this app does in its own way: 115 MB."""


def import_monai_for_host() -> None:
    """Import what the host's modules import of MONAI at the start of a server, without what this app does not use.

    The host's training of bundles, which this app does not offer, imports MONAI's handlers; its conversion of DICOM
    imports large packages, which it gets if it should run.
    """
    import_monai()
    with absent(NOT_NEEDED):
        import monai.handlers  # noqa: F401
    with imported_later(FOR_DICOM):
        import monailabel.datastore.utils.convert  # noqa: F401


if __name__ == "__main__":
    let_idle_threads_sleep()
    gc.disable()  # until the app is loaded (`server.host_app.main`)
    import_monai_for_host()
    from monailabel.main import Main

    Main().run()
