"""Tokenizers, prompt templates that return ids and loss weights together, answer extraction."""
