"""Makes the blank language model known to transformers' `Auto...` classes; the other architectures are stock ones.

The model derives from a class of transformers, which takes seconds to import. So where transformers is not there yet,
the model is registered in the moment in which the `Auto...` classes are imported, by whomever.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

_CONFIGURATIONS = "transformers.models.auto.configuration_auto"
_MODELS = "transformers.models.auto.modeling_auto"


def register() -> None:
    """Let `AutoConfig` and `AutoModel` open checkpoints of the blank language model; twice is as good as once."""
    _register_configuration()
    _register_model()


def _register_configuration() -> None:
    from transformers import AutoConfig

    from matgen.models.blank_config import BlankConfig

    AutoConfig.register(BlankConfig.model_type, BlankConfig, exist_ok=True)


def _register_model() -> None:
    from transformers import AutoModel

    from matgen.models.blank import BlankLanguageModel
    from matgen.models.blank_config import BlankConfig

    AutoModel.register(BlankConfig, BlankLanguageModel, exist_ok=True)


def register_with_transformers() -> None:
    """Register with each of the `Auto...` classes at once where it is there, else as soon as it is imported."""
    waiting = {}
    for module, action in ((_CONFIGURATIONS, _register_configuration), (_MODELS, _register_model)):
        if module in sys.modules:
            action()
        else:
            waiting[module] = action
    if waiting and not any(isinstance(finder, _WhenImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported(waiting))


class _WhenImported(MetaPathFinder):
    """Finds modules as they would be found without it, and does something once they were executed.

    Args:
        waiting: name of a module to what is done, once.
    """

    def __init__(self, waiting: dict[str, Callable[[], None]]) -> None:
        self._waiting = waiting

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See `MetaPathFinder`."""
        action = self._waiting.pop(name, None)
        if action is None:
            return None
        spec = importlib.util.find_spec(name)  # by the other finders: the name is no longer waited for
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, action)
        return spec


class _Then(Loader):
    """A loader that does something after its module was executed.

    Args:
        loader: of the module.
        action: what is done.
    """

    def __init__(self, loader: Loader, action: Callable[[], None]) -> None:
        self._loader, self._action = loader, action

    def create_module(self, spec: ModuleSpec) -> Any:
        """See `Loader`."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """See `Loader`."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._action()
