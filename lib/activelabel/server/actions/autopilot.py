"""Builds the autopilot of a server: the situation that it reads and the tasks that it starts."""

from collections.abc import Callable

from activelabel.loop.autopilot import Autopilot
from activelabel.loop.due import Situation, Work, read_situation
from activelabel.loop.scoring import scored_measure
from activelabel.project.project import Project
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.host_tasks import HostTasks
from activelabel.server.task_names import TRAINER
from activelabel.server.tasks.scoring import PROXY
from activelabel.store.ledger import Ledger
from activelabel.store.work.worker_names import release_of_dead


def build_autopilot(project: Project, datastore: LedgerDatastore) -> Autopilot | None:
    """The autopilot of a project, not started yet; None if the settings turn it off."""
    if not project.settings.autopilot:
        return None
    measure = scored_measure(project)

    def look_up() -> Situation:
        """Readmit mended cases, then read which work is due."""
        datastore.readmit_mended()
        return read_situation(project, measure)

    tasks = HostTasks(
        {Work.TRAIN: TRAINER, Work.TRAIN_PROXY: PROXY},
        # Every scoring method computes the scores of all measures, so one of them is enough.
        {Work.SCORE: measure, Work.SCORE_PROXY: PROXY},
    )

    return Autopilot(look_up, tasks, project.thresholds, leads=leading(project.ledger))


def leading(ledger: Ledger) -> Callable[[], bool]:
    """Tells whether this server leads all others and no worker trains, whose model would make other work stale.

    Once it leads, the images are brought into the random order of its seed: another server may have led at its start.
    """
    ordered = False

    def may_act() -> bool:
        nonlocal ordered
        release_of_dead(ledger)
        if not ledger.lead():
            return False
        if not ordered:
            ledger.order_at_random()
            ordered = True
        return not ledger.claims("train")

    return may_act
