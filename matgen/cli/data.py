"""matgen data: list, describe, check and rebuild datasets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matgen.cli.beginning import shown
from matgen.cli.parser import Parser
from matgen.cli.shared import bars, path, say, verb
from matgen.errors import OptionError


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "data",
        run,
        "list, describe, check and rebuild datasets",
        "matgen data info hybrid-pure",
        "matgen data info ./mine.csv",
        "matgen data check mine.csv",
        "matgen data build --cif-folder icsd/ --out icsd.parquet",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    actions.add_parser("list", help="the names of all datasets")
    info = actions.add_parser("info", help="rows, splits, columns, sources and license of a dataset")
    info.add_argument("name", help="of a dataset, or a file such as ./mine.csv")
    info.add_argument("--column", metavar="NAME", help="formula column of a file (default: recognized by its name)")
    checking = actions.add_parser(
        "check", help="what is understood of a file: separator, formula column, rows read and refused"
    )
    checking.add_argument(
        "file",
        type=path,
        help="table of formulas (CSV, Excel, Parquet, JSON, text ...), a folder of them, or - for standard input",
    )
    checking.add_argument("--column", metavar="NAME", help="formula column (default: recognized by its name)")
    build = actions.add_parser(
        "build", help="rebuild or fetch a dataset from its sources, or make one of an export of the ICSD, the COD ..."
    )
    build.add_argument(
        "name",
        nargs="?",
        help="hybrid, experimental, matbench, critexam, mp-transport, materials-project, alexandria, jarvis, "
        "lemat-bulk",
    )
    build.add_argument("--cif-folder", type=path, metavar="DIR", help="make a dataset of the CIFs in a folder")
    build.add_argument("--table", type=path, metavar="FILE", help="make a dataset of a table with a formula column")
    build.add_argument("--column", metavar="NAME", help="formula column of --table (default: recognized by its name)")
    build.group("what is left out").add_argument(
        "--partial",
        choices=("exclude", "keep"),
        help="decimal amounts in --cif-folder or --table: exclude, or keep what at most 60 atoms make whole "
        "(default: exclude)",
    )
    build.group("what is left out").add_argument(
        "--organic",
        choices=("exclude", "keep"),
        help="compounds of both carbon and hydrogen in --cif-folder or --table (default: exclude)",
    )
    build.group("output").add_argument(
        "--out",
        type=path,
        metavar="PATH",
        help="folder to write into (default: the cache); of --cif-folder or --table, the CSV or Parquet file "
        "(default: the name of the folder or table, with .parquet)",
    )
    build.group("output").add_argument("--force", action="store_true", help="replace an earlier build")
    build.group("output").add_argument("--quiet", action="store_true", help="print errors only")
    build.group("reading of tables").add_argument(
        "--allow-unreadable", action="store_true", help="take exports of which more than a fifth cannot be read"
    )
    build.common("--cif-folder", "--table", "--column", "--out", "--force")


def run(arguments: argparse.Namespace) -> int:
    """List, describe, check or build; returns 2 where a file was checked of which no formula can be read."""
    if arguments.action == "list":
        from matgen.datasets.catalog import CATALOG
        from matgen.datasets.places import table_path

        width = max(len(name) for name in CATALOG)
        for name, row in CATALOG.items():
            here = "" if table_path(row).is_file() else f"  [matgen data build {row.builder}]"
            print(f"{name:<{width}}  {row.description}{here}")
    elif arguments.action == "info":
        from matgen.datasets.descriptions import description

        for key, value in description(arguments.name, arguments.column).items():
            if isinstance(value, dict):
                print(f"{key}:")
                for inner, text in value.items():
                    print(f"  {inner}: {text:,}" if isinstance(text, int) else f"  {inner}: {text}")
            else:
                text = "; ".join(value) if isinstance(value, list) else value
                print(f"{key}: {text:,}" if type(text) is int else f"{key}: {text}")
    elif arguments.action == "check":
        from matgen.datasets.checking import check_table

        checked = check_table(arguments.file, arguments.column)
        print("\n".join(checked.lines()))
        return 0 if checked.read else 2
    elif arguments.cif_folder or arguments.table:
        _export(arguments)
    else:
        if not arguments.name:
            raise OptionError("name a dataset to build, or an export by --cif-folder or --table")
        for option in ("column", "partial", "organic"):
            if getattr(arguments, option) is not None:
                raise OptionError(f"--{option} is for --cif-folder and --table")
        from matgen.datasets import build
        from matgen.datasets.storage import checksum_ok, read_table

        built = build(
            arguments.name,
            arguments.out,
            bars(arguments),
            force=arguments.force,
        )
        same = checksum_ok(read_table(built), built.name) if built.is_file() else None
        verdict = "" if same is None else f": {'the same content as' if same else 'NOT the content of'} the bundled one"
        say(arguments, f"wrote {shown(built)}{verdict}")
    return 0


def _export(arguments: argparse.Namespace) -> None:
    """Make a dataset of a folder of CIFs or of a table."""
    from matgen.datasets.exports import export_dataset
    from matgen.io.files import next_free

    if sum(map(bool, (arguments.name, arguments.cif_folder, arguments.table))) > 1:
        raise OptionError("one at a time: a dataset's name, --cif-folder or --table")
    source = arguments.cif_folder or arguments.table
    if arguments.cif_folder and arguments.column:
        raise OptionError("--column is for --table")
    if arguments.cif_folder and not source.is_dir():
        raise OptionError(f"--cif-folder {source}: no such folder")
    out = arguments.out or next_free(Path(f"{source.resolve().stem}.parquet"))
    export = export_dataset(
        source,
        out,
        cifs=arguments.cif_folder is not None,
        column=arguments.column,
        keep_partial=arguments.partial == "keep",
        keep_organic=arguments.organic == "keep",
        force=arguments.force,
        progress=bars(arguments),
    )
    say(arguments, "\n".join(export.lines()))
    say(
        arguments,
        f"wrote {shown(out)}. Next: matgen train --dataset {shown(out)}, or matgen evaluate --reference {shown(out)}",
    )
