"""The channels of a project's images: from recipe and settings, else from a `dataset.json`; kept in the ledger."""

import json
import logging
from pathlib import Path

from activelabel.data.dataset_json import declared_channels
from activelabel.data.files.channels import ChannelLayout, channel_layout
from activelabel.errors import InvalidInputError
from activelabel.project.settings import Settings
from activelabel.project.studies import is_pacs
from activelabel.recipes import Recipe
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)

FACT = "channels"


def find_layout(recipe: Recipe, settings: Settings, studies: str, ledger: Ledger | None = None) -> ChannelLayout:
    """How the channels of the images in a folder, or of a PACS, lie in files.

    Args:
        recipe: with the channels that the settings name, if they name any.
        settings: say which files are which channels.
        studies: a folder, where a `dataset.json` in it or beside it numbers channels, and names them if nobody else
            does; or a PACS, whose series become the frames of one file.
        ledger: a project that began with images of one channel keeps them, whatever the `dataset.json` says.

    Raises:
        InvalidInputError: the names, or what says which files they are, are contradictory.
    """
    if is_pacs(studies):
        if not recipe.channels and not settings.channel_files:
            return channel_layout((), (), recipe.shown_channel)
        named = channel_layout(recipe.channels, settings.channel_files, recipe.shown_channel)
        count = len(named.names)
        return ChannelLayout(named.names, (), tuple(range(count)), count, named.shown)
    folder = Path(studies)
    declared = declared_channels((folder, folder.parent))
    nobody_else = not recipe.channels and not settings.channel_files
    if len(declared) < 2 or (nobody_else and ledger is not None and _began_with_one(ledger)):
        declared = ()
    return channel_layout(recipe.channels, settings.channel_files, recipe.shown_channel, declared)


def layout_settings(layout: ChannelLayout) -> dict[str, str]:
    """The settings that give the same layout in another folder, where there is no `dataset.json`."""
    if not layout.names:
        return {}
    return {
        "channels": ",".join(layout.names),
        "channel_files": ",".join(layout.endings),
        "shown_channel": layout.names[layout.shown],
    }


def with_channels(recipe: Recipe, layout: ChannelLayout) -> Recipe:
    """The recipe with the channels in force, and the one that viewers show."""
    if not layout.names:
        return recipe
    return recipe.model_copy(update={"channels": layout.names, "shown_channel": layout.names[layout.shown]})


def fix_channels(ledger: Ledger, layout: ChannelLayout) -> None:
    """Record the channels of a project when it begins, and check that they stay the same.

    Raises:
        InvalidInputError: images were read, or models trained, with other channels.
    """
    known, names = known_channels(ledger), list(layout.names)
    if known == names:
        return
    if known is not None and _has_begun(ledger):
        raise InvalidInputError(
            f"channels {_listed(names)}: the project began with {_listed(known)}, in this order, and its labels and "
            "models belong to such images: name these, or begin another project with --conf project_dir"
        )
    ledger.fix_fact(FACT, json.dumps(names), "the project's beginning", again=True)
    logger.info("channels of the project: %s", _listed(names))


def known_channels(ledger: Ledger) -> list[str] | None:
    """The channels that the ledger has; empty for images of one channel without a name; None for a new project."""
    fact = ledger.fact(FACT)
    if fact is None:
        return [] if _has_begun(ledger) else None
    return [str(name) for name in json.loads(fact.value)]


def _began_with_one(ledger: Ledger) -> bool:
    return ledger.exists() and known_channels(ledger) == []


def _has_begun(ledger: Ledger) -> bool:
    return ledger.any_was_read() or bool(ledger.models("task") or ledger.models("proxy"))


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "one channel"
