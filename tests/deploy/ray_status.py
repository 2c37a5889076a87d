"""Print, three times a second, the number of running replicas on a Ray cluster."""

from __future__ import annotations

import sys
import time

NAME = "model_server"


def main(address: str) -> None:
    import ray
    from ray import serve

    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    while True:
        application = serve.status().applications.get(NAME)
        states = application.deployments[NAME].replica_states if application else {}
        sys.stdout.write(f"{states.get('RUNNING', 0)}\n")
        sys.stdout.flush()
        time.sleep(0.3)


if __name__ == "__main__":
    main(sys.argv[1])
