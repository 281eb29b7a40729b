"""GELU by its tanh approximation (Hendrycks and Gimpel, arXiv:1606.08415) of bfloat16 numbers, as tables."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


def bits(x: Tensor) -> np.ndarray:
    """The bits of bfloat16 numbers, uint16 of the same shape, in the same memory."""
    return x.detach().view(torch.int16).numpy().view("uint16")


@cache
def gelu_tables() -> tuple[np.ndarray, np.ndarray]:
    """Of every bfloat16 number, by its bits: its GELU, as bits, uint16 `(65536,)`, and the derivative, float32."""
    with torch.inference_mode(False), torch.enable_grad():
        every = torch.arange(1 << 16).to(torch.int16).view(torch.bfloat16)  # by their bits, NaN and infinities too
        values, at = functional.gelu(every, approximate="tanh"), every.float().requires_grad_()
        (slope,) = torch.autograd.grad(functional.gelu(at, approximate="tanh").sum(), at)
    return bits(values).copy(), slope.numpy().copy()
