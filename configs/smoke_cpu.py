"""The smallest real run on any CPU: of the embedded suite, or of any config of `jaxllm train`.

    jaxllm train --config=configs/smoke_cpu.py --workdir=runs/smoke
    jaxllm train --config=configs/smoke_cpu.py:sft/llm_jp_3_13b --workdir=runs/smoke_13b
    jaxllm train --config=configs/smoke_cpu.py:dpo/llm_jp_instruct3:1.8b --workdir=runs/smoke_dpo

The argument is a config beside this file, with an argument of its own. Its template, objective,
packing, optimizer, adapters and evaluators stay; a model of its kind with some hundred thousand
parameters and fresh weights takes 40 steps over at most 400 examples of each source. Three tasks of
the embedded suite (or its preferences) are added to the mixture and to the evaluators, so that it
runs where nothing else is at hand.

Adapters need a model to stand on: the smoke run of the recipe that tunes all its weights.

    jaxllm train --config=configs/smoke_cpu.py:sft/llm_jp_v1_0 --workdir=runs/smoke_base
    jaxllm train --config=configs/smoke_cpu.py:sft/llm_jp_v1_0_lora --workdir=runs/smoke_lora \\
        --config.init_from=runs/smoke_base
"""

from pathlib import Path

from jaxllm.config import load_config
from jaxllm.defaults import mixture_entry, train_config
from jaxllm.models.zoo import get_config as released

SIZES = {
    "hidden_size": 64,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 16,
    "ffn_size": 176,
    "max_positions": 512,
}
KIND = "norm activation gated_mlp positions qkv_bias out_bias mlp_bias qk_norm tie_embeddings"
TASKS = ("fa", "mt", "qa")


def get_config(recipe=""):
    config = shrunk(recipe) if recipe else embedded()
    config.tokenizer = "mini"
    kind = config.model.architecture.to_dict()
    config.model.architecture = {**SIZES, "tie_embeddings": True, **kind}
    for task in TASKS if config.objective == "sft" else ():
        config.mixture[f"mini_{task}"] = mixture_entry(f"mini/{task}", max_examples=400)
    config.evals.mini = {
        "type": "generate",
        "tasks": tuple(f"mini/v1:{task}" for task in TASKS),
        "split": "dev",
        "max_samples": 50,
        "every": "50%",
    }
    return config


def embedded():
    config = train_config()
    config.template = "llm_jp_v1.3"
    config.input.update(max_length=128, rows=16, bos="never")
    config.steps = 200
    config.optimizer.update(peak_lr=5e-3, warmup=0.05)
    config.checkpoint.every = 100
    return config


def shrunk(recipe):
    path, colon, arg = recipe.partition(":")
    config = load_config(f"{Path(__file__).parent}/{path.removesuffix('.py')}.py{colon}{arg}")
    config.unlock()
    if config.model.zoo:
        kind = released(config.model.zoo)
        config.model.architecture = {name: getattr(kind, name) for name in KIND.split()}
        if kind.num_kv_heads == kind.num_heads:
            config.model.architecture.num_kv_heads = SIZES["num_heads"]
    config.model.update(zoo="", dtype="float32", remat="dots")
    if config.lora.rank:
        config.init_from = "runs/smoke_base"
        config.lora.update(rank=4, alpha=4 * config.lora.alpha / config.lora.rank)
    else:
        config.init_from = ""
    if config.template == "chat":
        config.template = "llm_jp_3"  # the embedded tokenizer has none of its own
    for entry in config.mixture.values():
        entry.update(max_examples=400, held_out=0.1)
    if config.objective == "dpo":
        config.mixture.mini = mixture_entry("mini/preference", template="llm_jp_3", held_out=0.1)
    config.topology = ""
    config.mesh.update(data=-1, fsdp=1, tensor=1)
    config.input.update(max_length=512, rows=8, accumulation=1)
    config.update(steps=40, epochs=0.0, log_every=1)
    # A fresh model learns nothing at the rates that suit a trained one.
    config.optimizer.update(
        peak_lr=5e-3,
        end_lr=5e-3 * config.optimizer.end_lr / config.optimizer.peak_lr,
        warmup=0.1,
        hold=0.1 if config.optimizer.hold else 0.0,
    )
    config.checkpoint.every = 20
    for name, entry in config.evals.items():
        changes = {"every": "50%"}
        if entry.type in ("loss", "preference"):  # of what the mixture holds out
            changes |= {"source": "", "rows": 8, "max_examples": 100}
        config.evals[name] = entry.to_dict() | changes
    return config
