"""A config's `sweep()` as runs, each in a folder of its own, and what came of them."""
