"""Small files and formulas as people have them, and what matgen should make of each.

python tests/data/make_real_files.py writes `real_files/` anew: files, and `expected.json` with one entry a file or
formula.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "real_files"

# Text to the reduced formula, or None where it is refused, and a part of the remark or reason ("" for no remark).
FORMULAS: list[tuple[str, str | None, str]] = [
    ("Fe2O3", "Fe2O3", ""),
    ("Al2 O3", "Al2O3", ""),
    ("Fe 2 O 3", "Fe2O3", ""),
    ("Ca3(PO4)2", "Ca3(PO4)2", ""),
    ("K4[Fe(CN)6]", "K4Fe(CN)6", ""),
    ("Fe₂O₃", "Fe2O3", ""),
    ("(NH4)2SO4", "H8S(NO2)2", ""),
    ("CuSO4·5H2O", "CuH10SO9", ""),
    ("CuSO4 • 5 H2O", "CuH10SO9", ""),
    ("CuSO4*5H2O", "CuH10SO9", ""),
    ("CuSO4.5H2O", "CuH10SO9", "the point is read as the dot"),
    ("MgCl2.6H2O", "MgH12(ClO3)2", "the point is read as the dot"),
    ("Na2CO3.10H2O", "Na2H20CO13", "the point is read as the dot"),
    ("CaSO4·½H2O", "Ca2H2S2O9", ""),
    ("CaSO4.0.5H2O", "Ca2H2S2O9", "the point is read as the dot"),
    ("LiNi1/3Mn1/3Co1/3O2", "Li3MnCoNiO6", ""),
    ("LiNi0.33Mn0.33Co0.33O2", "Li3MnCoNiO6", "0.33 as 1/3"),
    ("Fe0.6667O1", "Fe2O3", "0.6667 as 2/3"),
    ("Fe0.6666666666666667O", "Fe2O3", "as 2/3"),
    ("La0.7Sr0.3MnO3", "Sr3La7Mn10O30", ""),
    ("YBa2Cu3O6.9", "Ba20Y10(Cu10O23)3", ""),
    ("D2O", "H2O", "D is read as hydrogen"),
    ("H₂¹⁸O", "H2O", "whatever the isotope"),
    ("NaN", "NaN", "or a missing value?"),
    ("C60", "C", ""),
    ("K2Cr207", "K2Cr207", "zero for the letter O?"),
    ("GaN 3.4", None, "two columns"),
    ("MgO 225", None, "two columns"),
    ("Ga N 3.4", None, "two columns"),
    ("GaN;3.4", None, "two columns"),
    ("Fe203", None, "zero for the letter O?"),
    ("H20", None, "zero for the letter O?"),
    ("Si02", None, "zero for the letter O?"),
    ("LiFeP04", None, "zero for the letter O?"),
    ("Fe2O3 Fe3O4", None, "two formulas in one?"),
    ("Fe@C", None, "'@' joins two substances"),
    ("La0.5Sr0.5CoO3.5H2O", None, "write La0.5Sr0.5CoO3·5H2O"),
    ("Al2O3.2SiO2", None, "write Al2O3·2SiO2"),
    ("Ca(NO3)2 4H2O", None, "write Ca(NO3)2·4H2O"),
    ("Na+", "Na", "charge + left out"),
    ("SrTiO3-x", None, "'3-x' is an unknown amount"),
    ("M2O3", None, "a placeholder?"),
    ("Fe²O³", None, "superscript digits"),
    ("Fe2O3/2TiO2", None, "a fraction of an atom"),
    ("SiO2 (quartz)", "SiO2", "quartz left out"),
]

# Name, content, the formulas that are read, and parts of the reasons of refused rows; or an error's words instead.
FILES: list[tuple[str, bytes, list[str] | None, list[str]]] = [
    ("plain.csv", b"formula,gap\nNaCl,8.5\nMgO,7.8\n", ["NaCl", "MgO"], []),
    ("excel_utf8.csv", "\ufeffFormula,gap\r\nNaCl,8.5\r\nMgO,7.8\r\n".encode(), ["NaCl", "MgO"], []),
    ("quoted.csv", b'"id","pretty formula"\n"1","NaCl"\n"2","MgO"\n', ["NaCl", "MgO"], []),
    ("optimade.csv", b"id,chemical_formula_reduced\n1,NaCl\n", ["NaCl"], []),
    ("icsd.csv", b"CollectionCode,SumFormula\n1,Cl1 Na1\n", ["NaCl"], []),
    ("cod.csv", b"file,chemical_formula_sum\n1,Al2 O3\n", ["Al2O3"], []),
    ("compound.csv", b"Compound,Tc\nMgB2,39\n", ["MgB2"], []),
    ("missing_cells.csv", b"formula,gap\nNaCl,\nNaN,1\nMgO,NA\n", ["NaCl", "NaN", "MgO"], []),
    ("surplus_fields.csv", b"id,formula\n1,NaCl\n2,Na,Cl\n", ["NaCl"], ["unexpected '2'"]),
    ("zeros.csv", b"formula\nNaCl\nFe203\nSi02\n", ["NaCl"], ["zero for the letter O?", "zero for the letter O?"]),
    ("tabs.tsv", b"formula\tgap\nNaCl\t8.5\n", ["NaCl"], []),
    ("two_columns.txt", b"GaN 3.4\nMgO 7.8\nNaCl\n", ["NaCl"], ["two columns", "two columns"]),
    ("blank_lines.txt", b"NaCl\r\n\r\n  \r\nMgO\r\n", ["NaCl", "MgO"], []),
    ("mac.txt", b"NaCl\nMgO", ["NaCl", "MgO"], []),
    ("hydrates.txt", "CuSO4·5H2O\nCuSO4.5H2O\n".encode(), ["CuH10SO9", "CuH10SO9"], []),
    ("rows.json", b'[{"formula": "NaCl"}, {"formula": "MgO"}]', ["NaCl", "MgO"], []),
    ("list.json", b'["NaCl", "MgO"]', ["NaCl", "MgO"], []),
    ("lines.jsonl", b'{"formula": "NaCl"}\n"MgO"\n', ["NaCl", "MgO"], []),
    ("packed.csv.gz", gzip.compress(b"formula\nNaCl\n", mtime=0), ["NaCl"], []),
    ("empty.csv", b"", None, ["is empty"]),
    ("header_only.csv", b"formula\n", None, ["has no rows"]),
    ("no_formulas.csv", b"x,y\n1,2\n", None, ["has no formula column (its columns: x, y)"]),
    ("not_packed.csv.gz", b"formula\nNaCl\n", None, ["cannot read"]),
    ("latin1.csv", b"formula,name\nNaCl,caf\xe9\n", None, ["not text in UTF-8"]),
    ("workbook.xlsx", b"PK", None, ["unknown kind of file '.xlsx'"]),
]


def write(folder: Path) -> None:
    """Write all files and `expected.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    expected: list[dict[str, Any]] = [{"formula": text, "read": read, "says": says} for text, read, says in FORMULAS]
    for name, content, read, says in FILES:
        (folder / name).write_bytes(content)
        expected.append({"file": name, "read": read, "says": says})
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (folder / "expected.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER)
