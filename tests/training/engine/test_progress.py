"""What a process that goes on with a training takes over from the one before."""

from activelabel.training.engine.progress import Best, Progress


def test_another_process_goes_on_with_the_same_counts_and_metrics() -> None:
    first = Progress(4, 10, Best("train"), Best("val"))
    first.epoch, first.step, first.without_better = 2, 20, 1
    first.learnt.note(0.25, 2)
    assert first.judged is not None
    assert first.judged.note(0.5, 1)
    assert not first.judged.note(0.25, 2)
    second = Progress(4, 10, Best("train"), Best("val"))
    second.go_on_from(first.counts())
    assert (second.epoch, second.step, second.without_better, second.first_step) == (2, 20, 1, 20)
    assert second.learnt == Best("train", 0.25, 0.25, 2)
    assert second.judged == Best("val", 0.25, 0.5, 1)


def test_without_validation_there_is_no_metric_of_it_to_take_over() -> None:
    counts = Progress(4, 10, Best("train"), None).counts()
    assert sorted(counts) == ["epoch", "learnt.best", "learnt.epoch", "learnt.value", "step", "without_better"]
