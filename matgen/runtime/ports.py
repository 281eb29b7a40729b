"""Ports of this machine."""

from __future__ import annotations

import socket

from matgen.errors import OptionError


def refuse_taken_port(host: str, port: int) -> None:
    """Say in a sentence that somebody else listens there.

    Raises:
        OptionError: the address cannot be listened at.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise OptionError(f"nothing can listen at {host}:{port} ({error.strerror}): take another --port") from error
