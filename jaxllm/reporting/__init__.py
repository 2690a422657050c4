"""Results on disk, their statistics, and how they are shown: a table, an HTML page. Never imports jax."""
