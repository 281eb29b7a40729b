"""The backends of LIFT by name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable
from typing import Any

from matgen.errors import unknown_name
from matgen.lift.interface import Backend

BACKENDS = ("scratch", "smollm2", "path")


def make_backend(name: str, **options: Any) -> Backend:
    """A backend by name: `scratch`, `smollm2`, or `path` (with `model`, a folder or Hub id).

    Raises:
        OptionError: an unknown name, or an option that the backend does not have.
        MissingDependencyError: `smollm2` or `path` without the extra `lift`.
    """
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    if name == "scratch":
        from matgen.lift.scratch.backend import ScratchBackend
        from matgen.lift.scratch.model import ScratchOptions

        _check_names(options, [field.name for field in dataclasses.fields(ScratchOptions)])
        return ScratchBackend(**options)
    from matgen.lift.pretrained.backend import PretrainedBackend

    _check_names(options, [name for name in inspect.signature(PretrainedBackend).parameters if name != "kind"])
    return PretrainedBackend(name, **options)


def _check_names(options: Iterable[str], known: list[str]) -> None:
    for name in options:
        if name not in known:
            raise unknown_name("option of the backend", name, known)
