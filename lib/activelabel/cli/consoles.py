"""The consoles of commands: results go to the standard output, all other messages to the standard error."""

from rich.console import Console

from activelabel.analysis.harmless_text import visible

console = Console()
errors = Console(stderr=True)


def say(text: str, style: str | None = None) -> None:
    """Print a message as it is: what looks like markup in a name stays, hidden characters are shown as codes."""
    errors.print(visible(text), style=style, markup=False, soft_wrap=True)
