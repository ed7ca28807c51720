"""The fastest way to run a network: measured once for a device, network, shape, precisions and version of torch."""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from activelabel.prediction.devices import kept_choices
from activelabel.prediction.devices.choice import Choice, Measure, Runs, Work, least_seconds, measured_choice
from activelabel.prediction.devices.processor import processor_name

CPU, FLOAT32, BFLOAT16 = torch.device("cpu"), torch.float32, torch.bfloat16
SHAPE = (2, 1, 8, 8, 8)
TURNS = 7
WAYS = [(layout, dtype) for dtype in ("bfloat16", "float32") for layout in ("channels_last_3d", "contiguous")]


class FakeTimer:
    """Says how many ms each way takes, 9 if nothing else is said, and counts how often it is asked."""

    def __init__(self, milliseconds: Mapping[tuple[str, str], float]) -> None:
        self._milliseconds = milliseconds
        self.asked = 0

    def __call__(self, way: Choice) -> float:
        self.asked += 1
        return self._milliseconds.get((way.layout, way.precision), 9.0) / 1000


@pytest.mark.parametrize("fastest", WAYS)
def test_the_fastest_way_is_chosen_and_measured_once(fastest: tuple[str, str], tmp_path: Path) -> None:
    timer, file, network = FakeTimer({fastest: 1.0}), tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    chosen = [measured_choice("pass", network, SHAPE, [BFLOAT16, FLOAT32], CPU, file, timer) for _ in range(3)]
    assert chosen == [Choice(*fastest)] * 3
    assert timer.asked == 4 * TURNS
    (key,) = json.loads(file.read_text(encoding="utf-8"))
    assert key.startswith(f"torch {torch.__version__} pass on {processor_name()} bfloat16/float32 2x1x8x8x8 ")


def test_another_work_network_shape_or_precision_is_measured_by_itself(tmp_path: Path) -> None:
    timer, file, network = FakeTimer({}), tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    measured_choice("pass", network, SHAPE, [FLOAT32], CPU, file, timer)
    measured_choice("step", network, SHAPE, [FLOAT32], CPU, file, timer)
    measured_choice("pass", nn.Conv3d(1, 4, 3), SHAPE, [FLOAT32], CPU, file, timer)
    measured_choice("pass", network, (4, 1, 8, 8, 8), [FLOAT32], CPU, file, timer)
    measured_choice("pass", network, SHAPE, [BFLOAT16], CPU, file, timer)
    assert timer.asked == 10 * TURNS
    assert len(json.loads(file.read_text(encoding="utf-8"))) == 5


def test_choices_of_another_version_of_torch_are_measured_again_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer, file, network = FakeTimer({}), tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    monkeypatch.setattr(torch, "__version__", "2.13")
    measured_choice("pass", network, SHAPE, [FLOAT32], CPU, file, timer)
    monkeypatch.setattr(torch, "__version__", "2.130")
    measured_choice("pass", network, SHAPE, [FLOAT32], CPU, file, timer)
    assert timer.asked == 4 * TURNS
    (key,) = json.loads(file.read_text(encoding="utf-8"))
    assert key.startswith("torch 2.130 ")


def test_only_the_newest_choices_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_choices, "_MOST_KEPT", 2)
    timer, file, network = FakeTimer({}), tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    for items in (1, 2, 3):
        measured_choice("pass", network, (items, 1, 8, 8, 8), [FLOAT32], CPU, file, timer)
    assert [key.split()[-2] for key in json.loads(file.read_text(encoding="utf-8"))] == ["2x1x8x8x8", "3x1x8x8x8"]


def test_only_the_layouts_that_are_named_are_measured() -> None:
    timer = FakeTimer({("contiguous", "float32"): 1.0})
    ways = "pass", nn.Conv3d(1, 2, 3), SHAPE, [BFLOAT16, FLOAT32], CPU, None, timer, ["channels_last_3d"]
    assert measured_choice(*ways) == Choice("channels_last_3d", "float32")  # both take 9 ms
    assert timer.asked == 2 * TURNS


def test_a_process_that_waited_for_another_takes_what_it_has_kept(tmp_path: Path) -> None:
    """The second begins while the first measures, in which it would find another way to be the fastest."""
    file, network, begun = tmp_path / "layouts.json", nn.Conv3d(1, 2, 3), threading.Event()
    second = FakeTimer({("channels_last_3d", "float32"): 1.0})

    def choose(measure: Measure) -> Choice:
        return measured_choice("pass", network, SHAPE, [BFLOAT16, FLOAT32], CPU, file, measure)

    def slowly(way: Choice) -> float:
        begun.set()
        time.sleep(0.05)
        return 1.0 if way == Choice("contiguous", "bfloat16") else 2.0

    with ThreadPoolExecutor() as pool:
        first = pool.submit(choose, slowly)
        assert begun.wait(60)
        assert choose(second) == first.result() == Choice("contiguous", "bfloat16")
    assert second.asked == 0


@pytest.mark.parametrize("content", ["{", "[]", "7"])
def test_a_damaged_file_counts_as_empty(content: str, tmp_path: Path) -> None:
    timer, file = FakeTimer({("contiguous", "float32"): 1.0}), tmp_path / "layouts.json"
    file.write_text(content, encoding="utf-8")
    chosen = measured_choice("step", nn.Conv3d(1, 2, 3), SHAPE, [FLOAT32], CPU, file, timer)
    assert chosen == Choice("contiguous", "float32")
    assert list(json.loads(file.read_text(encoding="utf-8")).values()) == [["contiguous", "float32"]]


def test_too_little_memory_for_any_way_takes_the_first_and_keeps_nothing(tmp_path: Path) -> None:
    timer, file = FakeTimer(dict.fromkeys(WAYS, math.inf)), tmp_path / "layouts.json"
    chosen = measured_choice("pass", nn.Conv3d(1, 2, 3), SHAPE, [BFLOAT16, FLOAT32], CPU, file, timer)
    assert chosen == Choice("channels_last_3d", "bfloat16")
    assert not file.exists()


@pytest.mark.parametrize("work", ["pass", "step"])
def test_measuring_leaves_weights_gradients_statistics_mode_and_random_numbers_as_they_were(
    work: Work,
) -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Dropout(0.5)).eval()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    assert measured_choice(work, network, SHAPE, [FLOAT32], CPU, None).dtype is FLOAT32
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], values) for name, values in network.state_dict().items())
    assert all(values.grad is None for values in network.parameters())
    assert not any(layer.training for layer in network.modules())


class Clock:
    """Hours that pass only while a way runs: each takes its own seconds, longer by what others do at that time."""

    def __init__(self, seconds: Mapping[Choice, float], busy: Callable[[float], float] = lambda now: 0.0) -> None:
        self._seconds, self._busy = seconds, busy
        self.now = 0.0
        self.order: list[Choice] = []

    def run(self, way: Choice) -> float:
        """The seconds of a run."""
        self.order.append(way)
        taken = self._seconds[way] + self._busy(self.now)
        self.now += taken
        return taken


FIRST, SECOND = Choice("channels_last_3d", "bfloat16"), Choice("contiguous", "float32")


@pytest.mark.parametrize("faster", [FIRST, SECOND])
def test_what_others_do_for_some_turns_changes_no_order(faster: Choice) -> None:
    """Others make the first, or the last runs three times as long: so would those of a way that is measured alone."""
    own = {way: 0.1 if way is faster else 0.12 for way in (FIRST, SECOND)}
    for is_busy in (lambda now: now < 1, lambda now: now > 0.5):
        clock = Clock(own, lambda now, is_busy=is_busy: 0.2 * is_busy(now))  # type: ignore[misc]
        assert least_seconds(clock.run, [FIRST, SECOND]) == pytest.approx(own)


def test_ways_take_turns_forwards_and_backwards() -> None:
    clock = Clock({FIRST: 0.1, SECOND: 0.1})
    least_seconds(clock.run, [FIRST, SECOND])
    assert clock.order == [FIRST, SECOND, SECOND, FIRST] * 3 + [FIRST, SECOND]


def test_a_slow_network_has_two_turns() -> None:
    clock = Clock({FIRST: 10.0, SECOND: 10.0})
    least_seconds(clock.run, [FIRST, SECOND])
    assert len(clock.order) == 4


def test_a_way_for_which_memory_does_not_suffice_takes_forever_and_no_second_turn() -> None:
    clock = Clock({FIRST: math.inf, SECOND: 0.1})
    clock.run = lambda way: Clock.run(clock, way) if way is SECOND else _full(clock, way)  # type: ignore[method-assign]
    assert least_seconds(clock.run, [FIRST, SECOND]) == {FIRST: math.inf, SECOND: 0.1}
    assert clock.order.count(FIRST) == 1


def _full(clock: Clock, way: Choice) -> float:
    clock.order.append(way)
    return math.inf


@pytest.mark.parametrize(("seconds", "chosen"), [(0.94, "bfloat16"), (0.96, "float32"), (1.5, "float32")])
def test_float32_stays_unless_another_precision_is_faster_by_a_twentieth(seconds: float, chosen: str) -> None:
    timer = FakeTimer({("channels_last_3d", "bfloat16"): seconds, ("contiguous", "float32"): 1.0})
    found = measured_choice("pass", nn.Conv3d(1, 2, 3), SHAPE, [BFLOAT16, FLOAT32], CPU, None, timer)
    assert found.precision == chosen


def test_where_float32_has_too_little_memory_another_precision_is_chosen() -> None:
    timer = FakeTimer({(layout, dtype): math.inf if dtype == "float32" else 2.0 for layout, dtype in WAYS})
    found = measured_choice("pass", nn.Conv3d(1, 2, 3), SHAPE, [BFLOAT16, FLOAT32], CPU, None, timer)
    assert found == Choice("channels_last_3d", "bfloat16")


class Slow(nn.Module):
    """A network whose pass takes a tenth of a second, and waits for a whole one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.is_mixed = False

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass
        time.sleep(1)
        if self.is_mixed != torch.is_autocast_enabled("cpu"):
            raise AssertionError("another precision was asked for")
        return images * self.weight


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("work", ["pass", "step"])
def test_the_seconds_of_a_run_are_those_of_its_pass_for_which_it_had_a_processor(work: Work, precision: str) -> None:
    network, way = Slow(), Choice("contiguous", precision)
    network.is_mixed = precision == "bfloat16"
    assert 0.1 <= Runs(work, network, SHAPE, CPU).seconds(way) < 1
    assert network.weight.grad is None


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("too little"), RuntimeError("CUDA error: out of memory"), MemoryError()],
)
def test_a_run_for_which_memory_does_not_suffice_takes_forever(error: Exception) -> None:
    class Full(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise error

    way = Choice("contiguous", "float32")
    assert Runs("pass", Full(), SHAPE, CPU).seconds(way) == math.inf


def test_another_error_of_a_run_is_not_taken_for_memory() -> None:
    with pytest.raises(RuntimeError, match="expected input"):
        Runs("pass", nn.Conv3d(4, 2, 3), SHAPE, CPU).seconds(Choice("contiguous", "float32"))


def test_too_little_memory_for_a_copy_takes_the_first_way() -> None:
    class Large(nn.Conv3d):
        def __deepcopy__(self, memo: object) -> "Large":
            raise torch.OutOfMemoryError("too little")

    chosen = measured_choice("step", Large(1, 2, 3), SHAPE, [BFLOAT16, FLOAT32], CPU, None)
    assert chosen == Choice("channels_last_3d", "bfloat16")


@pytest.mark.parametrize("work", ["pass", "step"])
def test_a_single_copy_is_turned_from_layout_to_layout(work: Work) -> None:
    copies, layouts = [], []

    class Counted(nn.Conv3d):
        def __deepcopy__(self, memo: dict[int, object]) -> "Counted":
            copies.append(Counted(4, 2, 3))
            copies[-1].load_state_dict(self.state_dict())
            return copies[-1]

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            layouts.append(self.weight.is_contiguous(memory_format=torch.channels_last_3d))
            return super().forward(images)

    network = Counted(4, 2, 3)
    runs = Runs(work, network, (2, 4, 8, 8, 8), CPU)
    for layout in ("channels_last_3d", "contiguous", "contiguous", "channels_last_3d"):
        assert runs.seconds(Choice(layout, "float32")) > 0
    assert layouts == [True, False, False, True]
    assert len(copies) == 1
    assert torch.equal(copies[0].weight, network.weight)
    assert network.weight.is_contiguous()
