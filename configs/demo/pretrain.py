"""The demo's base model: a Llama of about a million parameters, pre-trained on plain text."""

from jaxllm.defaults import mixture_entry, train_config


def get_config():
    config = train_config()
    config.tokenizer = "mini"
    # Four layers side by side compile in seconds, and run a tenth faster than a loop.
    config.model.scan_unroll = 4
    config.model.architecture = {
        "hidden_size": 128,
        "num_layers": 4,
        "num_heads": 4,
        "num_kv_heads": 4,
        "head_dim": 32,
        "ffn_size": 352,
        "max_positions": 512,
        "tie_embeddings": True,
        # Wider than the usual 0.02: runs of this size learned to copy sooner with it.
        "init_std": 0.08,
    }
    config.mixture.text = mixture_entry("mini/text", template="plain")
    config.input.update(max_length=128, rows=8)
    config.steps = 700
    # After 750 steps AdamW had a loss of 1.08, Muon of 0.81, and tuned models of AdamW's base
    # scored differently from one kind of CPU to another.
    config.optimizer.update(name="muon", peak_lr=5e-3, end_lr=2.5e-4, b2=0.98, warmup=0.05)
    config.log_every = 20
    return config
