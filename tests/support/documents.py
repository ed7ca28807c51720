"""The checkable parts of the documents: commands, snippets, routes, settings, names of code, links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/*.md", "docs/api/*.md", "docs/reference/*.md")
    for path in sorted(ROOT.glob(pattern))
]
PROGRAMS = ("activelabel", "monailabel", "python", "make")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Snippet:
    """A fenced block of a document."""

    document: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command that a document names; `whole` if the document gives it complete, to be typed."""

    document: str
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.document}: {' '.join(self.words)}"


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def snippets(*languages: str) -> list[Snippet]:
    """Return the fenced blocks of these languages; `""` means blocks without a language."""
    found = []
    for path in DOCUMENTS:
        for language, text in _FENCED.findall(path.read_text(encoding="utf-8")):
            if language in languages:
                found.append(Snippet(named(path), language, text))
    return found


def inline(path: Path) -> list[str]:
    """Return the texts in backticks outside of fenced blocks."""
    return _INLINE.findall(_FENCED.sub("", path.read_text(encoding="utf-8")))


def commands(*programs: str) -> list[Command]:
    """Return the commands of these programs in fenced blocks and in the text."""
    found = [Command(block.document, words, True) for block in snippets("", "sh") for words in _lines(block.text)]
    for path in DOCUMENTS:
        found += [Command(named(path), tuple(shlex.split(text)), False) for text in inline(path) if _is_command(text)]
    return [command for command in found if command.words[0] in programs]


def _lines(text: str) -> Iterator[tuple[str, ...]]:
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.removeprefix("$ ").split("&&"):
            if _is_command(part.strip()):
                words = shlex.split(part, comments=True)
                yield tuple(word for word in words if word != "...")


def _is_command(text: str) -> bool:
    program, _, rest = text.partition(" ")
    return program in PROGRAMS and re.match(r"[\w./-]", rest) is not None and "…" not in text
