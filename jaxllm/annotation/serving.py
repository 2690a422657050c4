"""The app on a socket: where it listens, by which names it answers, until Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import uvicorn

from jaxllm.annotation.app import make_app
from jaxllm.annotation.guard import LOOPBACK
from jaxllm.annotation.study import Study
from jaxllm.errors import UserError

_EVERY_ADDRESS = ("0.0.0.0", "::", "")
_CLOSING_SECONDS = 3


def serve(study: Study, host: str, port: int, *, public_names: Sequence[str] = ()) -> None:
    """Serves the study until Ctrl-C and prints where; port 0 is any free one.

    Args:
      public_names: host names by which annotators call it, when they do not call it `host`.

    Raises:
        UserError: it cannot listen there, or nothing says by which name it is called.
    """
    if host in _EVERY_ADDRESS and not public_names:
        raise UserError(
            f"--host={host} listens on every address: say by which name annotators call it, as"
            " --public_name=NAME"
        )
    own_name = f"[{host}]" if ":" in host else host
    hosts = [*LOOPBACK, *public_names, *(() if host in _EVERY_ADDRESS else (own_name,))]
    with _listen(host, port) as listening:
        name = public_names[0] if public_names else own_name
        print(f"serving {study.path.parent} on http://{name}:{listening.getsockname()[1]}")
        if own_name not in LOOPBACK:
            print("codes and ratings travel unencrypted: put a proxy with TLS before it")
        print("Ctrl-C ends it; every rating is on the disk already", flush=True)
        config = uvicorn.Config(
            make_app(study, hosts=hosts),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_CLOSING_SECONDS,
        )
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:
            print(f"ended; the ratings are in {study.path}")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    # A server that was killed a moment ago leaves the port half in use.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # from here on a browser waits, and is not turned away
    except (OSError, OverflowError) as error:
        listening.close()
        raise UserError(f"cannot listen on {host}, port {port}: {error}") from error
    return listening
