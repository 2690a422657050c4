"""`jaxllm metrics`: which metrics there are, and the environments that some of them need.

jaxllm metrics list
jaxllm metrics install comet
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from jaxllm.metrics.environments import ENVIRONMENTS, install
from jaxllm.metrics.registry import describe, metric_names, why_missing


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm metrics`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm metrics",
        description="List the metrics, or make the environment that one of them needs.",
        epilog="example: jaxllm metrics install comet",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="every metric, and why it cannot be had if it cannot")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    making = actions.add_parser("install", help="make an environment with pinned versions")
    making.add_argument("name", choices=sorted(ENVIRONMENTS))
    args = parser.parse_args(argv)
    if args.action == "install":
        folder = install(args.name)
        print(f"{args.name}: {folder}")
        print(f"The weights of {ENVIRONMENTS[args.name].models} are fetched at the first score.")
        return 0
    missing = {name: why_missing(name) for name in metric_names()}
    if args.json:
        print(json.dumps({name: reason or None for name, reason in missing.items()}))
        return 0
    width = max(map(len, missing))
    for name, reason in missing.items():
        print(f"{name:{width}}  {describe(name)}")
        if reason:
            print(f"{'':{width}}  missing: {reason}")
    return 0
