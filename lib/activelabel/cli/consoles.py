"""The consoles of commands: results go to the standard output, all other messages to the standard error."""

from rich.console import Console

console = Console()
errors = Console(stderr=True)
