"""Who is scanned: what differs between the cases, dealt so that common things are common and rare ones are rare."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from activelabel.backports import StrEnum

DECK_SIZE = 24

LABELS = {0: "background", 1: "liver", 2: "spleen", 3: "kidneys", 4: "tumour"}
"""What an annotator draws. `tumour` is cut out of `liver`, as in the Decathlon's liver task: the two together are the
whole organ. A left and a right kidney look alike, so one class holds both; the tumour is in a third of the cases."""

BACKGROUND, LIVER, SPLEEN, KIDNEYS, TUMOUR = LABELS


class Phase(StrEnum):
    """When the scan was taken after the contrast agent was given, if it was."""

    NATIVE = "native"
    ARTERIAL = "arterial"
    PORTAL_VENOUS = "portal venous"


class Habitus(StrEnum):
    """How much fat, under the skin and between the organs."""

    THIN = "thin"
    NORMAL = "normal"
    OBESE = "obese"


class Finding(StrEnum):
    """What is unusual in a case."""

    LIVER_TUMOUR = "liver tumour"
    LIVER_CYST = "liver cyst"
    FATTY_LIVER = "fatty liver"
    CIRRHOSIS = "cirrhosis"
    SPLENOMEGALY = "splenomegaly"
    SINGLE_KIDNEY = "single kidney"
    RENAL_CYST = "renal cyst"
    HYDRONEPHROSIS = "hydronephrosis"
    ASCITES = "ascites"
    ORAL_CONTRAST = "oral contrast"


PHASE_COUNTS = {Phase.PORTAL_VENOUS: 12, Phase.NATIVE: 7, Phase.ARTERIAL: 5}
HABITUS_COUNTS = {Habitus.NORMAL: 12, Habitus.THIN: 6, Habitus.OBESE: 6}
FINDING_COUNTS = {
    Finding.LIVER_TUMOUR: 9,
    Finding.LIVER_CYST: 3,
    Finding.FATTY_LIVER: 4,
    Finding.CIRRHOSIS: 2,
    Finding.SPLENOMEGALY: 3,
    Finding.SINGLE_KIDNEY: 2,
    Finding.RENAL_CYST: 4,
    Finding.HYDRONEPHROSIS: 2,
    Finding.ASCITES: 3,
    Finding.ORAL_CONTRAST: 5,
}


@dataclass(frozen=True)
class Patient:
    """One case. `number` counts from 0; with the seed it is all that the phantom depends on."""

    number: int
    phase: Phase
    habitus: Habitus
    findings: frozenset[Finding]


Trait = TypeVar("Trait", Phase, Habitus)


def deal_patients(seed: int, count: int) -> list[Patient]:
    """The first `count` patients of a seed. Every `DECK_SIZE` of them share out the counts above exactly."""
    patients: list[Patient] = []
    deck = 0
    while len(patients) < count:
        rng = np.random.default_rng([seed, deck])
        patients += _deal_deck(rng, first_number=deck * DECK_SIZE)
        deck += 1
    return patients[:count]


def _deal_deck(rng: np.random.Generator, first_number: int) -> list[Patient]:
    phases = _shuffled(rng, PHASE_COUNTS)
    habitus = _shuffled(rng, HABITUS_COUNTS)
    owners = {finding: set(rng.permutation(DECK_SIZE)[:number]) for finding, number in FINDING_COUNTS.items()}
    return [
        Patient(
            number=first_number + card,
            phase=phases[card],
            habitus=habitus[card],
            findings=frozenset(finding for finding, cards in owners.items() if card in cards),
        )
        for card in range(DECK_SIZE)
    ]


def _shuffled(rng: np.random.Generator, counts: dict[Trait, int]) -> list[Trait]:
    cards = [trait for trait, number in counts.items() for _ in range(number)]
    return [cards[index] for index in rng.permutation(len(cards))]
