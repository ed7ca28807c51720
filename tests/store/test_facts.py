"""Facts of the whole project, and those of files."""

import pytest
from recorded import record_annotation

from activelabel.errors import NotFoundError


def test_the_first_value_of_a_fact_stays_until_it_is_set_again(study, clock):
    assert study.fact("modality") is None
    first = study.fix_fact("modality", "MR", "a vote")
    clock.advance(5)
    assert study.fix_fact("modality", "CT", "another vote") == first == study.fact("modality")
    again = study.fix_fact("modality", "CT", "--conf modality", again=True)
    assert (again.value, again.reason, again.recorded_at) == ("CT", "--conf modality", clock.now)
    assert study.fact("modality") == again


def test_names_are_kept_with_each_label_and_the_longest_list_holds_the_others(study):
    assert study.kept_label_names() is None
    record_annotation(study, "a", "f", "0", "ann", label_names=["liver", "spleen"])
    record_annotation(study, "b", "g", "0", "ann", label_names=["liver"])
    assert study.kept_label_names() == ("liver", "spleen")
    assert study.current_annotation("b").label_names == ("liver",)
    study.delete_annotation("a")
    assert study.kept_label_names() == ("liver", "spleen")


def test_labels_kept_without_names_get_them_once(study):
    record_annotation(study, "a", "f", "0", "ann")
    record_annotation(study, "b", "g", "0", "ann", label_names=["liver"])
    assert study.name_labels(["liver", "spleen"]) == 1
    assert study.current_annotation("a").label_names == ("liver", "spleen")
    assert study.current_annotation("b").label_names == ("liver",)
    assert study.name_labels(["other"]) == 0


def test_a_label_remembers_the_image_on_which_it_was_drawn(study):
    record_annotation(study, "a", "f", "0", "ann")
    assert study.current_annotation("a").image_sha256 is None
    study.record_file("a", "1" * 64, 10, 20, [0.0, 1.0, 2.0, 0.0])
    assert study.current_annotation("a").image_sha256 == "1" * 64, "it was there before the image was first read"
    study.record_file("a", "2" * 64, 11, 21, [0.0, 1.0, 2.0, 0.0])
    assert study.current_annotation("a").image_sha256 == "1" * 64
    assert record_annotation(study, "a", "g", "0", "ann").image_sha256 == "2" * 64
    image = study.image("a")
    assert (image.content_sha256, image.file_size, image.file_modified_ns) == ("2" * 64, 11, 21)
    assert image.intensities == (0.0, 1.0, 2.0, 0.0)
    with pytest.raises(NotFoundError):
        study.record_file("zz", "1" * 64, 1, 1, [])


def test_images_that_were_set_aside_are_listed_with_the_state_of_their_files(study):
    study.mark_unreadable("b", "torn", "12 34")
    (aside,) = study.images_set_aside()
    assert (aside.id, aside.unreadable_reason, aside.set_aside_stamp) == ("b", "torn", "12 34")
    study.mark_readable("b")
    assert study.images_set_aside() == []
    assert study.image("b").set_aside_stamp is None
