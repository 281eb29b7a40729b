"""Whether a GPU computes what the CPU computes: gradients of a training step, and draws by the same random numbers."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from matgen.datasets import load_dataset
from matgen.fitting.examples import TokenTable
from matgen.models import build_model
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import PAD, encode
from matgen.sampling import Decoding, Sampler
from matgen.training.prefix_tree import PrefixTreeLoss

FORMULAS = 200


def trained_alike(preset: str, device: str) -> dict[str, Any]:
    """Loss and gradient of a batch, without dropout, against those of the CPU in float32; called thrice.

    On a GPU the first call is as usual, the second is recorded and replayed, the third replayed.
    """
    batch = load_dataset("hybrid-pure").part("train")[:FORMULAS]
    ids = TokenTable.from_numpy(*encode(batch, "counted")).batch(np.arange(FORMULAS))[0]
    measured: dict[str, Any] = {}
    for key in ("gptj", "gpt2"):
        exact = _gradients(key, preset, ids, "cpu", "fp32", 1)[0]
        for precision in ("fp32", "bf16"):
            each = _gradients(key, preset, ids, device, precision, 3)
            measured[f"{key}_{precision}"] = [_differences(one, exact) for one in each]
    return measured


def _gradients(
    key: str, preset: str, ids: torch.Tensor, device: str, precision: str, calls: int
) -> list[tuple[float, torch.Tensor]]:
    """Loss and gradient of each call, on the CPU."""
    model = build_model(key, preset, "counted", seed=0)
    for name in ("embd_pdrop", "attn_pdrop", "resid_pdrop"):
        setattr(model.config, name, 0.0)
    learner = PrefixTreeLoss(model).to(device).train()
    results = []
    for _ in range(calls):
        model.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16", cache_enabled=device != "cuda"):
            loss = learner(ids)
        loss.backward()
        grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        results.append((float(loss.detach()), torch.cat(grads).float().cpu()))
        del loss  # a recording is refused while what is computed by its parameters is alive
    if device == "cuda" and not learner.replay.recorded:
        raise RuntimeError(f"no step was recorded: {learner.replay.failure}")
    return results


def _differences(measured: tuple[float, torch.Tensor], exact: tuple[float, torch.Tensor]) -> dict[str, float]:
    """Relative differences of loss and gradient."""
    return {
        "loss": abs(measured[0] - exact[0]) / abs(exact[0]),
        "gradient": float((measured[1] - exact[1]).norm() / exact[1].norm()),
    }


def drawn_alike(folder: Path, device: str, n: int) -> dict[str, Any]:
    """Share of samples that are the CPU's own, and by how many nats the ln probabilities of those are off."""
    exact = _drawn(folder, "cpu", "fp32", n)
    exact_ids = _widened(exact[0])
    measured: dict[str, Any] = {"n": n}
    for precision in ("fp32", "bf16"):
        ids, log_prob, tiles = _drawn(folder, device, precision, n)
        same = (_widened(ids) == exact_ids).all(axis=1)
        with contextlib.suppress(ValueError):  # none is the same
            measured[precision] = {
                "same": float(same.mean()),
                "largest_difference_in_nats": float(np.nanmax(np.abs(log_prob - exact[1])[same])),
                "tiles": tiles,
            }
        measured.setdefault(precision, {"same": 0.0})
    return measured


def _widened(ids: np.ndarray) -> np.ndarray:
    """Sequences of the greatest length."""
    return np.pad(ids, ((0, 0), (0, MAX_POSITIONS - ids.shape[1])), constant_values=PAD)


def _drawn(folder: Path, device: str, precision: str, n: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Token ids and ln probabilities of `n` samples, and the sizes of tiles."""
    drawer = Sampler(folder, precision=precision, device=device)._prefixes
    assert drawer is not None
    drawn = drawer.draw(n, 3, 0, Decoding())
    return drawn.ids, drawn.log_prob, list(drawer.tiles)
