"""The cache of keys and values, as the installed version of transformers takes it."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any


def cache_argument(keys_and_values: Any) -> dict[str, Any]:
    """A cache as argument of a model's forward pass or `generate`, which fill it in place."""
    return {_argument_name(): keys_and_values}


@cache
def _argument_name() -> str:
    from transformers import GenerationMixin

    # Since 5.24 the argument is called `cache`, and the name before that is going to be dropped.
    parameters = inspect.signature(GenerationMixin.prepare_inputs_for_generation).parameters
    return "cache" if "cache" in parameters else "past_key_values"
