"""The command `activelabel`, also as `python -m activelabel`: a Python that does not fit is refused before the rest."""

from activelabel.python_version import require_fit_python


def main() -> None:
    """Run the command."""
    require_fit_python()
    from activelabel.cli.main import main as run  # what it imports may be unreadable for another Python

    run()


if __name__ == "__main__":
    main()
