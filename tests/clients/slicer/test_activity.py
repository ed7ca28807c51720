"""Active seconds without the pauses."""

from ActiveLabelLib.session.activity import MOST_SECONDS, ActiveTime


def test_time_between_inputs_counts_unless_it_is_a_pause() -> None:
    active = ActiveTime()
    for second in range(20):  # the mouse moves until second 10
        active.look(float(second), min(second, 10))
    assert active.take() == 10.0
    active.look(30.0, "a key")  # 20 s after the last input: they looked at the image
    assert active.take() == 20.0
    active.look(100.0, "back from a coffee")
    assert active.take() == 0.0
    active.look(101.5, "drawing")
    assert active.take() == 1.5
    assert active.take() == 0.0


def test_seconds_that_could_not_be_sent_count_later_and_never_more_than_the_server_takes() -> None:
    active = ActiveTime()
    active.give_back(400.0)
    active.give_back(300.0)
    assert active.take() == MOST_SECONDS


def test_another_case_begins_at_nothing() -> None:
    active = ActiveTime()
    active.look(0.0, "a")
    active.look(5.0, "b")
    active.forget()
    active.look(8.0, "c")
    assert active.take() == 0.0
