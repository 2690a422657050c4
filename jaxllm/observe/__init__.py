"""What a run shows while it works and leaves behind: scalars, progress bars, memory."""
