"""The static site of `jaxllm report --site`: leaderboards, models, tasks and every sample."""
