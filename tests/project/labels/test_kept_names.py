"""Names belong to a project from its first label on."""

import logging
from pathlib import Path

import pytest
from recorded import record_annotation

from activelabel.data.labels.label_texts import stored_labels, text_of
from activelabel.errors import InvalidInputError
from activelabel.project.opening import open_project
from activelabel.project.project import Project


def start(studies: Path, labels: str) -> Project:
    return open_project("app", str(studies), {"labels": labels} if labels else {})


def keep_label(project: Project, names: list[str] | None = None) -> None:
    project.ledger.sync_images(["a"], 0)
    record_annotation(project.ledger, "a", "a.nii.gz", "0", "ann", label_names=names)


def test_before_the_first_label_any_names_will_do(tmp_path: Path) -> None:
    start(tmp_path, "anterior,posterior")
    assert start(tmp_path, "head").labels == ("head",)


@pytest.mark.parametrize("other", ["posterior,anterior", "anterior", "head,tail", "anterior,posterio"])
def test_a_start_under_other_names_is_refused_with_both_lists(tmp_path: Path, other: str) -> None:
    keep_label(start(tmp_path, "anterior,posterior"), ["anterior", "posterior"])
    with pytest.raises(InvalidInputError) as error:
        start(tmp_path, other)
    line = str(error.value)
    assert line.startswith(f"labels {other}: the labels of this project are kept under the names anterior,posterior")
    assert "\n" not in line


def test_a_name_may_be_added_at_the_end_and_left_out_again_before_it_is_used(tmp_path: Path) -> None:
    keep_label(start(tmp_path, "anterior,posterior"), ["anterior", "posterior"])
    assert start(tmp_path, "anterior,posterior,tail").labels[-1] == "tail"
    project = start(tmp_path, "")
    assert project.labels == ("anterior", "posterior"), "without a list, the project's own"
    keep_label(start(tmp_path, "anterior,posterior,tail"), ["anterior", "posterior", "tail"])
    with pytest.raises(InvalidInputError, match="labels anterior,posterior: "):
        start(tmp_path, "anterior,posterior")


def test_labels_of_an_older_ledger_get_the_names_of_the_first_start_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep_label(start(tmp_path, "liver"))
    with caplog.at_level(logging.WARNING):
        start(tmp_path, "liver")
    assert "1 labels were kept before names were kept with them; from now on their values mean liver" in caplog.text
    with pytest.raises(InvalidInputError, match="labels spleen"):
        start(tmp_path, "spleen")


def test_an_older_ledger_whose_model_learned_other_names_is_refused_too(tmp_path: Path) -> None:
    project = start(tmp_path, "liver,spleen")
    project.ledger.publish_model("m.pt", "0", "quick", ["liver", "spleen"], {}, [])
    with pytest.raises(InvalidInputError, match=r"labels spleen,liver: .* the names liver,spleen"):
        start(tmp_path, "spleen,liver")


BRATS = "whole=1+2+3+4,core=1+4,enhancing=4"


def test_a_map_belongs_to_the_project_as_names_do(tmp_path: Path) -> None:
    project = start(tmp_path, BRATS)
    keep_label(project, stored_labels(project.labels))
    assert text_of(start(tmp_path, "").labels) == BRATS, "without a list, the project's own"
    assert start(tmp_path, BRATS).labels == project.labels
    for other in ("whole=1+2+3+4,core=1+4", "whole=1+2+3+4,core=1,enhancing=4", f"{BRATS},ignore=5", "whole,core,enh"):
        with pytest.raises(InvalidInputError, match=r"kept under the names whole=1\+2\+3\+4,core=1\+4,enhancing=4, in"):
            start(tmp_path, other)


def test_values_may_not_be_given_to_plain_names_later(tmp_path: Path) -> None:
    keep_label(start(tmp_path, "liver,tumour"), ["liver", "tumour"])
    with pytest.raises(
        InvalidInputError, match=r"labels liver=1\+2,tumour=2: .* the names liver,tumour, in this order"
    ):
        start(tmp_path, "liver=1+2,tumour=2")
    assert start(tmp_path, "liver=1,tumour=2").labels == ("liver", "tumour")
