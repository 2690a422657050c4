"""HTML documents that hold all they need, and what they are made of: see `document.py`."""
