"""The local web page: choose elements, draw, look at what came, collect, export."""

from matgen.app.progress import CancellableProgress, Cancelled
from matgen.app.session import Session

__all__ = ["CancellableProgress", "Cancelled", "Session"]
