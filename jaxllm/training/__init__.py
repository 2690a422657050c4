"""What `jaxllm train` is made of, below the story that train.py tells."""
