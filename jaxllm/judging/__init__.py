"""LLM-as-a-judge: benchmarks, answers to them, judgments of those, and what they come to."""
