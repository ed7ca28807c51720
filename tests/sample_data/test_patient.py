from collections import Counter

import pytest

from abdomen_phantom.patient import DECK_SIZE, LABELS, Finding, Habitus, Phase, deal_patients


@pytest.mark.parametrize("seed", [0, 1, 99])
def test_a_deck_shares_out_the_traits_exactly(seed: int) -> None:
    patients = deal_patients(seed, DECK_SIZE)
    assert Counter(patient.phase for patient in patients) == {
        Phase.PORTAL_VENOUS: 12,
        Phase.NATIVE: 7,
        Phase.ARTERIAL: 5,
    }
    assert Counter(patient.habitus for patient in patients) == {Habitus.NORMAL: 12, Habitus.THIN: 6, Habitus.OBESE: 6}
    findings = Counter(finding for patient in patients for finding in patient.findings)
    assert findings[Finding.LIVER_TUMOUR] == 9
    assert findings[Finding.SINGLE_KIDNEY] == 2
    assert sum(findings.values()) == 37


def test_asking_for_more_cases_leaves_the_first_ones_as_they_were() -> None:
    few, many = deal_patients(5, 7), deal_patients(5, 50)
    assert many[:7] == few
    assert [patient.number for patient in many] == list(range(50))
    second_deck = [(patient.phase, patient.findings) for patient in many[24:48]]
    assert second_deck != [(patient.phase, patient.findings) for patient in many[:24]]


def test_another_seed_deals_other_patients() -> None:
    assert deal_patients(0, 24) != deal_patients(1, 24)


def test_label_values_count_up_from_the_background() -> None:
    assert list(LABELS.items()) == [(0, "background"), (1, "liver"), (2, "spleen"), (3, "kidneys"), (4, "tumour")]
