"""Write matgen/elements.json from the element tables of SMACT and pymatgen.

Run once when either library changes its tables: ``python data/build_elements.py``. The file is package data because
training and sampling must work on machines that have neither library; ``tests/test_chemistry.py`` compares it with the
installed libraries.
"""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from pathlib import Path

import smact
from pymatgen.core import Element

OUT = Path(__file__).resolve().parent.parent / "matgen" / "elements.json"
SMACT_LAST = 103


def main() -> None:
    rows = []
    for z in range(1, 119):
        element = Element.from_Z(z)
        pymatgen_chi = float(element.X)
        chi = smact.Element(element.symbol).pauling_eneg if z <= SMACT_LAST else None
        rows.append(
            {
                "symbol": element.symbol,
                "electronegativity": chi,
                "pymatgen_electronegativity": None if math.isnan(pymatgen_chi) else pymatgen_chi,
                "metal": element.symbol in smact.metals,
            }
        )
    sources = {"smact": version("smact"), "pymatgen-core": version("pymatgen-core")}
    lines = ",\n    ".join(json.dumps(row) for row in rows)
    OUT.write_text(f'{{\n  "sources": {json.dumps(sources)},\n  "elements": [\n    {lines}\n  ]\n}}\n')


if __name__ == "__main__":
    main()
