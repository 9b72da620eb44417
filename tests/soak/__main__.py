"""Soak the operator on the local cluster: `python -m soak MINUTES [--seed N]`; with PYTHONPATH as of the tests.

Prints each change and fault. Exits with 1 as soon as something does not add up; the seed repeats the same changes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import replace

from benchmarks.publishing import publish_benchmark
from support.shared_cache import shared_cache

from cetacean_tools.demo import installation
from cetacean_tools.demo.environment import installed
from cetacean_tools.demo.waiting import NotSoError
from cetacean_tools.demo_models import ensure_models
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.use import choose
from soak import report
from soak.run import Soak

NAMESPACE = "soak"


def main(arguments: list[str] | None = None) -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="default: another one each time")
    parser.add_argument(
        "--publish", action="store_true", help="write the figures to benchmarks/results and the documentation"
    )
    parser.add_argument("--only-if-local", action="store_true", help="on any other cluster, end with 0 at once")
    options = parser.parse_args(arguments)
    cluster = choose()
    if not isinstance(cluster, LocalCluster):
        kind = "no soak here" if options.only_if_local else "error"
        print(
            f"{kind}: expected the local cluster, whose components can be killed; unset KUBE_CONTEXT", file=sys.stderr
        )
        return 0 if options.only_if_local else 2
    print(f"seed {options.seed}", flush=True)
    models = ensure_models(show=print)
    references = installation.load_images(cluster, installation.build_images(models))
    with installed(cluster, models, references) as there:
        environment = there.environment(NAMESPACE)
        with shared_cache(environment.kubectl, cluster) as claim:
            soak = Soak(replace(environment, cache=claim), cluster, options.seed, lambda line: print(line, flush=True))
            try:
                found = soak.run(60 * options.minutes)
            except NotSoError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
    print(json.dumps(found, indent=2))
    if options.publish:
        publish_benchmark("soak", found, report.table(found), between=(report.BEGIN, report.END))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
