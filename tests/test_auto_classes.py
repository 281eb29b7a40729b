from __future__ import annotations

import subprocess
import sys

import matgen.auto_classes


def test_transformers_is_not_imported_for_it_and_knows_the_model_once_it_is() -> None:
    code = """
import sys, matgen
assert "transformers" not in sys.modules
from transformers import CONFIG_MAPPING, MODEL_MAPPING
assert CONFIG_MAPPING["blank_language_model"].__name__ == "BlankConfig"
assert MODEL_MAPPING[CONFIG_MAPPING["blank_language_model"]].__name__ == "BlankLanguageModel"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_registering_twice_does_no_harm() -> None:
    before = len(sys.meta_path)
    matgen.auto_classes.register()
    matgen.auto_classes.register()
    assert len(sys.meta_path) <= before + 2
    from transformers import AutoConfig

    assert AutoConfig.for_model("blank_language_model").model_type == "blank_language_model"
