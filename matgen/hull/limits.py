"""How far above the hull a compound may lie."""

METASTABLE = 0.1
"""eV/atom above the hull up to which a compound counts as near it."""
