"""Results on disk, their statistics, and how they are shown; nothing here imports jax."""
