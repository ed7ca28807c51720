"""MONAI Label's own command line, without the packages that MONAI would import and no server of this app uses.

    python -m activelabel.server.host_main start_server --app ... --studies ...

does what `python -m monailabel.main start_server` does, in half of the time until the first answer.
"""

from activelabel.server.lean_imports import import_monai

if __name__ == "__main__":
    import_monai()
    from monailabel.main import Main

    Main().run()
