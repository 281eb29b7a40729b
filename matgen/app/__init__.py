"""The local web page: choose elements, draw, look at what came, collect, export."""

from matgen.app.session import CancellableProgress, Cancelled, Session

__all__ = ["CancellableProgress", "Cancelled", "Session"]
