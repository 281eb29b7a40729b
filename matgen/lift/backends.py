"""The language models behind LIFT: one row of `BACKENDS` each, which help, documentation and dispatch are made from.

A backend is added by its module and its row. Rows import the module when a backend is built, so that a command that
names another backend needs none of its packages.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.errors import unknown_name
from matgen.lift.interface import Backend

if TYPE_CHECKING:
    from matgen.lift.sentences import Sentences


@dataclass(frozen=True)
class BackendKind:
    """A backend that is chosen by name.

    Attributes:
        name: as on the command line.
        description: in a few words, for the help.
        build: makes a backend that is not fitted, from its options.
        options: names of the options that `build` takes.
        example: of such options, as on the command line; for the help.
        augments_rows: `noise` and `mixup` of the estimators are options of the backend, which augments its rows anew at
            every step; for other backends the estimators augment the training rows once.
        extra: the extra of matgen that installs what it needs; empty where nothing else is needed.
        knows_language: it has `write`, and can explain a prediction in words.
        learns_rows: `LiftGenerator` trains its architecture on rows without a target.
    """

    name: str
    description: str
    build: Callable[..., Backend]
    options: Callable[[], Iterable[str]]
    example: str = ""
    augments_rows: bool = False
    extra: str = ""
    knows_language: bool = False
    learns_rows: bool = False

    @property
    def summary(self) -> str:
        """Name, description and extra, for the help."""
        return f"{self.name} ({self.description}{f', extra {self.extra}' if self.extra else ''})"


def _scratch(**options: Any) -> Backend:
    from matgen.lift.scratch.backend import ScratchBackend

    return ScratchBackend(**options)


def _scratch_options() -> list[str]:
    from matgen.lift.scratch.model import ScratchOptions

    return [field.name for field in dataclasses.fields(ScratchOptions)]


def _smollm2(**options: Any) -> Backend:
    from matgen.lift.pretrained.backend import PretrainedBackend

    return PretrainedBackend("smollm2", **options)


def _path(**options: Any) -> Backend:
    from matgen.lift.pretrained.backend import PretrainedBackend

    return PretrainedBackend("path", **options)


def _api(**options: Any) -> Backend:
    from matgen.lift.served.backend import ServedBackend

    return ServedBackend(**options)


def _api_options() -> list[str]:
    from matgen.lift.served.options import ServedOptions

    return ServedOptions.names()


def _pretrained_options() -> list[str]:
    from matgen.lift.pretrained.backend import PretrainedBackend

    return [name for name in inspect.signature(PretrainedBackend).parameters if name != "kind"]


BACKENDS: dict[str, BackendKind] = {
    kind.name: kind
    for kind in (
        BackendKind(
            "scratch",
            "a small model, trained from scratch",
            _scratch,
            _scratch_options,
            example="steps=3000,width=96",
            augments_rows=True,
            learns_rows=True,
        ),
        BackendKind(
            "smollm2",
            "SmolLM2-135M, pre-trained",
            _smollm2,
            _pretrained_options,
            example="epochs=5",
            extra="lift",
            knows_language=True,
        ),
        BackendKind(
            "path",
            "a causal language model of yours",
            _path,
            _pretrained_options,
            example="rank=8",
            extra="lift",
            knows_language=True,
        ),
        BackendKind(
            "api",
            "a model behind an OpenAI-compatible server",
            _api,
            _api_options,
            example="examples=8,max_requests=500",
            extra="api",
            knows_language=True,
        ),
    )
}


def backend_kind(name: str) -> BackendKind:
    """The row of a name.

    Raises:
        OptionError: there is none.
    """
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    return BACKENDS[name]


def make_backend(name: str, **options: Any) -> Backend:
    """A backend by name, not fitted.

    Raises:
        OptionError: an unknown name, or an option that the backend does not have.
    """
    kind = backend_kind(name)
    known = list(kind.options())
    for option in options:
        if option not in known:
            raise unknown_name("option of the backend", option, known)
    return kind.build(**options)


def load_backend(name: str, folder: Path, sentences: Sentences, **options: Any) -> Backend:
    """A fitted backend from the folder that its `save` wrote.

    Args:
        name: of the backend.
        folder: what `Backend.save` was given.
        sentences: how rows are written.
        options: as of `make_backend`.

    Raises:
        OptionError: as `make_backend`.
        CheckpointError: a file is missing or damaged.
        MissingDependencyError: what the backend needs is not installed.
    """
    backend = make_backend(name, **options)
    backend.load(folder, sentences)
    return backend
