"""Second readings: which cases two annotators read, and the proposals to read one of them a second time."""

import math
from collections.abc import Iterator

from activelabel.acquisition.selection import shuffled
from activelabel.project.project import Project
from activelabel.store.records.images import Role
from activelabel.store.records.queries import SECOND_READING
from activelabel.strategies.proposal import Proposal


def read_twice(project: Project) -> list[str]:
    """The images that two annotators read: validation cases first, then others, in an order that never changes."""
    settings = project.settings
    if settings.readers < 2:
        return []
    usable = [image for image in project.ledger.images() if image.usable]
    roles: tuple[Role, ...] = ("validation", "training")
    ordered = [shuffled((image.id for image in usable if image.role == role), settings.seed) for role in roles]
    return [*ordered[0], *ordered[1]][: math.ceil(settings.readers_share * len(usable))]


def second_readings(project: Project, annotator: str) -> Iterator[Proposal]:
    """The cases that another annotator has finished and that this one may read without seeing that label."""
    chosen = read_twice(project)
    for image_id in project.ledger.waiting_for_second(annotator, chosen) if chosen else ():
        reason = "a second reading, without the first: how well two annotators agree is measured"
        yield Proposal(image_id, reason, strategy=SECOND_READING)


def read_blind(project: Project, person: str, *, ahead: bool) -> frozenset[str]:
    """The images on which a person must not see what others have drawn: the one that they read a second time now.

    With `ahead`, also all that they may still be asked to read, so that nobody looks before they are asked.
    """
    held = project.ledger.active_lease(person)
    now = {held.image_id} if held is not None and held.strategy == SECOND_READING else set[str]()
    later = project.ledger.not_read_by(person, read_twice(project)) if ahead else set[str]()
    return frozenset(now | later)
