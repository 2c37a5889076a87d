"""Serve models on a Ray cluster: ``python -m deploy.ray --model_base_path=/models/m``."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any, Final

from deploy.ray.flags import ALL_FLAGS, Options, read_options
from model_catalog.installation import require
from model_server.flags import UsageError, usage
from model_server.packages import require_packages

_PROGRAM: Final = "python -m deploy.ray"
_FAILED: Final = 255
_PAUSE_S: Final = 0.2

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

    def deploy() -> None:
        serve.run(application(options), name=NAME)
        logger.info("Ray serves the models on port %s.", options.server["rest_api_port"])

    if options.ray["detach"]:
        deploy()
    else:
        serve_until_signal(deploy, partial(serve.delete, NAME))
    return 0


def serve_until_signal(deploy: Callable[[], None], delete: Callable[[], None]) -> None:
    """Deploy the application, wait for SIGTERM or SIGINT, and delete it.

    A signal during the deployment, which takes minutes while models load, ends it. A deployment
    that fails deletes nothing: an application of the same name may be serving.
    """
    # Ray's own waits end with KeyboardInterrupt, and with no other exception of a handler.
    _on_signals(signal.default_int_handler)
    try:
        deploy()
        while True:
            time.sleep(_PAUSE_S)
    except KeyboardInterrupt:
        _on_signals(signal.SIG_IGN)
        delete()


def _on_signals(action: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, action)


if __name__ == "__main__":
    sys.exit(main())
