"""Small files and formulas as people have them, and what matgen should make of each.

python -m tests.data.make_real_files writes `real_files/` anew: files, and `expected.json` with one entry a file or
formula.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from tests.data.binary_spreadsheets import xls, xlsb_parts

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
    ("NH40H", "H41N", "zero for the letter O? write H4OH"),
    ("CH30H", "H31C", "zero for the letter O?"),
    ("YBCO", "YBCO", "short for YBa2Cu3O7?"),
    ("BSCCO", "BC2SO", "short for Bi2Sr2CaCu2O8?"),
    ("GdBCO", "GdBCO", "short for GdBa2Cu3O7?"),
    ("KCN", "KCN", ""),
    ("B20H16", "B5H4", ""),
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
    ("Fe(II)O", "FeO", "oxidation state Fe(II) left out"),
    ("Fe(III)2O3", "Fe2O3", "oxidation state Fe(III) left out"),
    ("Cu(I)2O", "Cu2O", "oxidation state Cu(I) left out"),
    ("Pb(I)2", "PbI2", "(I) is read as iodine"),
    ("Cu(I)", None, "write Cu or CuI"),
    ("FeIIO", None, "an oxidation state, or iodine?"),
    ("H218O", None, "H2 and the isotope 18O?"),
    ("H2O18", "HO9", "or the isotope 18O?"),
    ("13CO2", None, "a mass number is no part"),
    ("H2^18O", "H2O", "whatever the isotope"),
    ("Li4Ti5012", "LiTi1253", "zero for the letter O?"),
    ("LiNi0.5Mn1.504", "Li250Mn376Ni125", "zero for the letter O?"),
    ("FeSe1.04", "Fe25Se26", ""),
    ("CaCl2.2CH3OH", None, "write CaCl2·2CH3OH"),
    ("CuSO4 x 5 H2O", "CuH10SO9", ""),
    ("CuSO4×5H₂O", "CuH10SO9", ""),
    ("CuSO4 x H2O", None, "is an unknown amount"),
    ("YBa2Cu3O7-delta", None, "'7-δ' is an unknown amount"),
    ("SrTiO3-d", None, "'3-δ' is an unknown amount"),
    ("63Sn-37Pb", None, "weight per cent?"),
    ("Al-4.5wt%Cu", None, "weight per cent?"),
    ("Cu-10at%Zn", None, "atomic per cent: write the amount"),
    ("Fe33.3O66.7", "FeO2", "33.3 as 100/3"),
    ("Fe33.3Co33.3Ni33.4", "FeCoNi", "33.4 as 100/3"),
    ("Fe40.1O59.9", "Fe401O599", ""),
    ("Fe87.5Si12.5", "Fe7Si", ""),
    ("LiNi0.33Mn0.33Co0.34O2", "Li3MnCoNiO6", "0.34 as 1/3"),
    ("LiNi0.333Mn0.333Co0.334O2", "Li3MnCoNiO6", "0.334 as 1/3"),
    ("Zr0.52Ti0.48", "Zr13Ti12", ""),
    ("CaCI2", "CaCI2", "chlorine (Cl)?"),
    ("CH3I", "H3CI", ""),
    ("Fe0,5Co0,5", None, "a decimal comma?"),
    ("fe2o3", None, "begin with a capital letter"),
    ("Fe2O3 225", None, "two columns"),
]

_FRAME = pd.DataFrame({"formula": ["NaCl", "MgO"], "gap": [8.5, 7.8]})
_INDEXED = _FRAME.set_index("formula").rename_axis(None)


def _zip(files: dict[str, bytes | str]) -> bytes:
    """A ZIP archive that is the same in every release of Python: its files are not compressed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def _xlsx(rows: list[list[Any]]) -> bytes:
    """The least that Excel opens: one sheet, texts in the cells themselves."""
    office = "http://schemas.openxmlformats.org"
    relation = f"{office}/officeDocument/2006/relationships"
    main = f"{office}/spreadsheetml/2006/main"
    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    sheet = ""
    for number, row in enumerate(rows, 1):
        cells = ""
        for letter, cell in zip("ABC", row, strict=False):
            kind, value = (
                (' t="inlineStr"', f"<is><t>{cell}</t></is>") if isinstance(cell, str) else ("", f"<v>{cell}</v>")
            )
            cells += f'<c r="{letter}{number}"{kind}>{value}</c>'
        sheet += f'<row r="{number}">{cells}</row>'
    return _zip(
        {
            "[Content_Types].xml": f'<Types xmlns="{office}/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{content_type}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{content_type}.worksheet+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship Id="rId1" '
            f'Type="{relation}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relation}"><sheets>'
            '<sheet name="gaps" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship '
            f'Id="rId1" Type="{relation}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
        }
    )


def _ods(rows: list[list[Any]]) -> bytes:
    """The least that OpenOffice opens."""
    name = "urn:oasis:names:tc:opendocument:xmlns"
    table = ""
    for row in rows:
        cells = ""
        for cell in row:
            kind = "string" if isinstance(cell, str) else f'float" office:value="{cell}'
            cells += f'<table:table-cell office:value-type="{kind}"><text:p>{cell}</text:p></table:table-cell>'
        table += f"<table:table-row>{cells}</table:table-row>"
    return _zip(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{name}:manifest:1.0"><manifest:file-entry '
            'manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/>'
            "</manifest:manifest>",
            "content.xml": f'<office:document-content xmlns:office="{name}:office:1.0" xmlns:table="{name}:table:1.0" '
            f'xmlns:text="{name}:text:1.0"><office:body><office:spreadsheet><table:table table:name="gaps">{table}'
            "</table:table></office:spreadsheet></office:body></office:document-content>",
        }
    )


def _feather(frame: pd.DataFrame) -> bytes:
    packed = io.BytesIO()
    frame.to_feather(packed)
    return packed.getvalue()


def _parquet(frame: pd.DataFrame) -> bytes:
    packed = io.BytesIO()
    frame.to_parquet(packed)
    return packed.getvalue()


def _called(name: str) -> pd.DataFrame:
    """The common table with another name of its formula column."""
    return _FRAME.rename(columns={"formula": name})


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
    ("damaged.xlsx", b"PK", None, ["as a spreadsheet"]),
    ("binary.csv", b"formula,name\nNaCl,\xff\x00\x81\n", None, ["not text in UTF-8"]),
    ("zero_byte.csv", b"formula,gap\nNaCl,8.5\nMg\0O,7.8\n", None, ["it holds a zero byte"]),
    ("zero_byte_semicolons.csv", b"formula;gap\nNa\0Cl;8.5\n", None, ["it holds a zero byte"]),
    ("text.xls", b"formula\tgap\nNaCl\t8.5\n", None, ["is no spreadsheet but text: rename it to .csv"]),
    ("old_word.doc", b"\xd0\xcf\x11\xe0", None, ["unknown kind of file '.doc'"]),
    (
        "two.zip",
        _zip({"a.csv": b"formula\nNaCl\n", "b.csv": b"formula\nMgO\n"}),
        None,
        ["holds 2 files (a.csv, b.csv)"],
    ),
    ("damaged.xls", xls([["formula"], ["NaCl"]])[:700], None, ["as a spreadsheet"]),
    ("damaged.xlsb", b"PK", None, ["as a spreadsheet"]),
    ("damaged.zip", b"PK", None, ["not a zip file"]),
    ("damaged.feather", b"ARROW1", None, ["cannot read"]),
    (
        "sample_index.csv",
        b",gap\nS1,8.5\nB2,7.8\n",
        None,
        ["has no formula column (its columns: Unnamed: 0, gap): name it by --column"],
    ),
    (
        "sample_names.csv",
        b"Material,gap\nS1,8.5\nB2,7.8\n",
        None,
        ["has no formula column (its columns: Material, gap)"],
    ),
    ("values.json", b'[["NaCl", 8.5], ["MgO", 7.8]]', None, ["has no formula column (its columns: 0, 1)"]),
    ("no_names.csv", b"NaCl;8,5\nMgO;7,8\n", None, ["has no formula column (its columns: NaCl, 8,5)"]),
]

_GERMAN = "Formel;Compound;gap;price\n1;NaCl;8,5;1.234,50\n2;MgO;7,8;12,00\n"

# Name, content, the values of the column of numbers (None for text), and what `matgen data check` says of the file.
# All hold NaCl and MgO, in this order.
TABLES: list[tuple[str, bytes, str, list[float] | None, list[str]]] = [
    ("semicolons.csv", b"formula;gap\nNaCl;8.5\nMgO;7.8\n", "gap", [8.5, 7.8], ["separated by semicolons"]),
    ("bars.csv", b"formula|gap\nNaCl|8.5\nMgO|7.8\n", "gap", [8.5, 7.8], ["separated by bars"]),
    ("tabs.csv", b"formula\tgap\nNaCl\t8.5\nMgO\t7.8\n", "gap", [8.5, 7.8], ["separated by tabs"]),
    ("sep.csv", b"sep=;\r\nformula;gap\r\nNaCl;8.5\r\nMgO;7.8\r\n", "gap", [8.5, 7.8], ["separated by semicolons"]),
    ("german.csv", _GERMAN.encode(), "gap", [8.5, 7.8], ["guessed: decimal commas in gap, price"]),
    ("german_price.csv", _GERMAN.encode(), "price", [1234.5, 12.0], ["guessed: thousands separators in price"]),
    (
        "german_tabs.txt",
        b"formula\tgap\nNaCl\t8,5\nMgO\t7,8\n",
        "gap",
        [8.5, 7.8],
        ["separated by tabs", "decimal commas in gap"],
    ),
    ("quoted_commas.csv", b'formula,gap\nNaCl,"8,5"\nMgO,"7,8"\n', "gap", [8.5, 7.8], ["decimal commas in gap"]),
    (
        "thousands.csv",
        b'formula,price\nNaCl,"1,234,567.5"\nMgO,"12,000"\n',
        "price",
        [1234567.5, 12000.0],
        ["thousands separators in price"],
    ),
    (
        "thousands_only.csv",
        b'formula,price\nNaCl,"1,234"\nMgO,"12,000"\n',
        "price",
        [1234.0, 12000.0],
        ["'1,234' in price as 1234"],
    ),
    ("blanks.csv", "formula,price\nNaCl,1 234.5\nMgO,12\u202f000\n".encode(), "price", [1234.5, 12e3], ["thousands"]),
    (
        "apostrophes.csv",
        b"formula;price\nNaCl;1'234.5\nMgO;12'000\n",
        "price",
        [1234.5, 12e3],
        ["thousands separators"],
    ),
    (
        "decimal_or_thousands.csv",
        b"formula;price\nNaCl;1,234\nMgO;12,000\n",
        "price",
        None,
        ["'1,234' in price left as text: decimal comma, or thousands?"],
    ),
    (
        "as_the_others.csv",
        b"formula;gap;price\nNaCl;8,5;1.234\nMgO;7,8;12.000\n",
        "price",
        [1234.0, 12000.0],
        ["'1.234' in price as 1234"],
    ),
    (
        "odd_cells.csv",
        b"formula,gap,note\nNaCl,>8.5,a\nMgO,7.8,b\n",
        "gap",
        None,
        ["cells: '>8.5' in gap, row 1, is not a number: the column is read as text"],
    ),
    ("per_cent.csv", b"formula,share\nNaCl,45%\nMgO,7\n", "share", None, ["cells: '45%' in share, row 1"]),
    ("unit.csv", b"formula,gap\nNaCl,8.5\nMgO,7.8 eV\n", "gap", None, ["cells: '7.8 eV' in gap, row 2"]),
    ("points.csv", b"formula;gap\nNaCl;8.512\nMgO;7.812\n", "gap", [8.512, 7.812], ["separated by semicolons"]),
    (
        "title.csv",
        b"# gaps of oxides, measured\n\nTable 1;;\nformula;gap;\nNaCl;8.5;\nMgO;7.8;\n;;\n",
        "gap",
        [8.5, 7.8],
        ["header in row 3, the 2 rows above it left out"],
    ),
    ("title_commas.csv", b"Measured gaps\nformula,gap\nNaCl,8.5\nMgO,7.8\n", "gap", [8.5, 7.8], ["header in row 2"]),
    ("blank_rows.csv", b"formula,gap\nNaCl,8.5\n,\n,\nMgO,7.8\n,\n", "gap", [8.5, 7.8], ["rows: 2"]),
    (
        "western.csv",
        "formula;gap;Einheit\nNaCl;8,5;µm\nMgO;7,8;°C\n".encode("cp1252"),
        "gap",
        [8.5, 7.8],
        ["not in Unicode, read as cp1252"],
    ),
    ("latin1.csv", b"formula,name,gap\nNaCl,caf\xe9,8.5\nMgO,,7.8\n", "gap", [8.5, 7.8], ["read as cp1252"]),
    (
        "chinese.csv",
        "formula,化合物的名称,gap\nNaCl,氯化钠是一种盐,8.5\nMgO,氧化镁在这里是粉末,7.8\n".encode("gb18030"),
        "gap",
        [8.5, 7.8],
        ["read as gb18030"],
    ),
    (
        "unicode_text.txt",
        "formula\tgap\r\nNaCl\t8,5\r\nMgO\t7,8\r\n".encode("utf-16"),
        "gap",
        [8.5, 7.8],
        ["text in UTF-16, columns separated by tabs"],
    ),
    ("utf16.csv", "formula,gap\nNaCl,8.5\nMgO,7.8\n".encode("utf-16-le"), "gap", [8.5, 7.8], ["text in UTF-16-LE"]),
    ("utf16_be.csv", "formula,gap\nNaCl,8.5\nMgO,7.8\n".encode("utf-16-be"), "gap", [8.5, 7.8], ["text in UTF-16-BE"]),
    ("utf32.csv", "formula,gap\nNaCl,8.5\nMgO,7.8\n".encode("utf-32"), "gap", [8.5, 7.8], ["text in UTF-32"]),
    ("header.txt", b"formula;gap\nNaCl;8.5\nMgO;7.8\n", "gap", [8.5, 7.8], ["separated by semicolons"]),
    (
        "excel.xlsx",
        _xlsx([["Table 1"], [], ["formula", "gap"], ["NaCl", 8.5], [], ["MgO", 7.8]]),
        "gap",
        [8.5, 7.8],
        ["header"],
    ),
    (
        "text_numbers.xlsx",
        _xlsx([["Formula", "gap"], ["NaCl", "8,5"], ["MgO", 7.8]]),
        "gap",
        [8.5, 7.8],
        ["decimal commas"],
    ),
    (
        "excel97.xls",
        xls([["Table 1"], [], ["formula", "gap"], ["NaCl", 8.5], [], ["MgO", 7.8]]),
        "gap",
        [8.5, 7.8],
        ["spreadsheet", "header in row 3"],
    ),
    (
        "excel97_text.xls",
        xls([["Formula", "gap"], ["NaCl", "8,5"], ["MgO", 7.8]]),
        "gap",
        [8.5, 7.8],
        ["decimal commas"],
    ),
    (
        "excel_binary.xlsb",
        _zip(xlsb_parts([["Table 1"], [], ["formula", "gap"], ["NaCl", 8.5], [], ["MgO", 7.8]])),
        "gap",
        [8.5, 7.8],
        ["spreadsheet", "header in row 3"],
    ),
    ("openoffice.ods", _ods([["formula", "gap"], ["NaCl", 8.5], ["MgO", 7.8]]), "gap", [8.5, 7.8], ["spreadsheet"]),
    (
        "packed.zip",
        _zip({"__MACOSX/._a.csv": b"x", "a/gaps.csv": b"formula,gap\nNaCl,8.5\nMgO,7.8\n"}),
        "gap",
        [8.5, 7.8],
        [],
    ),
    ("frame.feather", _feather(_FRAME), "gap", [8.5, 7.8], ["read as: Feather"]),
    ("index.parquet", _parquet(_FRAME.set_index("formula")), "gap", [8.5, 7.8], ["read as: Parquet"]),
    *[
        (f"{orient}.json", (_FRAME.to_json(orient=orient) or "").encode(), "gap", [8.5, 7.8], ["read as: JSON"])
        for orient in ("records", "columns", "index", "split", "table")
    ],
    ("index_labels.json", _FRAME.set_index("formula").to_json(orient="index").encode(), "gap", [8.5, 7.8], []),
    ("split_labels.json", _FRAME.set_index("formula").to_json(orient="split").encode(), "gap", [8.5, 7.8], []),
    ("series.json", _FRAME.set_index("formula")["gap"].to_json().encode(), "value", [8.5, 7.8], []),
    ("lists.json", json.dumps(_FRAME.to_dict(orient="list")).encode(), "gap", [8.5, 7.8], []),
    ("data.json", json.dumps({"data": _FRAME.to_dict(orient="records")}).encode(), "gap", [8.5, 7.8], []),
    (
        "optimade.json",
        b'{"data": [{"id": "1", "attributes": {"chemical_formula_reduced": "NaCl", "gap": 8.5}}, '
        b'{"id": "2", "attributes": {"chemical_formula_reduced": "MgO", "gap": 7.8}}], "meta": {}}',
        "gap",
        [8.5, 7.8],
        [],
    ),
    ("lines_in.json", _FRAME.to_json(orient="records", lines=True).encode(), "gap", [8.5, 7.8], ["JSON lines"]),
    ("unnamed_index.csv", _INDEXED.to_csv().encode(), "gap", [8.5, 7.8], ["column 'Unnamed: 0' holds formulas"]),
    (
        "unnamed_index_german.csv",
        _INDEXED.to_csv(sep=";", decimal=",").encode(),
        "gap",
        [8.5, 7.8],
        ["column 'Unnamed: 0' holds formulas by its cells", "decimal commas in gap"],
    ),
    (
        "unnamed_index.txt",
        _INDEXED.to_csv(sep="\t").encode(),
        "gap",
        [8.5, 7.8],
        ["column 'Unnamed: 0' holds formulas"],
    ),
    (
        "unnamed_index.xlsx",
        _xlsx([["Table 1"], ["", "gap", "note"], ["NaCl", 8.5, "a"], ["MgO", 7.8, "b"]]),
        "gap",
        [8.5, 7.8],
        ["column 'Unnamed: 0' holds formulas"],
    ),
    ("unnamed_index.parquet", _parquet(_INDEXED), "gap", [8.5, 7.8], ["column 'index' holds formulas by its cells"]),
    ("columns_labels.json", _INDEXED.to_json().encode(), "gap", [8.5, 7.8], ["formula column: formula"]),
    (
        "table_index.json",
        _INDEXED.to_json(orient="table").encode(),
        "gap",
        [8.5, 7.8],
        ["column 'index' holds formulas"],
    ),
    ("data_lists.json", json.dumps({"data": _FRAME.to_dict(orient="list")}).encode(), "gap", [8.5, 7.8], []),
    ("cif.csv", b"_cod_database_code,_chemical_formula_sum,gap\n1,Cl Na,8.5\n2,Mg O,7.8\n", "gap", [8.5, 7.8], []),
    ("formulas.jsonl", _called("Formulas").to_json(orient="records", lines=True).encode(), "gap", [8.5, 7.8], []),
    (
        "material.csv",
        b"sample,Material,gap\nS1,NaCl,8.5\nS2,MgO,7.8\n",
        "gap",
        [8.5, 7.8],
        ["'Material' holds formulas"],
    ),
    ("material.parquet", _parquet(_called("Material")), "gap", [8.5, 7.8], ["'Material' holds formulas"]),
    ("material_columns.json", _called("Material").to_json().encode(), "gap", [8.5, 7.8], ["'Material' holds formulas"]),
    (
        "alloy.xlsx",
        _xlsx([["ALLOY", "gap"], ["NaCl", 8.5], ["MgO", 7.8]]),
        "gap",
        [8.5, 7.8],
        ["column 'ALLOY' holds formulas by its cells"],
    ),
]


def write(folder: Path) -> None:
    """Write all files and `expected.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    expected: list[dict[str, Any]] = [{"formula": text, "read": read, "says": says} for text, read, says in FORMULAS]
    for name, content, read, says in FILES:
        (folder / name).write_bytes(content)
        expected.append({"file": name, "read": read, "says": says})
    for name, content, column, values, told in TABLES:
        (folder / name).write_bytes(content)
        expected.append({"table": name, "column": column, "values": values, "told": told})
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (folder / "expected.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER)
