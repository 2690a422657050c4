"""jaxllm's models inside other programs."""
