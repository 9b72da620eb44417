"""`python -m benchmarks.operator`: our operator beside Argo Rollouts and Kubernetes' own Deployments, in one run.

Each gets an empty control plane of its own, one after the other on the same machine: only the ratios count.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.machine import BenchmarkError
from benchmarks.operator.contestants import Ours, contestants
from benchmarks.operator.measure import Course, Measured, measure
from benchmarks.operator.report import figures, results, table, write
from benchmarks.operator.world import build, world

from cetacean_tools.demo.kubectl import CommandError
from cetacean_tools.demo.waiting import NotSoError
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.workspace import REPOSITORY, MissingError, end_like_ctrl_c


def main() -> int:
    """Measure, and write the figures."""
    known = {contestant.name: contestant for contestant in contestants()}
    parser = argparse.ArgumentParser(prog="benchmarks.operator", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 1000], help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="switches of all (default: %(default)s)")
    parser.add_argument("--singles", type=int, default=50, help="changes of one resource (default: %(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=90.0, help="without any change (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=known, default=list(known), help="whom (default: all)")
    parser.add_argument("--minutes", type=float, default=60.0, help="then no other is begun (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print the figures and write nothing")
    parser.add_argument(
        "--beside",
        action="append",
        type=_checkout,
        default=[],
        metavar="NAME=FOLDER",
        help="also measure the operator of another checkout; nothing is written then",
    )
    options = parser.parse_args()
    others = {other.name: other for other in options.beside}
    known |= others
    options.only += list(others)
    if "ours" not in options.only:
        parser.error("--only: expected ours among them")
    end_like_ctrl_c()
    course = Course(options.rounds, options.singles, options.idle_seconds)
    measured: dict[str, dict[int, Measured]] = {name: {} for name in known if name in options.only}
    begun = time.monotonic()
    try:
        build()
        for size in options.sizes:
            for name, by_size in measured.items():
                late = time.monotonic() - begun > options.minutes * 60
                if late or (name == "argo_unlimited" and size != max(options.sizes)):
                    continue
                with world() as here:
                    by_size[size] = measure(known[name], here, size, course)
                print(f"{size} {name}: {figures(by_size[size])}", flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (BenchmarkError, ClusterError, CommandError, MissingError, NotSoError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    found = results({name: by_size for name, by_size in measured.items() if by_size})
    print(table(found))
    if not options.dry and not others:
        write(
            found,
            json_file=REPOSITORY / "benchmarks" / "results" / "operator.json",
            document=REPOSITORY / "docs" / "benchmarks.md",
        )
    return 0


def _checkout(text: str) -> Ours:
    name, equals, folder = text.partition("=")
    if not (name and equals and (Path(folder) / "operator/cetacean_operator").is_dir()):
        raise argparse.ArgumentTypeError(f"expected NAME=FOLDER of a checkout, got {text!r}")
    return Ours(name, Path(folder).resolve())


if __name__ == "__main__":
    raise SystemExit(main())
