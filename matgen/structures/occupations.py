"""Which Wyckoff positions each element takes, so that templates of one prototype are known as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=1_000_000)
def _canonical(letters: str, space_group: str) -> str:
    from pymatgen.analysis.prototypes import canonicalize_element_wyckoffs

    return str(canonicalize_element_wyckoffs(re.sub(r"(?<![0-9])([a-zA])", r"1\1", letters), space_group))


def occupation(prototype: str, old: Sequence[str], mapping: dict[str, str]) -> str:
    """Pearson symbol, space group and the Wyckoff letters of each new element, alphabetically.

    Letters are those of the choice of origin that comes first.

    Args:
        prototype: AFLOW's label.
        old: the elements that the label is of.
        mapping: old to new element.
    """
    _, pearson, space_group, *letters = prototype.split("_")
    of_new = {mapping[symbol]: part for symbol, part in zip(sorted(old), letters, strict=True)}
    return f"{pearson}_{space_group}_{_canonical('_'.join(of_new[new] for new in sorted(of_new)), space_group)}"
