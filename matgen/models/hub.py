"""Checkpoints on the Hugging Face Hub, there and back."""

from __future__ import annotations

from pathlib import Path

from matgen.errors import CheckpointError, MissingDependencyError, OptionError, OutputError, first_line
from matgen.io.places import is_hub_name
from matgen.models.checkpoint import read_metadata

FILES = ("*.json", "*.safetensors", "README.md")
"""What a checkpoint consists of: no pickle, no state of the training."""


def download(name: str) -> Path:
    """The folder of a checkpoint of the Hub, downloaded unless it is in the Hub's cache.

    Raises:
        CheckpointError: the Hub did not give it, or it is no checkpoint of matgen.
        MissingDependencyError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise _missing() from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except Exception as error:  # many kinds: no network, no such repository, no permission
        raise CheckpointError(f"{name} is no folder here, and the Hub did not give it: {first_line(error)}") from error


def push(folder: Path | str, name: str, *, private: bool = False) -> str:
    """Upload a checkpoint with its card; the repository is made if it does not exist.

    Args:
        folder: of the checkpoint.
        name: `organization/name`.
        private: whether a new repository is hidden from others.

    Returns:
        Its address.

    Raises:
        CheckpointError: the folder is not a finished checkpoint.
        OptionError: the name is not of the form `organization/name`.
        OutputError: the Hub refused.
        MissingDependencyError: huggingface_hub is not installed.
    """
    folder = Path(folder)
    read_metadata(folder)
    if not is_hub_name(name):
        raise OptionError(f"{name!r} is no name on the Hub: write it as organization/name")
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise _missing() from error
    api = HfApi()
    try:
        address = str(api.create_repo(name, private=private, exist_ok=True))
        api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=list(FILES),
            ignore_patterns=["training/*"],
            commit_message=f"Upload {folder.resolve().name}",
        )
    except Exception as error:  # many kinds: no token, no permission, no network
        raise OutputError(
            f"the Hub did not take {folder} as {name}: {first_line(error)} (log in by `hf auth login`)"
        ) from error
    return address


def _missing() -> MissingDependencyError:
    return MissingDependencyError("checkpoints on the Hub need huggingface_hub: pip install huggingface_hub")
