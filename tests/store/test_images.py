import random
from datetime import datetime, timedelta, timezone

import pytest
from recorded import record_annotation
from sqlalchemy import text

from activelabel.acquisition.score import Score
from activelabel.data.files.many.path_table import PathTable
from activelabel.data.patients.by_name import BY_NAMES
from activelabel.data.patients.given import PatientsOf, patients_by_names
from activelabel.data.splits import choose_validation
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.store import image_sync, lookup
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.records.images import SlicesTaken
from activelabel.store.schema.images import ImageRow


def roles(ledger):
    return {image.id: image.role for image in ledger.images()}


def test_a_table_of_files_is_registered_as_any_other_ids_are(ledger, clock):
    """In the table an image may be there or not, known or not, absent before or not, with another patient or not."""
    names = [f"case {number:05} é" for number in range(10_050)]  # more than a page of the known ids
    chance, before = random.Random(0), set(names)
    ledger.sync_images(names, 0)
    for _ in range(3):
        few = chance.sample(names, 12)
        there = (before - set(few[:6])) | set(few[6:]) | {f"new {chance.random()}"}
        patients = {name: f"patient of {name}" for name in few[4:8]}
        known, clock.now = {image.id: image for image in ledger.images()}, clock.now + timedelta(minutes=1)
        ledger.sync_images(PathTable.of(dict.fromkeys(there, "file")), 0, patients, rule="rule")
        after = {image.id: image for image in ledger.images()}
        assert after.keys() == known.keys() | there
        assert {name for name, image in after.items() if image.present} == there
        assert {name for name, image in after.items() if image.added_at == clock.now} == there - known.keys()
        before = there


def test_a_first_table_is_registered_as_a_set_of_the_same_ids_is(ledger, tmp_path, clock):
    """More than a page, and more than a statement has; some images of one patient by their names."""
    names = [f"a'{number:05}" for number in range(9_991)]
    names += [f"sub-{number // 3}_case {number:05} é" for number in range(9_991, 10_050)]
    given = patients_by_names("names", BY_NAMES)
    ledger.sync_images(PathTable.of(dict.fromkeys(names, "file")), 40, PatientsOf(given, names), rule=given.rule)
    other = Ledger(sqlite_url(tmp_path / "other.sqlite"), clock)
    other.sync_images(names, 40, given.of_all(names))
    of_table, of_set = ({image.id: image for image in one.images()} for one in (ledger, other))
    assert of_table == of_set
    assert of_table.keys() == set(names)
    assert {id_: image.patient for id_, image in of_table.items()} == {
        id_: f"sub-{number // 3}" if number > 9_990 else None for number, id_ in enumerate(names)
    }
    assert {image.added_at for image in of_table.values()} == {clock.now}
    assert [*ledger.training_pool_at_random()] == [*other.training_pool_at_random()]
    assert 30 < len(validation(ledger)) <= 40
    other.close()


def validation(ledger):
    return {image_id for image_id, role in roles(ledger).items() if role == "validation"}


@pytest.mark.parametrize("patients", [None, {"case 5": "p", "case 6": "p"}])
def test_roles_and_patients_are_those_of_each_image_also_where_a_piece_has_one_role(ledger, monkeypatch, patients):
    monkeypatch.setattr(lookup, "AT_ONCE", 3)
    names = [f"case {number}" for number in range(10)]
    validation = choose_validation(names, 2, patients)
    ledger.sync_images(PathTable.of(dict.fromkeys(names, "file")), 2, patients)
    assert roles(ledger) == {name: "validation" if name in validation else "training" for name in names}
    told = {image.id: image.patient for image in ledger.images() if image.patient is not None}
    assert told == (patients or {})


def test_the_first_images_give_the_validation_cases(ledger):
    ids = [f"case_{number}" for number in range(20)]
    ledger.sync_images(ids, 3)
    assert validation(ledger) == choose_validation(ids, 3)


def test_later_images_fill_up_what_a_small_beginning_could_not_give(ledger):
    first = [f"case_{number}" for number in range(8)]
    late = [f"late_{number}" for number in range(40)]
    ledger.sync_images(first, 5)
    chosen = validation(ledger)
    assert len(chosen) == 2  # a quarter
    ledger.sync_images(first + late, 5)
    assert validation(ledger) == chosen | choose_validation(late, 3)
    ledger.sync_images([*first, *late, "later"], 5)
    assert len(validation(ledger)) == 5


def test_an_empty_folder_is_no_first_choice(ledger):
    ids = [f"case_{number}" for number in range(10)]
    ledger.sync_images([], 2)
    ledger.sync_images(ids, 2)
    assert validation(ledger) == choose_validation(ids, 2)


def test_a_role_never_changes(ledger):
    ids = [f"case_{number}" for number in range(12)]
    ledger.sync_images(ids, 3)
    before = roles(ledger)
    ledger.sync_images(ids[:2], 6)
    ledger.sync_images(ids, 0)
    assert roles(ledger) == before


def test_no_patient_is_on_both_sides_also_when_images_come_later(ledger):
    patients = {f"{name}{number}": name for name in "abcdefgh" for number in range(3)}
    first = [image_id for image_id in patients if not image_id.endswith("2")]
    ledger.sync_images(first, 4, patients)
    judging = {patients[image_id] for image_id in validation(ledger)}
    assert (len(judging), len(validation(ledger))) == (2, 4)
    ledger.sync_images(patients, 4, patients)
    assert {patients[image_id] for image_id in validation(ledger)} == judging
    assert len(validation(ledger)) == 6
    assert {image.id: image.patient for image in ledger.images()} == patients


def test_the_patient_of_an_image_may_become_known_later_and_changes_no_role(ledger):
    ids = [f"case_{number}" for number in range(12)]
    ledger.sync_images(ids, 3)
    before = roles(ledger)
    judging = min(validation(ledger))
    ledger.sync_images([*ids, "later"], 3, {judging: "ann", "later": "ann", **{ids[0]: "ann"}})
    assert roles(ledger) == {**before, "later": "validation"}
    assert ledger.image(judging).patient == "ann"


def test_a_vanished_image_is_kept_with_its_annotations_and_can_return(study, clock):
    record_annotation(study, "a", "a.nii.gz", "0", "ann")
    study.sync_images("bcdef", 0)
    assert not study.image("a").present
    assert study.current_annotation("a") is not None
    assert "b" in study.pool("training")
    clock.advance(5)
    study.sync_images("abcdef", 0)
    assert study.image("a").present
    assert study.image("a").added_at < clock.now


def test_a_vanished_image_is_not_asked_for_and_its_lease_ends(study):
    study.grant_lease("ann", "a", 60, "random")
    study.sync_images("bcdef", 0)
    assert study.active_lease("ann") is None
    assert [lease.outcome for lease in study.leases()] == ["released"]
    assert study.grant_lease("ann", "a", 60, "random") is None
    assert study.pool("training") == list("bcdef")


def test_an_unreadable_image_is_set_aside_until_it_is_mended(study, clock):
    study.grant_lease("ann", "a", 60, "random")
    study.mark_unreadable("a", "truncated gzip")
    image = study.image("a")
    assert (image.unreadable_reason, image.unreadable_at) == ("truncated gzip", clock.now)
    assert study.active_lease("ann") is None
    assert study.grant_lease("ann", "a", 60, "random") is None
    assert "a" not in study.pool("training")
    study.mark_readable("a")
    assert study.image("a").unreadable_reason is None
    assert "a" in study.pool("training")


def test_usable_images_come_by_pages(ledger):
    ledger.sync_images(["a", "b", "c", "d", "e"], 1)
    ledger.sync_images(["a", "b", "d", "e"], 1)
    ledger.mark_unreadable("b", "truncated", None)
    assert ledger.usable_after("", 2) == ["a", "d"]
    assert ledger.usable_after("d", 2) == ["e"]
    assert ledger.usable_after("e", 2) == []


def test_the_pool_is_the_images_that_may_be_asked_for(ledger, clock):
    ids = [f"case_{number}" for number in range(8)]
    ledger.sync_images(ids, 2)
    validation = ledger.pool("validation")
    training = ledger.pool("training")
    assert (len(validation), len(training)) == (2, 6)
    assert sorted(validation + training) == ids
    annotated, partial, original, leased, deleted, free = training
    record_annotation(ledger, annotated, "f", "0", "ann")
    record_annotation(ledger, partial, "f", "0", "ann", slices=[3])
    record_annotation(ledger, original, "f", "0", "ann", tag="original")
    record_annotation(ledger, deleted, "f", "0", "ann")
    ledger.delete_annotation(deleted)
    ledger.grant_lease("ann", leased, 30, "random")
    assert ledger.pool("training") == [partial, original, deleted, free]
    clock.advance(30)
    assert ledger.pool("training") == [partial, original, leased, deleted, free]
    assert ledger.pool("validation") == validation


def test_ids_are_ordered_by_code_point_on_every_database(ledger):
    ids = ["b", "B", "a", "Z", "_", "10", "9", "é", "𝒳", "ÿ"]
    ledger.sync_images(ids, 0)
    assert ledger.pool("training") == sorted(ids)


def test_images_are_found_again_whatever_the_order_of_the_databases_language(ledger):
    """A language puts a before B and é before z, where Python's texts have B before a and é after z."""
    ids = ["a", "B", "é", "É", "e", "z", "Z", "_", "ab", "aB", "Ab"]
    ledger.sync_images(ids, 0)
    record_annotation(ledger, "é", "f", "0", "ann")
    before = ledger.images()
    assert sorted(ids) != sorted(ids, key=str.casefold)
    for there in (ids, reversed(ids)):
        ledger.sync_images(there, 0)
        assert ledger.images() == before
    ledger.sync_images(["a", "é", "Z"], 0)
    assert {image.id for image in ledger.images() if image.present} == {"a", "é", "Z"}


def test_ten_thousand_images_are_registered_in_one_step_and_once(ledger):
    ids = [f"case_{number:05}" for number in range(10_000)]
    ledger.sync_images(ids, 1000)
    ledger.sync_images(ids, 1000)
    assert [image.id for image in ledger.images()] == ids
    assert len(ledger.pool("validation")) == 1000


def test_an_id_that_no_database_holds_is_refused_and_nothing_is_written(ledger):
    with pytest.raises(InvalidInputError, match="image 'xxx"):
        ledger.sync_images(["good", "x" * 256], 0)
    assert ledger.images() == []


def test_an_unknown_image_is_named(study):
    for question in (study.image, study.mark_readable, lambda image_id: study.mark_unreadable(image_id, "?")):
        with pytest.raises(NotFoundError, match="image 'nobody'"):
            question("nobody")


SHAPE = (10, 20, 30)


def test_an_image_may_be_sliced_another_way_until_somebody_goes_by_slices_of_it(study):
    assert (study.image("a").slice_axis, study.image("a").slice_count) == (None, None)
    study.fix_slices("a", 2, SHAPE)
    image = study.fix_slices("a", 1, SHAPE)
    assert (image.slice_axis, image.slice_count) == (1, 20)
    record_annotation(study, "a", "f", "0", "ann")  # a whole volume has no slice axis to keep
    assert study.fix_slices("a", 0, SHAPE).slice_count == 10


def ask(study):
    study.grant_lease("ann", "a", 30, "random", slices=[9])
    study.skip_case("ann", "not now")


def annotate(study):
    record_annotation(study, "a", "f", "0", "ann", slices=[9])
    study.delete_annotation("a")


def score(study):
    study.publish_model("m.pt", "0", "quick", ["liver"], {}, [])
    study.record_scores(1, "a", [Score("entropy", "everything", "mean", 1.0, (1.0,) * 20)], 5, 0)


@pytest.mark.parametrize("go_by_slices", [ask, annotate, score])
def test_the_slice_axis_stays_also_after_the_lease_or_the_label_of_slices_is_gone(study, go_by_slices):
    study.fix_slices("a", 1, SHAPE)
    go_by_slices(study)
    image = study.fix_slices("a", 2, SHAPE)
    assert (image.slice_axis, image.slice_count) == (1, 20)


def test_the_file_of_an_image_whose_slices_are_annotated_must_keep_their_number(study):
    study.fix_slices("a", 1, SHAPE)
    record_annotation(study, "a", "f", "0", "ann", slices=[3])
    with pytest.raises(InvalidInputError, match="'a' has 21 slices, but its label was drawn on one of 20"):
        study.fix_slices("a", 2, (10, 21, 30))
    study.delete_annotation("a")
    assert study.fix_slices("a", 2, (10, 21, 30)).slice_count == 21
    with pytest.raises(NotFoundError, match="nobody"):
        study.fix_slices("nobody", 1, SHAPE)


def test_the_pool_of_slices_by_hand(study, clock):
    study.fix_slices("b", 1, (8, 9, 8))
    record_annotation(study, "a", "f", "0", "ann")
    record_annotation(study, "b", "f", "0", "ann", slices=[1, 2])
    study.grant_lease("ann", "b", 30, "random", slices=[7])
    study.grant_lease("bob", "c", 10, "random")
    study.mark_unreadable("d", "truncated")
    expected = [
        SlicesTaken("b", 1, 9, frozenset({1, 2, 7})),
        *(SlicesTaken(image_id, None, None, frozenset()) for image_id in "ef"),
    ]
    assert study.slice_pool() == expected
    clock.advance(10)
    assert [image.image_id for image in study.slice_pool()] == ["b", "c", "e", "f"]


def test_what_came_and_went_gives_the_ledger_that_all_images_give(ledger, tmp_path, clock):
    other = Ledger(sqlite_url(tmp_path / "other.sqlite"), clock)
    chance, present, names = random.Random(1), set(), [f"case_{number:02}" for number in range(40)]
    patients = {name: f"patient {int(name[-2:]) % 9}" for name in names[5:]} | {names[0]: names[1]}
    for _ in range(25):
        before = set(present)
        for name in chance.sample(names, chance.choice([1, 2, 8])):
            present.symmetric_difference_update({name})
        if chance.random() < 0.3 and present & before:
            leased = min(present & before)
            for one in (ledger, other):
                one.grant_lease("ann", leased, 10, "random")
        came, gone = present - before, before - present
        known = {name: patients[name] for name in present if name in patients}
        ledger.sync_images(present, 6, known)
        other.sync_changed(came, gone, 6, {name: known[name] for name in came if name in known})
        assert other.images() == ledger.images()
        assert other.leases() == ledger.leases()
        assert other.count_usable() == ledger.count_usable() == len(present)
        assert [image.id for image in other.images_of(names[:9])] == [one for one in names[:9] if one in roles(ledger)]
    assert len(validation(ledger)) >= 6
    other.close()


class Told(dict):
    """Patients of all images, with those who were asked for."""

    def __init__(self, patients):
        super().__init__(patients)
        self.asked = []

    def get(self, image_id, default=None):
        self.asked.append(image_id)
        return super().get(image_id, default)


def test_the_patients_of_known_images_are_looked_at_again_only_under_another_rule(ledger):
    def synced(ids, rule, **patients):
        told = Told(patients)
        ledger.sync_images(ids, 1, told, rule=rule)
        return told.asked, {image.id: image.patient for image in ledger.images()}

    assert synced("ab", "p", a="1") == (["a", "b"], {"a": "1", "b": None})
    assert synced("abc", "p", a="x", c="2") == (["c"], {"a": "1", "b": None, "c": "2"})
    assert synced("bc", "q", a="3", c="4") == (["a", "b", "c"], {"a": "3", "b": None, "c": "4"})
    assert synced("abc", "q", a="3", b="x") == (["a"], {"a": "3", "b": None, "c": "4"})
    assert synced("abc", None, b="5") == (["a", "b", "c"], {"a": "3", "b": "5", "c": "4"})
    assert synced("abc", None, b="6")[0] == ["a", "b", "c"], "a table may have changed"
    ledger.sync_images("abc", 1, None)
    assert synced("abc", "q", b="7") == (["a", "b", "c"], {"a": "3", "b": "7", "c": "4"})


def test_known_images_are_not_gone_through_if_nothing_tells_patients(ledger, monkeypatch):
    ledger.sync_images("abc", 1, None)
    every, beside = [], image_sync._beside
    monkeypatch.setattr(image_sync, "_beside", lambda *told, every: seen(every) or beside(*told, every=every))
    seen = every.append
    ledger.sync_images("bcd", 1, None)
    ledger.sync_images("abc", 1, {"a": "1"})
    ledger.sync_images("abc", 1, None, given_validation="b".__eq__)
    assert every == [False, True, True]
    assert {image.id: (image.present, image.patient) for image in ledger.images()} == {
        "a": (True, "1"), "b": (True, None), "c": (True, None), "d": (False, None),
    }  # fmt: skip


def test_the_database_keeps_the_time_of_an_image_as_that_of_any_other_row(ledger, empty_url, clock):
    clock.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    ledger.sync_images(["a"], 0)
    with ledger._writing() as session:
        session.add(ImageRow(id="b", added_at=clock.now, role="training", present=True, leased_whole=True))
    with ledger._reading() as session:
        kept = session.execute(text("SELECT CAST(added_at AS TEXT) FROM images ORDER BY id")).scalars().all()
    assert kept[0] == kept[1]
    if empty_url.startswith("sqlite"):
        assert kept[0] == "2026-01-02 01:04:05.000000"
