"""Finding the checkpoint that a name means."""

from __future__ import annotations

from pathlib import Path

from matgen.datasets import data_folder
from matgen.errors import CheckpointError, MissingDependencyError, first_line
from matgen.models.checkpoint import METADATA

RUNS = Path("runs")
"""Where `matgen train` puts its runs, and where the newest one is looked for."""


def bundled_checkpoints() -> dict[str, Path]:
    """Names and folders of the checkpoints that come with matgen, the default one first."""
    folder = data_folder() / "checkpoints"
    return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{METADATA}"))}


def find_checkpoint(name: str | None) -> Path:
    """The folder that `--model` means.

    Args:
        name: a folder, the name of a bundled checkpoint, or a Hub id (`organisation/name`, which is downloaded); None
            for the default: the bundled checkpoint, without one the newest run in `runs/`.

    Raises:
        CheckpointError: nothing of that name.
    """
    bundled = bundled_checkpoints()
    if name is None:
        runs = sorted(RUNS.glob(f"*/{METADATA}"), key=lambda path: path.stat().st_mtime)
        found = [*bundled.values(), *(path.parent for path in reversed(runs))]
        if not found:
            raise CheckpointError(
                "no checkpoint yet: train one with `matgen train --model gptj`, or name one by --model"
            )
        return found[0]
    if Path(name).is_dir():
        return Path(name)
    if name in bundled:
        return bundled[name]
    if (
        name.count("/") == 1
        and not name.startswith((".", "/"))
        and not name.endswith("/")
        and not name.startswith("runs/")
    ):
        return _from_hub(name)
    known = f"; bundled: {', '.join(bundled)}" if bundled else ""
    raise CheckpointError(f"no checkpoint folder {name}{known}")


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingDependencyError(
            "checkpoints from the Hub need huggingface_hub: pip install huggingface_hub"
        ) from error
    try:
        allowed = ["*.json", "*.safetensors", "README.md"]  # never a pickle
        return Path(snapshot_download(name, allow_patterns=allowed))
    except Exception as error:  # many kinds: no network, no such repository, no permission
        raise CheckpointError(f"{name} is no folder here, and the Hub did not give it: {first_line(error)}") from error
