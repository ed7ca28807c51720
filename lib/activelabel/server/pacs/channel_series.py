"""Which series of a study are the channels of an image, by what their tags say."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch

from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.errors import InvalidInputError
from activelabel.server.pacs.client import Series


@dataclass(frozen=True)
class Grouped:
    """The images that series make.

    Attributes:
        channels: by image, whose id is the UID of the series of the shown channel, the series in the channels' order.
        passed_over: by series, why its study makes no image.
    """

    channels: Mapping[str, tuple[Series, ...]]
    passed_over: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SeriesRule:
    """What the tags of a series say that is a channel.

    Attributes:
        layout: the names of the channels, and the one that viewers show.
        rules: for each channel, what the description, protocol or sequence of its series is, with `*` for anything; or
            words of it, if no series is called so.
    """

    layout: ChannelLayout = ONE_CHANNEL
    rules: tuple[str, ...] = ()

    def group(self, series: Sequence[Series]) -> Grouped:
        """The images of these series: each series one, or each study that has a series for every channel."""
        if not self.layout.names:
            return Grouped({one.uid: (one,) for one in series})
        studies: dict[str, list[Series]] = {}
        for one in series:
            studies.setdefault(one.study_uid, []).append(one)
        channels: dict[str, tuple[Series, ...]] = {}
        passed_over: dict[str, str] = {}
        for found in studies.values():
            try:
                of_study = self._of_study(found)
            except InvalidInputError as error:
                passed_over[min(one.uid for one in found)] = str(error)
            else:
                channels[of_study[self.layout.shown].uid] = of_study
        return Grouped(channels, passed_over)

    def _of_study(self, series: Sequence[Series]) -> tuple[Series, ...]:
        found = []
        for name, rule in zip(self.layout.names, self.rules, strict=True):
            fitting = [one for one in series if _is_called(one, rule)] or [
                one for one in series if _has_words(one, rule)
            ]
            if len(fitting) != 1:
                there = ", ".join(sorted(" / ".join(one.descriptions) or "no description" for one in fitting or series))
                raise InvalidInputError(
                    f"its study has {len(fitting)} series for the channel {name} (rule '{rule}'; {there}), expected "
                    "one: say with --conf channel_files what the descriptions of the channels' series are, in their "
                    "order"
                )
            found += fitting
        return tuple(found)


def _is_called(series: Series, rule: str) -> bool:
    return any(fnmatch(text.casefold(), rule.casefold()) for text in series.descriptions)


def _has_words(series: Series, rule: str) -> bool:
    wanted = _words(rule)
    return bool(wanted) and any(wanted <= _words(text) for text in series.descriptions)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9+*]+", text.casefold()))
