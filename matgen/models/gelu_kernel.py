"""Functions of bfloat16 numbers, looked up: there are 65,536 of them. Compiled by numba; without it torch computes."""

from __future__ import annotations

import numba


@numba.njit(nogil=True, cache=True, boundscheck=False)
def look_up(x, table, out):
    """Write the function values of bfloat16 numbers.

    Args:
        x: uint16 `(b, width)`, the bits of the numbers.
        table: uint16 `(65536,)`, by the bits of a number those of its value.
        out: uint16 `(b, width)`, written.
    """
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = table[x[i, j]]


def look_up_at(x, x_step, table, b, width, out):
    """The same where they lie in memory; a `runtime.machine_code.Kernel`, given pointers and numbers.

    Args:
        x: uint16 `(b, x_step)`, of which the first `width` columns are the bits of the numbers.
        x_step: numbers from one row to the next.
        table: uint16 `(65536,)`, by the bits of a number those of its value.
        b, width: the shape.
        out: uint16 `(b, width)`, written.
    """
    read, values = numba.carray(x, (b, x_step)), numba.carray(table, (65536,))
    written = numba.carray(out, (b, width))
    for i in range(b):
        for j in range(width):
            written[i, j] = values[read[i, j]]


@numba.njit(nogil=True, cache=True, boundscheck=False)
def look_up_times(x, table, grad, out):
    """The same times `grad`; table, `grad` and `out` are float32."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = table[x[i, j]] * grad[i, j]
