"""One file per suite version; a published suite never changes, a new version is a new file."""
