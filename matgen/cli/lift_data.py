"""`matgen lift data`: images as tables to train and test on."""

from __future__ import annotations

import argparse

from matgen.cli.beginning import shown
from matgen.cli.shared import bars, say

IMAGE_SETS = ("mnist", "fashion-mnist")
ENCODINGS = ("patches", "coarse", "pixels")
"""Named here too, so that `--help` loads nothing; a test compares them with `matgen.lift.images`."""


def data(arguments: argparse.Namespace) -> None:
    """Fetch a set of images and write its tables."""
    from matgen.io.files import refuse_to_overwrite
    from matgen.lift.images.tables import TRAIN, write_image_tables

    out = arguments.out
    refuse_to_overwrite(out, force=arguments.force)
    written = write_image_tables(
        arguments.name,
        out,
        encoding=arguments.encoding,
        copies=arguments.copies,
        seed=arguments.seed,
        progress=bars(arguments),
    )
    rows = ", ".join(f"{name} ({n:,} rows)" for name, n in written["rows"].items())
    say(
        arguments,
        f"{rows} of {written['columns']} columns and a label in {shown(out)}, from {written['split']}\n"
        f"{written['source']}; {written['license']}. Next: matgen lift fit --table {shown(out / TRAIN)} --target label",
    )
