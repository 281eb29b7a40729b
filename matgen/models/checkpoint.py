"""Checkpoints: plain Hugging Face folders with a `matgen.json` beside the weights. Safetensors only, no pickle."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS
from matgen.errors import CheckpointError, DataError, OutputError, first_line
from matgen.io.files import read_checksummed, write_json, write_text
from matgen.io.folders import FILES_KEY, read_description, verify_files, write_description
from matgen.io.versions import versions
from matgen.models.conditions import Conditions, attach_conditions
from matgen.models.registration import register
from matgen.models.registry import MODELS, Architecture, architecture
from matgen.models.tokenizer import EOS, NOTATIONS, hugging_face_tokenizer, suppressed_ids, vocabulary

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from matgen.models.causal_model import CausalModel

METADATA = "matgen.json"
REINFORCEMENT_PLAN = Path("training") / "reinforcement.json"
"""The plan of a reinforcement that has not ended, in its folder."""
FORMER_SUMS = {"model.safetensors": "model_sha256", "config.json": "config_sha256"}
"""Files of checkpoints of 0.2, and the keys of `METADATA` that held their SHA-256."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model and what is known of it.

    Attributes:
        architecture: its row in the registry.
        notation: notation of its tokens.
        metadata: the content of `matgen.json`.
        folder: where it was read from.
        device: where its weights are.
        read: the model as matgen reads it by itself, None where it is left to transformers.
    """

    architecture: Architecture
    notation: str
    metadata: dict[str, Any]
    folder: Path
    device: torch.device | str = "cpu"
    read: CausalModel | None = None

    @cached_property
    def model(self) -> PreTrainedModel:
        """The transformers model, in evaluation mode, opened when it is first asked for (which takes seconds).

        Raises:
            CheckpointError: the folder was changed, and cannot be opened any more.
        """
        model = _open_by_transformers(self.folder, self.architecture).to(self.device).eval()
        if self.conditions is not None:
            attach_conditions(model, self.conditions)
        return model

    @property
    def network(self) -> CausalModel | PreTrainedModel:
        """What computes logits: the transformers model once it was opened, since it may be trained, else `read`."""
        return self.model if self.read is None or "model" in vars(self) else self.read

    @cached_property
    def conditions(self) -> Conditions | None:
        """The properties that the model is conditioned on, None for an unconditional one."""
        content = self.metadata.get("conditions")
        return None if content is None else Conditions.from_description(content)

    def known_elements(self) -> np.ndarray | None:
        """Elements that the model has seen in training, bool `(119,)`; None where the checkpoint does not say."""
        seen = self.metadata.get("elements")
        return None if seen is None else np.isin(np.arange(N_ELEMENTS + 1), [ATOMIC_NUMBER[symbol] for symbol in seen])


def save_checkpoint(folder: Path, model: PreTrainedModel, metadata: dict[str, Any], *, card: str = "") -> None:
    """Write a checkpoint file by file into `folder`, `matgen.json` last, so that a folder with it is complete.

    Args:
        folder: created if missing; files of an earlier checkpoint there are replaced, other files stay.
        model: the model to save.
        metadata: at least `architecture` and `notation`; versions are added.
        card: text of the model card (README.md); none is written when empty.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = Path(folder)
    notation = metadata["notation"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
            staging = Path(temporary)
            with _quiet_transformers():
                model.save_pretrained(staging)
            hugging_face_tokenizer(notation).save_pretrained(staging)
            write_json(staging / "generation_config.json", _generation_config(model, notation))
            if card:
                write_text(staging / "README.md", card)
            (folder / METADATA).unlink(missing_ok=True)
            written = sorted(path.name for path in staging.iterdir())
            for name in written:
                shutil.move(staging / name, folder / name)
    except OSError as error:
        raise OutputError(f"cannot write the checkpoint {folder}: {error.strerror or error}") from error
    metadata = metadata | {"versions": versions("torch", "transformers", "accelerate", "numpy")}
    write_description(folder, METADATA, metadata, only=[name for name in written if name != "README.md"])


def load_checkpoint(folder: Path | str, *, device: torch.device | str = "cpu") -> Checkpoint:
    """Open a checkpoint folder, with weights as float32 on `device`.

    GPT, GPT-2, GPT-Neo and GPT-J are read without transformers, which is imported once `Checkpoint.model` is asked for.

    Raises:
        CheckpointError: the folder is missing, is not a matgen checkpoint, is damaged, or does not fit its vocabulary.
    """
    folder = Path(folder)
    metadata = read_metadata(folder)
    row, notation = architecture(metadata["architecture"]), metadata["notation"]
    try:
        verify_files(folder, METADATA, metadata, "run `matgen train` again")
    except DataError as error:
        raise CheckpointError(str(error)) from error
    read = None
    if row.layout is not None:
        from matgen.models.causal_model import read_causal_model

        read = read_causal_model(folder, row.model_type, device)
    checkpoint = Checkpoint(row, notation, metadata, folder, device, read)
    n_tokens = checkpoint.network.config.vocab_size
    if n_tokens != len(vocabulary(notation)):
        raise CheckpointError(
            f"{folder} has {n_tokens} tokens, the notation {notation} has {len(vocabulary(notation))}: "
            "it was not written by matgen"
        )
    if read is not None and checkpoint.conditions is not None:
        attach_conditions(read, checkpoint.conditions)
    return checkpoint


def _open_by_transformers(folder: Path, row: Architecture) -> PreTrainedModel:
    """The model with weights as float32; raises as `load_checkpoint`."""
    import torch
    import transformers

    if not row.stock:
        register()
    try:
        with _quiet_transformers():
            return getattr(transformers, row.auto_class).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
    except Exception as error:  # transformers and safetensors raise many kinds for a damaged folder
        raise CheckpointError(f"cannot open the checkpoint {folder}: {first_line(error)}") from error


def read_metadata(folder: Path | str) -> dict[str, Any]:
    """The `matgen.json` of a checkpoint folder.

    Raises:
        CheckpointError: the folder or file is missing, damaged, or names an architecture or notation unknown here.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint folder {folder}: train one with `matgen train --out {folder}`")
    if not (folder / METADATA).is_file():
        unfinished = (folder / "training").is_dir()
        verb = "reinforce" if (folder / REINFORCEMENT_PLAN).is_file() else "train"
        what = f"its training has not ended: `matgen {verb} --resume` goes on" if unfinished else "not made by matgen"
        raise CheckpointError(f"{folder} has no {METADATA}: {what}")
    try:
        metadata = _with_present_sums(read_description(folder, METADATA))
    except DataError as error:
        raise CheckpointError(str(error)) from error
    if metadata.get("architecture") not in MODELS:
        raise CheckpointError(f"{folder / METADATA} names no architecture of {', '.join(MODELS)}")
    if metadata.get("notation") not in NOTATIONS:
        raise CheckpointError(f"{folder / METADATA} names no notation of {', '.join(NOTATIONS)}")
    return metadata


def _with_present_sums(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata with the checksums of 0.2, under a key for each file, where those of all files stand now."""
    sums = {name: metadata.pop(key) for name, key in FORMER_SUMS.items() if key in metadata}
    return metadata if not sums or FILES_KEY in metadata else metadata | {FILES_KEY: sums}


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No bars and remarks of transformers about opening and writing a file of a megabyte."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _generation_config(model: PreTrainedModel, notation: str) -> dict[str, Any]:
    """Settings with which transformers' own `generate` draws from the same distribution as matgen's sampler."""
    if not model.can_generate():
        return {}
    content = model.generation_config.to_diff_dict()
    return content | {
        "do_sample": True,
        "top_k": 0,
        "suppress_tokens": suppressed_ids(notation),
        "begin_suppress_tokens": [EOS],
    }


def read_unfinished(out: Path, plan: Path) -> dict[str, Any]:
    """The saved plan of the interrupted run in a folder.

    Args:
        out: the folder.
        plan: where in it the plan of such a run is.

    Raises:
        CheckpointError: there is none, or the run has ended.
    """
    if (out / METADATA).is_file():
        raise CheckpointError(f"the run in {out} has ended: there is nothing to resume")
    if not (out / plan).is_file():
        raise CheckpointError(f"nothing to resume in {out}: start without --resume")
    return read_checksummed(out / plan)
