import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.data.splits import by_patient, choose_validation, smallest_by_hash, stable_fraction, validation_count

counts = st.integers(0, 50)
id_sets = st.sets(st.text(min_size=1, max_size=8), max_size=40)


def test_fraction_is_the_hash_read_as_a_binary_fraction():
    bits = bin(int(hashlib.sha256(b"case_1").hexdigest(), 16))[2:].zfill(256)
    assert stable_fraction("case_1") == sum(2.0**-place for place, bit in enumerate(bits[:53], 1) if bit == "1")


def test_fraction_is_the_same_for_ever():
    # sha256("a") begins with ca978112ca1bbd: 0xca/256 is 0.789
    assert stable_fraction("a") == pytest.approx(0xCA978112CA1BBD / 2**56, abs=1e-15)


@given(st.text())
def test_fraction_is_below_one(image_id):
    assert 0.0 <= stable_fraction(image_id) < 1.0


@given(st.lists(st.sampled_from(["a", "b", "c", "ä", ""]), max_size=12), st.integers(0, 14))
def test_smallest_by_hash_are_those_of_the_whole_order(names, count):
    items = list(enumerate(names))  # several of one name: the earlier one comes first
    in_order = sorted(items, key=lambda item: (stable_fraction(item[1]), item[1], item[0]))
    assert smallest_by_hash(items, count, lambda item: item[1]) == in_order[:count]


def test_fractions_are_spread_evenly():
    low = [stable_fraction(f"case_{number}") < 0.2 for number in range(10_000)]
    assert sum(low) == pytest.approx(2000, abs=120)  # three standard deviations of a binomial


@pytest.mark.parametrize(
    ("images", "wanted", "expected"),
    [(0, 6, 0), (3, 6, 0), (4, 6, 1), (23, 6, 5), (24, 6, 6), (10_000, 6, 6), (100, 0, 0)],
)
def test_validation_is_never_more_than_a_quarter(images, wanted, expected):
    assert validation_count(images, wanted) == expected


@given(id_sets, counts)
def test_validation_images_have_the_smallest_hashes(image_ids, count):
    chosen = choose_validation(image_ids, count)
    assert chosen <= image_ids
    assert len(chosen) == min(count, len(image_ids))
    others = image_ids - chosen
    if chosen and others:
        assert max(map(stable_fraction, chosen)) <= min(map(stable_fraction, others))


@given(id_sets, counts)
def test_the_split_does_not_depend_on_order_or_repetition_of_ids(image_ids, count):
    once = sorted(image_ids)
    assert choose_validation(once, count) == choose_validation(once[::-1] + once, count)


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="validation cases"):
        choose_validation(["a"], -1)


def of_patients(**images: str) -> dict[str, str]:
    """Map each image to its patient, from the patients' lists of images."""
    return {image_id: patient for patient, image_ids in images.items() for image_id in image_ids.split()}


def test_all_images_of_a_patient_are_on_one_side():
    patient_of = of_patients(ann="a1 a2", bob="b1 b2 b3", cid="c1", dan="d1 d2", eve="e1")
    for count in range(1, 6):
        chosen = choose_validation(patient_of, count, patient_of)
        assert len(chosen) <= count
        patients = {patient_of[image_id] for image_id in chosen}
        assert chosen == {image_id for image_id, patient in patient_of.items() if patient in patients}


def test_the_hash_is_that_of_the_patient():
    patient_of = {f"image_{number}": f"patient_{number}" for number in range(30)}
    chosen = choose_validation(patient_of, 5, patient_of)
    assert {patient_of[image_id] for image_id in chosen} == choose_validation(list(patient_of.values()), 5)


def test_a_patient_with_too_many_images_is_passed_over_for_one_that_fits():
    patient_of = of_patients(ann="a1 a2 a3", bob="b1")
    assert choose_validation(patient_of, 2, patient_of) == {"b1"}


def test_if_all_patients_have_too_many_images_one_is_for_validation_unless_it_is_the_only_one():
    patient_of = of_patients(ann="a1 a2 a3", bob="b1 b2")
    assert choose_validation(patient_of, 1, patient_of) == {"b1", "b2"}
    assert choose_validation(patient_of, 1, patient_of, at_least_one=False) == frozenset()
    assert choose_validation(["a1", "a2"], 1, of_patients(ann="a1 a2")) == frozenset()
    assert choose_validation(patient_of, 0, patient_of) == frozenset()


patients_of_images = st.dictionaries(st.text(min_size=1, max_size=6), st.sampled_from("ABCDEFGHIJ"), max_size=40)


@given(patients_of_images, counts, st.integers(0, 10))
def test_no_patient_is_on_both_sides_and_the_share_is_near_the_wanted(patient_of, count, nameless):
    images = [*patient_of, *(f"nameless image {number}" for number in range(nameless))]
    sizes = [len(of_one) for of_one in by_patient(images, patient_of).values()]
    chosen = choose_validation(images, count, patient_of)
    sides = [{patient_of.get(image, image) for image in side} for side in (chosen, set(images) - chosen)]
    assert sides[0].isdisjoint(sides[1])
    if not count or not images:
        assert not chosen
    elif count >= len(images):
        assert chosen == set(images)
    elif len(sizes) > 1:
        assert len(chosen) <= max(count, min(sizes))
        assert len(chosen) > count - max(sizes)
