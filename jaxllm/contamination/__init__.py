"""Evaluation samples in tuning data: shared n-grams and near-duplicates, found by streaming."""
