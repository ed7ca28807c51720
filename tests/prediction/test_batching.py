"""Jobs, and their halving when memory does not suffice."""

import logging
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from activelabel.errors import InvalidInputError
from activelabel.prediction.batching import BatchLimit, Job, gpu_items

CPU = torch.device("cpu")
CPU_MESSAGE = "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate"


def limit_of(items: int) -> BatchLimit:
    limit = BatchLimit(1, CPU)
    limit.items = items
    return limit


def failing_above(items: int, error: Exception) -> tuple[Callable[[Job], Tensor], list[int]]:
    """Return a forward pass that fails with more than this number of items, and the sizes of its calls."""
    tried: list[int] = []

    def forward(job: Job) -> Tensor:
        tried.append(len(job))
        if len(job) > items:
            raise error
        return torch.tensor([10 * window + repeat for window in job.windows for repeat in job.repeats])

    return forward, tried


@pytest.mark.parametrize(("window_voxels", "expected"), [(96**3, 2), (40 * 56 * 40, 8), (10**9, 2)])
def test_a_cpu_batch_has_about_a_million_voxels_and_two_windows(window_voxels: int, expected: int) -> None:
    assert BatchLimit(window_voxels, CPU).items == expected


GB = 10**9


@pytest.mark.parametrize(
    ("window", "free_bytes", "expected"),
    [
        ((96, 96, 96), 8 * GB, 4),  # 4 GB for windows of 0.91
        ((96, 96, 96), 130 * GB, 18),  # 71 would fit: 16.8 million voxels
        ((192, 192, 32), 130 * GB, 14),
        ((40, 56, 40), 130 * GB, 64),
        ((512, 512, 512), 130 * GB, 1),
        ((96, 96, 96), GB, 1),
    ],
)
def test_a_gpu_batch_fits_into_half_of_its_memory_and_into_what_its_kernels_count(
    window: tuple[int, int, int], free_bytes: int, expected: int
) -> None:
    """With 64 channels, the most of a recipe's values at full resolution, a batch stays below 2^31 values."""
    items, voxels = gpu_items(math.prod(window), free_bytes), math.prod(window)
    assert items == expected
    assert items == 1 or 64 * items * voxels < 2**31


def test_jobs_hold_all_repeats_of_as_many_windows_as_fit() -> None:
    assert list(limit_of(7).jobs([0, 1, 2, 3, 4], range(3))) == [
        Job((0, 1), (0, 1, 2)),
        Job((2, 3), (0, 1, 2)),
        Job((4,), (0, 1, 2)),
    ]


def test_a_job_above_the_limit_is_split_by_repeats_then_by_windows() -> None:
    forward, tried = failing_above(100, MemoryError())
    jobs = [job for job, _ in limit_of(2).run([Job((0, 1, 2), (5, 6, 7))], forward)]
    assert tried == [1, 2] * 3
    pairs = [(window, repeat) for job in jobs for window in job.windows for repeat in job.repeats]
    assert sorted(pairs) == [(window, repeat) for window in range(3) for repeat in (5, 6, 7)]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError(CPU_MESSAGE),
        MemoryError(),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_out_of_memory_halves_warns_and_loses_nothing(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    limit = limit_of(8)
    forward, tried = failing_above(2, error)
    with caplog.at_level(logging.WARNING):
        results = list(limit.run([Job((0,), tuple(range(8))), Job((1,), tuple(range(8)))], forward))
    assert torch.cat([values for _, values in results]).tolist() == [*range(8), *range(10, 18)]
    # The limit is kept: the second job is not tried whole.
    assert tried == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert limit.items == 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "going on with 4" in caplog.text


@pytest.mark.parametrize(
    ("free_gb", "fitting", "tried"), [(7, 2, [8, 4, 2, 2, 2, 2]), (9, 2, [8, 4, 2, 2, 2, 2]), (9, 0, [8, 4, 2, 1])]
)
def test_a_gpu_without_an_engine_gets_less_at_once_and_for_one_window_lacks_memory_where_little_is_free(
    free_gb: int, fitting: int, tried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """cuDNN says the same for types that it does not know; of 32 GB, 8 are little."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_gb * GB, 32 * GB))
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)
    limit = BatchLimit(1, torch.device("cuda"))
    said = "GET was unable to find an engine to execute this computation"
    forward, found = failing_above(fitting, RuntimeError(said))
    job = Job((0,), tuple(range(8)))
    if fitting:
        assert sum(len(part) for part, _ in limit.run([job], forward)) == 8
    else:
        with pytest.raises(RuntimeError, match=said):
            list(limit.run([job], forward))
    assert found == tried


def test_the_error_for_one_window_too_large_for_memory_says_what_to_do() -> None:
    forward, _ = failing_above(0, RuntimeError(CPU_MESSAGE))
    with pytest.raises(InvalidInputError, match=r"single window does not fit into memory.*smaller window"):
        list(limit_of(4).run([Job((0,), (0, 1))], forward))


def test_another_error_is_not_taken_for_memory() -> None:
    forward, tried = failing_above(0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(limit_of(4).run([Job((0,), (0, 1))], forward))
    assert tried == [2]
