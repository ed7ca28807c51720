"""A test finds the process of its worker as the first test found it, whichever files of tests ran there before.

Which files share a worker depends on how fast the machine is, so that what one leaves behind fails another in some runs
only.
"""

import logging
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

SEED = 2026

_OF_PYTEST = "PYTEST_CURRENT_TEST"

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


@contextmanager
def left_as_found() -> Iterator[None]:
    """Seed the random generators; at the end put back loggers, environment, folder, import paths, signal handlers."""
    _seed()
    loggers = {logger: _state(logger) for logger in _loggers()}
    disabled = logging.root.manager.disable
    environment, folder, paths = _environment(), os.getcwd(), list(sys.path)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        logging.disable(disabled)
        for logger in _loggers():
            if logger in loggers or logger.name.startswith("activelabel"):
                _put_back(logger, *loggers.get(logger, (logging.NOTSET, True, False, ())))
        _put_environment_back(environment)
        os.chdir(folder)
        sys.path[:] = paths
        for number, handler in handlers.items():
            if handler is not None:  # None: one that Python cannot set
                signal.signal(number, handler)


def _seed() -> None:
    random.seed(SEED)
    np.random.seed(SEED)
    if "torch" in sys.modules:
        # `torch.manual_seed` also notes what is to be done once there is a GPU, each time with three printed stacks.
        torch = sys.modules["torch"]
        torch.default_generator.manual_seed(SEED)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(SEED)


def _loggers() -> list[logging.Logger]:
    named = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(logger for logger in named if isinstance(logger, logging.Logger))]


def _state(logger: logging.Logger) -> tuple[int, bool, bool, tuple[logging.Handler, ...]]:
    return logger.level, logger.propagate, logger.disabled, tuple(logger.handlers)


def _put_back(
    logger: logging.Logger, level: int, propagate: bool, disabled: bool, handlers: tuple[logging.Handler, ...]
) -> None:
    if logger.level != level:
        logger.setLevel(level)  # which empties a cache of all loggers
    logger.propagate, logger.disabled = propagate, disabled
    if tuple(logger.handlers) != handlers:
        logger.handlers[:] = handlers


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != _OF_PYTEST}


def _put_environment_back(before: dict[str, str]) -> None:
    """Change what differs alone: threads that go on may read the rest meanwhile."""
    now = _environment()
    for name in now.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if now.get(name) != value:
            os.environ[name] = value
