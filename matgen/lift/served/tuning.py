"""Fine-tuning by a job of the server, where it has such jobs (OpenAI, and servers that copy them)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.errors import DataError, OptionError
from matgen.io.files import read_json, write_json
from matgen.lift.served.endpoint import Endpoint, RefusedError

if TYPE_CHECKING:
    from matgen.runtime.progress import ProgressFactory

_JOB = "job.json"
_PAUSE = 10.0
"""Seconds between two looks at a job."""
_FAILED = ("failed", "cancelled")


def training_lines(prompts: list[Any], answers: list[str], mark: str) -> str:
    """Prompts with answers as lines of JSON, as jobs take them.

    Args:
        prompts: texts, or messages of a chat.
        answers: of each.
        mark: that ends the answers to texts.
    """
    lines = []
    for prompt, answer in zip(prompts, answers, strict=True):
        if isinstance(prompt, str):
            lines.append(json.dumps({"prompt": prompt, "completion": answer + mark}))
        else:
            lines.append(json.dumps({"messages": [*prompt, {"role": "assistant", "content": answer}]}))
    return "\n".join(lines) + "\n"


def tuned_model(
    server: Endpoint,
    lines: str,
    validation: str | None,
    *,
    seed: int,
    folder: Path | None,
    resume: bool,
    progress: ProgressFactory,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """The name of the model that a job makes.

    Args:
        server: that has the jobs.
        lines: as `training_lines` writes them.
        validation: likewise, of rows to validate on; None of none.
        seed: of the job.
        folder: where the job's id is kept, so that an interrupted wait goes on.
        resume: wait for the job in `folder`.
        progress: counts the looks at the job.
        sleep: waits so many seconds; for tests.

    Raises:
        OptionError: the server has no such jobs.
        DataError: the job failed.
    """
    kept = None if folder is None else folder / _JOB
    if resume and kept is not None and kept.is_file():
        job_id = str(read_json(kept)["id"])
    else:
        job_id = _begun(server, lines, validation, seed)
        if kept is not None:
            write_json(kept, {"id": job_id})
    with progress(None, "tune", "looks") as count:
        while True:
            job = server.get(f"fine_tuning/jobs/{job_id}")
            status = job.get("status")
            if status == "succeeded" and job.get("fine_tuned_model"):
                return str(job["fine_tuned_model"])
            if status in _FAILED:
                why = (job.get("error") or {}).get("message") or "no reason is given"
                raise DataError(f"the fine-tuning job {job_id} {status}: {' '.join(str(why).split())[:200]}")
            count.update()
            sleep(_PAUSE)


def _begun(server: Endpoint, lines: str, validation: str | None, seed: int) -> str:
    try:
        body: dict[str, Any] = {"model": server.options.model, "training_file": _uploaded(server, lines), "seed": seed}
        if validation is not None:
            body["validation_file"] = _uploaded(server, validation)
        # A job that was begun twice would be paid for twice: it is not asked for again.
        return str(server.post("fine_tuning/jobs", body, retries=0)["id"])
    except KeyError as error:
        raise DataError(f"{server.options.address} began a job, or took a file, and gave no id") from error
    except RefusedError as error:
        if error.status in (404, 405, 501):
            raise OptionError(
                f"{server.options.address} has no fine-tuning jobs: leave out tune, and the model learns from examples "
                "in its prompts"
            ) from error
        raise


def _uploaded(server: Endpoint, lines: str) -> str:
    files = {"file": ("rows.jsonl", lines.encode(), "application/jsonl")}
    return str(server.post("files", files=files, data={"purpose": "fine-tune"})["id"])
