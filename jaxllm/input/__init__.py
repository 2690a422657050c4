"""From files to batches on the devices: sources, token ids, the order of data, rows, arrays."""
