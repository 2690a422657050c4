"""`python -m jaxllm.metrics` is `jaxllm metrics`."""

from __future__ import annotations

import sys

from jaxllm.metrics.command import main
from jaxllm.verb import run_verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
