"""Whether an error says that memory ran out, on a CPU or a GPU."""

import torch

# What other libraries than torch's allocator say.
_TEXTS = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_NO_ENGINE = "unable to find an engine to execute this computation"
_LITTLE_FREE = 0.25
"""With a smaller share of a GPU's memory free, it is memory that cuDNN lacks: a batch begins with half of it."""


def has_no_engine(error: Exception) -> bool:
    """Whether cuDNN found no way to go: for want of memory, perhaps, which fewer items at once would show."""
    return _NO_ENGINE in str(error)


def is_out_of_memory(error: Exception, device: torch.device) -> bool:
    """Whether memory ran out: torch on CUDA has a class for it, CUDA's libraries and a CPU a plain `RuntimeError`.

    cuDNN says the same when it has too little memory for any of its ways as when it has none for these types or is
    broken itself; then what is free on the `device` decides.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error)
    if has_no_engine(error) and device.type == "cuda":
        free_bytes, all_bytes = torch.cuda.mem_get_info(device)
        return free_bytes < _LITTLE_FREE * all_bytes
    return isinstance(error, RuntimeError) and any(text in said for text in _TEXTS)
