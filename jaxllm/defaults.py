"""Every field a config may set, with its default: config files start from here.

from jaxllm.defaults import train_config

def get_config():
    config = train_config()
    config.mixture.mine = dict(source="jsonl:mine.jsonl")
    return config
"""

from __future__ import annotations

import dataclasses

from ml_collections import ConfigDict

from jaxllm.chat.endpoint import EndpointSettings
from jaxllm.evaluators.early_stopping import EarlyStoppingSettings
from jaxllm.input.entries import MixtureEntry
from jaxllm.objectives.dpo import DpoSettings
from jaxllm.objectives.optimizer import OptimizerSettings
from jaxllm.objectives.sft import SftSettings
from jaxllm.observe.sinks import ObserveSettings
from jaxllm.parallel.mesh import MeshShape
from jaxllm.weights.lora_targets import LoraSettings


def train_config() -> ConfigDict:
    """The fields of `jaxllm train`."""
    return ConfigDict(
        {
            "seed": 0,
            # What is learned: "sft" predicts the tokens that the template gave loss weight, "dpo"
            # prefers chosen answers to rejected ones.
            "objective": "sft",
            "sft": dataclasses.asdict(SftSettings()),
            "dpo": dataclasses.asdict(DpoSettings()),
            # Weights to start from: a Hugging Face folder or hub id, a .gguf file, or a checkpoint.
            # Empty: fresh weights of `architecture`.
            "init_from": "",
            "model": model_settings(),
            # Low-rank adapters on `init_from` instead of its own weights, with a rank above 0.
            "lora": dataclasses.asdict(LoraSettings()),
            # A tokenizer file or folder; "mini": the embedded suite's; empty: that of `init_from`.
            "tokenizer": "",
            "data_dir": "",
            # What to train on, by any names (see jaxllm.input.entries.MixtureEntry).
            "mixture": {},
            "template": "chat",
            "input": {
                # Positions of a row; rows of a step, over all devices and micro-batches.
                "max_length": 2048,
                "rows": 8,
                # "best_fit" (whole examples that do not see one another), "none" (one a row) or
                # "concat" (one stream, cut anywhere; see jaxllm.input.plan.make_plan).
                "packing": "best_fit",
                # What becomes of an example longer than a row: "drop", "truncate" or "error".
                "truncation": "drop",
                # "auto" (as the tokenizer does), "always" or "never".
                "bos": "auto",
                # Micro-batches of a step.
                "accumulation": 1,
            },
            # Optimizer steps, or passes over the mixture; one of them.
            "steps": 0,
            "epochs": 0.0,
            "optimizer": dataclasses.asdict(OptimizerSettings()),
            "mesh": dataclasses.asdict(MeshShape()),
            # The TPUs that mesh and micro-batches are made for, such as v5e:4x4; nothing in
            # training reads it.
            "topology": "",
            "checkpoint": {
                # Steps between two; the last one always. The best by a metric, such as
                # eval/NAME/loss with best_mode="min", is kept beside the newest.
                "every": 0,
                "keep_last": 1,
                "keep_every": 0,
                "best_metric": "",
                "best_mode": "max",
            },
            "early_stopping": dataclasses.asdict(EarlyStoppingSettings()),
            # Steps between two looks for a process that holds the others up, which it is called
            # after three of them; 0: never.
            "compare_processes_every": 100,
            # Evaluators by name (see jaxllm.evaluators), each with a `type` and its settings, and
            # `every` (steps, "25%" or "0.5 epochs"; the last step always), `first` (before step
            # 1) and `optional` (left out where its data is not here).
            "evals": {},
            "log_every": 10,
            # Who is told of the scalars beside the run's own files.
            "observe": dataclasses.asdict(ObserveSettings()),
            "open_groups": ("mixture", "mixture.*", "evals", "evals.*", "model.architecture"),
        }
    )


def evaluate_config() -> ConfigDict:
    """The fields of `jaxllm evaluate`."""
    return ConfigDict(
        {
            "seed": 0,
            # "local": weights, computed as below; "api": `model` at `base_url`, asked there.
            "model": {"type": "local", **model_settings(), **endpoint_settings()},
            "data_dir": "",
            "mesh": dataclasses.asdict(MeshShape()),
            "evals": {},
            "open_groups": ("evals", "evals.*"),
        }
    )


def endpoint_settings() -> dict[str, object]:
    """How a model at an OpenAI-compatible endpoint is asked (see jaxllm.chat.endpoint)."""
    fields = dataclasses.fields(EndpointSettings)
    return {field.name: "" if field.name == "model" else field.default for field in fields}


def judge_entry(benchmark: str, **changes: object) -> dict[str, object]:
    """An entry of `config.evals` in which a judge reads the answers to a benchmark.

    All fields are there, so that each can be overridden; the judge is to be named.
    """
    entry: dict[str, object] = {
        "type": "judge",
        "benchmark": benchmark,
        "judge": {
            "type": "api",
            **endpoint_settings(),
            # of a judge of type "local", and of one of type "scripted"
            "template": "chat",
            "dtype": "float32",
            "script": "",
        },
        "preset": "",
        "max_samples": -1,
        "max_judged": -1,
        "num_samples": 1,
        "votes": 1,
        "expected_scores": False,
        "system": "",
        "max_new_tokens": 0,
        "judge_temperature": -1.0,
        "judge_max_tokens": 0,
        "template": "chat",
        "raw_dir": "",
        "kind": "",
    }
    return entry | changes


def model_settings() -> dict[str, object]:
    """How a model is computed, and for fresh weights what it is."""
    return {
        "dtype": "float32",
        "param_dtype": "float32",
        "attention": "auto",
        # What is computed again on the way back: "none", "dots" (all but products with weights and
        # attention; half the memory, at no cost worth mentioning), "full".
        "remat": "dots",
        "scan_unroll": 1,
        # Fresh weights only: the name of a released model's architecture (jaxllm.models.zoo),
        # or fields of ModelConfig; vocab_size may be left to the tokenizer. Beside `init_from` the
        # name says what these weights are to those who do not load them.
        "zoo": "",
        "architecture": {},
    }


def mixture_entry(source: str, **changes: object) -> dict[str, object]:
    """An entry of `config.mixture` with all its fields, so that each can be overridden."""
    return dataclasses.asdict(MixtureEntry(source=source)) | changes
