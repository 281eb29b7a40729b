"""Rewrite what stands between `<!-- NAME -->` and `<!-- /NAME -->` in README.md and docs/, each table in one page.

python -m benchmarks.tables
"""

from __future__ import annotations

import argparse

from benchmarks.tables.markers import filled_pages
from matgen.io.files import write_text

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
for path, text in filled_pages().items():
    write_text(path, text)
