"""The local web page: choose elements, draw, look at what came, collect, export."""

from matgen.app.desk import Cancelled, Desk, Watch

__all__ = ["Cancelled", "Desk", "Watch"]
