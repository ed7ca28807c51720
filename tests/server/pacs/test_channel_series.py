"""Which series of a study are the channels of an image."""

import re

import pytest

from activelabel.data.files.channels import ChannelLayout
from activelabel.server.pacs.channel_series import SeriesRule
from activelabel.server.pacs.client import Series

NAMES = ("FLAIR", "T1", "T1 CE")


def series(uid: str, *said: str, study: str = "9") -> Series:
    return Series(uid, study, 20, {"Modality": "MR"}, (*said, "MR"))


def rule(*rules: str, shown: int = 0) -> SeriesRule:
    return SeriesRule(ChannelLayout(NAMES, (), (0, 1, 2), 3, shown), rules or NAMES)


def test_without_channels_each_series_is_an_image() -> None:
    found = SeriesRule().group([series("1", "T1"), series("2")])
    assert {uid: [one.uid for one in channels] for uid, channels in found.channels.items()} == {"1": ["1"], "2": ["2"]}


def test_the_series_of_a_study_are_channels_by_their_description_and_the_shown_one_names_the_image() -> None:
    study = [series("3", "t1 ce"), series("1", "FLAIR"), series("2", "T1"), series("4", "localizer")]
    found = rule(shown=2).group(study)
    assert {uid: [one.uid for one in channels] for uid, channels in found.channels.items()} == {"3": ["1", "2", "3"]}
    assert not found.passed_over


def test_a_description_need_only_have_the_words_where_no_series_is_called_so() -> None:
    study = [series("1", "ax FLAIR 3mm"), series("2", "T1"), series("3", "ax T1 CE mprage")]
    (channels,) = rule().group(study).channels.values()
    assert [one.uid for one in channels] == ["1", "2", "3"]


def test_the_protocol_or_the_sequence_says_it_too_and_a_star_stands_for_anything() -> None:
    study = [series("1", "brain", "FLAIR"), series("2", "head before", "*tfl"), series("3", "head post", "*tfl")]
    (channels,) = rule("FLAIR", "*before", "head p*").group(study).channels.values()
    assert [one.uid for one in channels] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("study", "line"),
    [
        ([series("1", "FLAIR"), series("2", "T1")], r"^its study has 0 series for the channel T1 CE \(rule 'T1 CE'; "),
        (
            [series("1", "FLAIR"), series("2", "T1"), series("3", "T1 CE"), series("4", "T1")],
            r"^its study has 2 series for the channel T1 \(rule 'T1'; T1 / MR, T1 / MR\), expected one: say with",
        ),
    ],
)
def test_a_study_without_just_one_series_a_channel_is_passed_over_and_the_rest_goes_on(
    study: list[Series], line: str
) -> None:
    other = [series(f"7.{place}", name, study="8") for place, name in enumerate(NAMES)]
    found = rule().group([*study, *other])
    assert list(found.channels) == ["7.0"]
    assert re.search(line, found.passed_over["1"])
