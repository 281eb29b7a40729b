"""Makes the blank language model known to transformers' `Auto...` classes, without importing transformers for it.

`import matgen` costs nothing, so the classes are registered when somebody first imports the module of transformers that
keeps the lists (or at once, if that has happened).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


def _register_config(lists: ModuleType) -> None:
    config = import_module("matgen.models.blank_config").BlankConfig
    lists.AutoConfig.register(config.model_type, config, exist_ok=True)


def _register_model(lists: ModuleType) -> None:
    config = import_module("matgen.models.blank_config").BlankConfig
    lists.AutoModel.register(config, import_module("matgen.models.blank").BlankLanguageModel, exist_ok=True)


_WHEN_IMPORTED: dict[str, Callable[[ModuleType], None]] = {
    "transformers.models.auto.configuration_auto": _register_config,
    "transformers.models.auto.modeling_auto": _register_model,
}


class _After(Loader):
    """Loads a module as its own loader does, and registers the model then."""

    def __init__(self, loader: Loader, then: Callable[[ModuleType], None]) -> None:
        self.loader, self.then = loader, then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See `importlib.abc.Loader`."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib.abc.Loader`."""
        self.loader.exec_module(module)
        self.then(module)


class _Finder(MetaPathFinder):
    """Waits for the modules of `_WHEN_IMPORTED`."""

    def __init__(self) -> None:
        self.waiting = dict(_WHEN_IMPORTED)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`; the module is found by the finders after this one."""
        then = self.waiting.pop(fullname, None)
        if then is None:
            return None
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _After(spec.loader, then)
        return spec


def register() -> None:
    """Register now what is imported already, and the rest when it is."""
    finder = _Finder()
    for name in [name for name in finder.waiting if name in sys.modules]:
        finder.waiting.pop(name)(sys.modules[name])
    if finder.waiting:
        sys.meta_path.insert(0, finder)
