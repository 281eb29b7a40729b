"""Write the packaged elements.json, oxidation_states.json and magpie.json from tables of SMACT, pymatgen and matminer.

Run once when one of the libraries changes its tables: ``python data/build_elements.py``. The files are package data
because training, sampling, judging and predicting must work on machines that have none of them;
``tests/composition/test_elements.py``, ``tests/validity/test_rules.py`` and ``tests/prediction/test_magpie.py`` compare
them with the installed libraries.
"""

from __future__ import annotations

import csv
import json
import math
from importlib.metadata import version
from pathlib import Path

import pymatgen.analysis.cost
import smact
from matminer.featurizers.composition import ElementProperty
from pymatgen.core import Element
from smact.utils.oxidation import ICSD24OxStatesFilter

PACKAGE = Path(__file__).resolve().parent.parent / "matgen"
SMACT_LAST = 103
SUPPLY = {"crustal_abundance": "crustal_abundance", "hhi_production": "HHI_p", "hhi_reserve": "HHI_r"}
"""Column of `elements.json` to the attribute of `smact.Element` with it."""
TABLES = {"icsd16": "icsd16", "smact14": "smact14", "pymatgen": "sp", "wiki": "wiki"}
"""matgen's name of a table of states to the attribute of `smact.Element` that holds it, after `oxidation_states_`."""


def elements() -> str:
    """The content of elements.json."""
    rows = []
    prices = _prices()
    for z in range(1, 119):
        element = Element.from_Z(z)
        pymatgen_chi = float(element.X)
        known = smact.Element(element.symbol) if z <= SMACT_LAST else None
        chi = None if known is None else known.pauling_eneg
        rows.append(
            {
                "symbol": element.symbol,
                "electronegativity": chi,
                "pymatgen_electronegativity": None if math.isnan(pymatgen_chi) else pymatgen_chi,
                "metal": element.symbol in smact.metals,
                "d_block": element.symbol in smact.d_block,
                "valence_electrons": None if known is None else known.num_valence_modified,
                "atomic_mass": float(element.atomic_mass),
                "price": prices.get(element.symbol),
                **{name: getattr(known, attribute, None) for name, attribute in SUPPLY.items()},
            }
        )
    lines = ",\n    ".join(json.dumps(row) for row in rows)
    sources = {"smact": version("smact"), "pymatgen-core": version("pymatgen-core")}
    return f'{{\n  "sources": {json.dumps(sources)},\n  "elements": [\n    {lines}\n  ]\n}}\n'


def _prices() -> dict[str, float]:
    """US dollars a kilogram of each element, the least that pymatgen's table has."""
    prices: dict[str, float] = {}
    path = Path(pymatgen.analysis.cost.__file__).with_name("costdb_elements.csv")
    with open(path, encoding="utf-8", newline="") as table:
        for symbol, price, *_ in csv.reader(table, quotechar="|"):
            prices[symbol] = min(float(price), prices.get(symbol, math.inf))
    return prices


def oxidation_states() -> str:
    """The content of oxidation_states.json: the tables, and how often the ICSD (2024) reports each state."""
    symbols = smact.ordered_elements(1, SMACT_LAST)
    content: dict[str, dict[str, object]] = {"icsd24_reports": {symbol: {} for symbol in symbols}}
    for row in ICSD24OxStatesFilter().ox_states_df.itertuples():
        if row.results_count:
            content["icsd24_reports"][row.element][str(row.oxidation_state)] = int(row.results_count)
    for name, attribute in TABLES.items():
        states = {symbol: getattr(smact.Element(symbol), f"oxidation_states_{attribute}") for symbol in symbols}
        content[name] = {symbol: found for symbol, found in states.items() if found}
    parts = [f'  "sources": {json.dumps({"smact": version("smact")})}']
    for name, table in content.items():
        lines = ",\n    ".join(f"{json.dumps(symbol)}: {json.dumps(value)}" for symbol, value in table.items() if value)
        parts.append(f"  {json.dumps(name)}: {{\n    {lines}\n  }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def magpie() -> str:
    """The content of magpie.json: each property of matminer's preset `magpie`, by atomic number from 1."""
    preset = ElementProperty.from_preset("magpie", impute_nan=False)
    lines = []
    for name in preset.features:
        values = [preset.data_source.get_elemental_property(Element.from_Z(z), name) for z in range(1, 119)]
        lines.append(f"    {json.dumps(name)}: {json.dumps([None if math.isnan(v) else v for v in values])}")
    sources = {"matminer": version("matminer")}
    return f'{{\n  "sources": {json.dumps(sources)},\n  "properties": {{\n' + ",\n".join(lines) + "\n  }\n}\n"


def main() -> None:
    (PACKAGE / "composition" / "elements.json").write_text(elements(), encoding="utf-8")
    (PACKAGE / "prediction" / "magpie.json").write_text(magpie(), encoding="utf-8")
    (PACKAGE / "validity" / "oxidation_states.json").write_text(oxidation_states(), encoding="utf-8")


if __name__ == "__main__":
    main()
