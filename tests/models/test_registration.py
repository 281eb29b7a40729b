from __future__ import annotations

import subprocess
import sys

import pytest
from transformers import AutoConfig

from matgen.models.registration import register


@pytest.mark.slow
def test_importing_the_models_registers_the_blank_language_model_and_importing_matgen_does_nothing() -> None:
    code = """
import sys
finders = list(sys.meta_path)
import matgen
assert "transformers" not in sys.modules and sys.meta_path == finders
import matgen.models
from transformers import CONFIG_MAPPING, MODEL_MAPPING
assert CONFIG_MAPPING["blank_language_model"].__name__ == "BlankConfig"
assert MODEL_MAPPING[CONFIG_MAPPING["blank_language_model"]].__name__ == "BlankLanguageModel"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_registering_twice_does_no_harm() -> None:
    register()
    register()
    assert AutoConfig.for_model("blank_language_model").model_type == "blank_language_model"
