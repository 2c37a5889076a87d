"""Serve models on a Ray cluster: ``python -m deploy.ray --model_base_path=/models/m``."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Final

from deploy.ray.flags import ALL_FLAGS, Options, read_options
from model_catalog.installation import require
from model_server.flags import UsageError, usage
from model_server.packages import require_packages

_PROGRAM: Final = "python -m deploy.ray"
_FAILED: Final = 255

logger = logging.getLogger("deploy.ray")


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy the application and wait for SIGTERM or SIGINT; return 0 then."""
    arguments = sys.argv[1:] if argv is None else argv
    if "--help" in arguments:
        sys.stdout.write(usage(_PROGRAM, ALL_FLAGS))
        return 0
    try:
        options = read_options(arguments)
    except UsageError as error:
        sys.stderr.write(f"{error}\n{usage(_PROGRAM, ALL_FLAGS)}")
        return _FAILED
    require_packages()
    require("ray", "ray")
    return _serve(options)


def _serve(options: Options) -> int:
    import ray
    from ray import serve

    from deploy.ray.application import NAME, application, start_proxies

    logging.basicConfig(
        format="%(asctime)s %(levelname).1s %(message)s", level=logging.INFO, stream=sys.stderr
    )
    for flag in options.ignored:
        logger.warning("--%s is accepted and ignored. %s", flag.name, flag.help)
    ray.init(address=options.ray["address"], log_to_driver=False)
    start_proxies(options)
    serve.run(application(options), name=NAME)
    logger.info("Ray serves the models on port %s.", options.server["rest_api_port"])
    if not options.ray["detach"]:
        _wait_for_signal()
        serve.delete(NAME)
    return 0


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(0.2):
        pass


if __name__ == "__main__":
    sys.exit(main())
