"""Where commands write: results to the standard output, whatever else they say to the standard error."""

from rich.console import Console

console = Console()
errors = Console(stderr=True)
