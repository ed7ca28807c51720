"""MONAI Label's command line, without imports of MONAI that this app does not use.

    python -m activelabel.server.host_main start_server --app ... --studies ...

does the same as `python -m monailabel.main start_server`, but answers first requests in half of the time.
"""

from activelabel.server.lean_imports import import_monai_for_host

if __name__ == "__main__":
    import_monai_for_host()
    from monailabel.main import Main

    Main().run()
