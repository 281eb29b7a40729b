"""Serve the page."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nicegui import app, ui

from matgen.app.guard import Access, Guard
from matgen.app.page import Page
from matgen.app.session import Session
from matgen.runtime.ports import refuse_taken_port


def serve(
    checkpoint: Path,
    predictor: Path | None,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    device: str = "cpu",
    dft_format: str = "vasp",
    browser: bool = True,
) -> None:
    """Serve the page until interrupted. What is made on the way is in a temporary folder, each visitor's apart.

    Args:
        checkpoint: folder of the model.
        predictor: folder of a predictor of formation energies; None leaves energies out.
        host: the address to listen at. By default nobody but this machine can ask; at any other, the address that is
            printed has a token that visitors must know (see `matgen.app.guard`).
        port: the port.
        device: where to draw.
        dft_format: of inputs for DFT.
        browser: open the page in the user's browser.

    Raises:
        OptionError: the port is taken.
    """
    refuse_taken_port(host, port)
    access = Access.at(host, port)
    held = tempfile.TemporaryDirectory(prefix="matgen-app-", ignore_cleanup_errors=True)
    with held as folder:

        @ui.page("/", title="matgen", language="en-US")
        def visit() -> None:
            own = Path(tempfile.mkdtemp(dir=folder))
            page = Page(Session(own, checkpoint, predictor, device, dft_format))
            ui.context.client.on_delete(page.status.cancel)  # nobody waits for what a closed page asked for

        app.add_middleware(Guard, access=access)
        # A signal ends the process before the folder's context does.
        app.on_shutdown(held.cleanup)
        app.on_startup(lambda: print(*access.addresses, sep="\n", flush=True))
        ui.run(
            host=host, port=port, show=access.path if browser else False, reload=False,
            show_welcome_message=False, title="matgen", favicon="⚗️",
            uvicorn_logging_level="warning",
        )  # fmt: skip
