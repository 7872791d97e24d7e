"""Weights on the Hugging Face hub: a repository holds them as one file. The variable HF_ENDPOINT names another hub.

Needs the extra `train`, whose accelerate brings huggingface_hub.
"""

import os
from pathlib import Path

from ..errors import ElsfaceError
from ..packages import extra

FILE = "model.safetensors"


def download(repository: str) -> Path:
    """The weights of a repository, in the hub's own cache.

    Args:
        repository: "owner/name".

    Raises:
        ElsfaceError: the extra is missing, there is no such repository or file in it, or the hub cannot be reached.
    """
    with extra("train"):
        from huggingface_hub import hf_hub_download
    try:
        return Path(hf_hub_download(repository, FILE, endpoint=os.environ.get("HF_ENDPOINT")))
    except (OSError, ValueError, LookupError, RuntimeError) as error:  # all of the hub's and its network's
        raise ElsfaceError(
            f"there is no folder {repository} here, and no {FILE} to be had of the repository of that name on the "
            f"Hugging Face hub ({_reason(error)}): check the name and the network."
        ) from error


def upload(path: Path, repository: str, private: bool, token: str | None) -> None:
    """Puts a file of weights into a repository, which is made if there is none.

    Args:
        path: the file.
        repository: "owner/name".
        private: whether a new repository is for its owner alone.
        token: of the hub; None takes the one of `hf auth login`.

    Raises:
        ElsfaceError: the extra is missing, or the hub does not take it.
    """
    with extra("train"):
        from huggingface_hub import HfApi
    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_file(path_or_fileobj=path, path_in_repo=FILE, repo_id=repository)
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        raise ElsfaceError(
            f"the Hugging Face hub does not take weights for {repository} ({_reason(error)}): log in by "
            "`hf auth login`, as somebody who may write there."
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
