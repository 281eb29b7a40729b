"""The least that is a binary spreadsheet of Excel, `.xls` and `.xlsb`: one sheet of texts and numbers, byte by byte."""

from __future__ import annotations

import struct
from typing import Any

_SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_NAME = "gaps"


def xls(rows: list[list[Any]]) -> bytes:
    """A workbook of Excel 97 (BIFF8, [MS-XLS]) in a compound file ([MS-CFB])."""
    sheet = _biff(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0))
    sheet += _biff(0x0200, struct.pack("<IIHHH", 0, len(rows), 0, max(map(len, rows)), 0))
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            place = struct.pack("<HHH", row, column, 0)
            if isinstance(cell, str):
                sheet += _biff(0x0204, place + struct.pack("<HB", len(cell), 1) + cell.encode("utf-16-le"))
            else:
                sheet += _biff(0x0203, place + struct.pack("<d", cell))
    sheet += _biff(0x000A)
    begin = _biff(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0))
    begin += _biff(0x0042, struct.pack("<H", 1200))
    name = struct.pack("<BB", len(_NAME), 0) + _NAME.encode("ascii")
    offset = len(begin) + 4 + 6 + len(name) + 4
    book = begin + _biff(0x0085, struct.pack("<IBB", offset, 0, 0) + name) + _biff(0x000A)
    return _compound(book + sheet)


def _biff(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def _compound(stream: bytes) -> bytes:
    """One stream `Workbook`, padded to the 4096 bytes from which on streams have sectors of their own."""
    assert len(stream) <= 4096
    n = 4096 // _SECTOR
    fat = [_FAT, _END, *range(3, 2 + n), _END]
    header = bytes.fromhex("D0CF11E0A1B11AE1") + bytes(16)
    header += struct.pack("<HHHHH6xIIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, _END, 0, _END, 0, 0)
    header += struct.pack("<108I", *[_FREE] * 108)
    directory = _entry("Root Entry", 5, 1, _END, 0) + _entry("Workbook", 2, _FREE, 2, 4096)
    directory += _entry("", 0, _FREE, 0, 0) * 2
    sectors = struct.pack("<128I", *fat, *[_FREE] * (128 - len(fat)))
    return header + sectors + directory + stream.ljust(4096, b"\0")


def _entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    text = f"{name}\0".encode("utf-16-le") if name else b""
    entry = text.ljust(64, b"\0") + struct.pack("<HBB", len(text), kind, 1)
    entry += struct.pack("<III", _FREE, _FREE, child) + bytes(36)
    return entry + struct.pack("<IQ", start, size)


def xlsb_parts(rows: list[list[Any]]) -> dict[str, bytes | str]:
    """The files in a binary workbook of Excel 2007 ([MS-XLSB])."""
    office = "http://schemas.openxmlformats.org"
    relation = f"{office}/officeDocument/2006/relationships"
    book = _record(131) + _record(143) + _record(156, struct.pack("<II", 0, 1) + _wide("rId1") + _wide(_NAME))
    book += _record(144) + _record(132)
    sheet = _record(129) + _record(148, struct.pack("<IIII", 0, len(rows) - 1, 0, max(map(len, rows)) - 1))
    sheet += _record(145)
    for number, cells in enumerate(rows):
        sheet += _record(0, struct.pack("<IIHHBI", number, 0, 300, 0, 0, 0))
        for column, cell in enumerate(cells):
            place = struct.pack("<II", column, 0)
            if isinstance(cell, str):
                sheet += _record(6, place + _wide(cell))
            else:
                sheet += _record(5, place + struct.pack("<d", cell))
    sheet += _record(146) + _record(130)
    kind = "application/vnd.ms-excel"
    return {
        "[Content_Types].xml": f'<Types xmlns="{office}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="bin" ContentType="{kind}.sheet.binary.macroEnabled.main"/>'
        f'<Override PartName="/xl/worksheets/sheet1.bin" ContentType="{kind}.worksheet"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship Id="rId1" '
        f'Type="{relation}/officeDocument" Target="xl/workbook.bin"/></Relationships>',
        "xl/workbook.bin": book,
        "xl/_rels/workbook.bin.rels": f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship '
        f'Id="rId1" Type="{relation}/worksheet" Target="worksheets/sheet1.bin"/></Relationships>',
        "xl/worksheets/sheet1.bin": sheet,
    }


def _record(kind: int, content: bytes = b"") -> bytes:
    begin = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, rest = b"", len(content)
    while rest > 127:
        size, rest = size + bytes([rest & 0x7F | 0x80]), rest >> 7
    return begin + size + bytes([rest]) + content


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")
