"""The ledger: one database with all events of a study. It decides about annotations, leases, scores and models."""

from activelabel.store.cases.active_time import ActiveTime
from activelabel.store.cases.annotations import Annotations
from activelabel.store.cases.at_hand import CasesAtHand
from activelabel.store.cases.case_rows import CaseHistories
from activelabel.store.cases.drafts import Drafts
from activelabel.store.cases.label_contents import LabelContents
from activelabel.store.cases.label_records import LabelRecords
from activelabel.store.cases.leases import Leases
from activelabel.store.cases.readings import Readings
from activelabel.store.cases.reviews import Reviews
from activelabel.store.cases.rounds import Rounds
from activelabel.store.cases.skips import Skips
from activelabel.store.facts import Facts
from activelabel.store.images import Images
from activelabel.store.models.scores import Scores
from activelabel.store.models.uncertainty_checks import UncertaintyChecks
from activelabel.store.models.uses import ModelUses
from activelabel.store.models.versions import Models
from activelabel.store.progress import Overview
from activelabel.store.revisions import Revisions
from activelabel.store.transfer import Transfer
from activelabel.store.users import Users
from activelabel.store.work.claims import Claims


class Ledger(
    Images,
    Scores,
    Claims,
    Leases,
    ActiveTime,
    CaseHistories,
    CasesAtHand,
    Annotations,
    Drafts,
    LabelRecords,
    LabelContents,
    Skips,
    Reviews,
    Readings,
    UncertaintyChecks,
    Facts,
    Models,
    ModelUses,
    Rounds,
    Overview,
    Revisions,
    Transfer,
    Users,
):
    """All events and queries of a study in one object; each base class holds one kind.

    `Ledger(url, clock=utc_now, only_approved=False, seed=0)` takes `sqlite:////folder/ledger.sqlite` (see
    `location.sqlite_url`) or `postgresql://…`. Each method is one transaction: when it returns, what it wrote survives
    a killed process. Any number of threads and processes may use ledgers of one URL at once, and a ledger may be
    pickled.
    """
