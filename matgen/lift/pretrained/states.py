"""Hidden states that were read already, by the sentence, kept in files so that an interrupted reading goes on.

Reading is nearly all of the time that a linear head takes. A file that is damaged, or of another model, is as good as
none: what it held is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from matgen.errors import CheckpointError
from matgen.io.files import atomic_write
from matgen.io.weights import load_arrays, save_arrays

Sentence = tuple[int, ...]
"""Token ids."""
_DIGEST = 16


class KeptStates:
    """States of sentences in a folder.

    Args:
        folder: of the files; it is made with the first of them.
        origin: all that states depend on besides their sentence: the model, the layers and the poolings.
    """

    def __init__(self, folder: Path, origin: bytes) -> None:
        self.folder, self.origin = folder, np.frombuffer(_digest(origin), np.uint8)

    def read(self) -> dict[bytes, np.ndarray]:
        """The states that are there by `key_of` of their sentences, float32, each as it was written."""
        from safetensors import SafetensorError

        found: dict[bytes, np.ndarray] = {}
        for path in sorted(self.folder.glob("states-*.safetensors")):
            try:
                content = load_arrays(path)
                if np.array_equal(content["origin"], self.origin):
                    keys = (key.tobytes() for key in content["sentences"])
                    found.update(zip(keys, content["states"], strict=True))
            except (CheckpointError, OSError, SafetensorError, KeyError, ValueError):
                continue
        return found

    def write(self, sentences: Sequence[Sentence], states: np.ndarray) -> None:
        """Add states, float32 `(n, ...)`, of `n` sentences, as a file of its own."""
        taken = (int(path.stem.rpartition("-")[2]) for path in self.folder.glob("states-*.safetensors"))
        keys = np.stack([np.frombuffer(key_of(sentence), np.uint8) for sentence in sentences])
        with atomic_write(self.folder / f"states-{max(taken, default=-1) + 1:06d}.safetensors") as part:
            save_arrays({"origin": self.origin, "sentences": keys, "states": np.ascontiguousarray(states)}, part)


def key_of(sentence: Sentence) -> bytes:
    """What a sentence is found by."""
    return _digest(np.asarray(sentence, np.int64).tobytes())


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
