"""What all visitors of one process share: models, each loaded once, and whose turn it is to use them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from matgen.app.cache import FormulaCache
from matgen.datasets import Dataset, load_dataset
from matgen.prediction import Predictor
from matgen.prediction.screening import Screen
from matgen.runtime.cache import cache_folder
from matgen.sampling import Sampler

if TYPE_CHECKING:
    from matgen.app.progress import CancellableProgress

_P = ParamSpec("_P")
_T = TypeVar("_T")


class once(Generic[_P, _T]):
    """What a function gives, computed once for each arguments even where several threads ask at the same time."""

    def __init__(self, load: Callable[_P, _T]) -> None:
        self._lock = threading.Lock()
        self._load: Any = functools.lru_cache(maxsize=16)(load)
        functools.update_wrapper(self, load)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The result, which is computed first where it was not yet."""
        with self._lock:
            result: _T = self._load(*args, **kwargs)
        return result

    def cache_clear(self) -> None:
        """Compute again at the next call."""
        self._load.cache_clear()


@once
def shared_sampler(checkpoint: Path, device: str) -> Sampler:
    """The model in a folder; whoever draws from it holds `DRAWING`."""
    return Sampler(checkpoint, device=device)


@once
def shared_predictor(folder: Path) -> Predictor:
    """The predictor in a folder; whoever predicts by it holds `PREDICTING`."""
    return Predictor.load(folder)


@once
def shared_screen(text: str, predictors: tuple[Path, ...]) -> Screen:
    """A filter with predictors of its own, which is used while drawing; whoever does holds `DRAWING`."""
    return Screen(text, predictors)


@once
def shared_known() -> Dataset:
    """What is known: compositions of OQMD and the Materials Project."""
    return load_dataset("hybrid")


@once
def shared_cache() -> FormulaCache:
    """Results of earlier work in matgen's cache folder."""
    return FormulaCache(cache_folder() / "app")


class Turn:
    """The right to use something that one thread at a time may use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, progress: CancellableProgress) -> Iterator[None]:
        """Wait for the turn and have it while the block lasts.

        Raises:
            Cancelled: `progress.cancel` was called meanwhile.
        """
        if not self._lock.acquire(blocking=False):
            progress.stage("Waiting for the work of another page")
            while not self._lock.acquire(timeout=0.2):
                progress.check()
        try:
            yield
        finally:
            self._lock.release()


DRAWING, PREDICTING, RELAXING = Turn(), Turn(), Turn()
"""Of the sampler and the screens, of the predictors, and of the potentials."""
