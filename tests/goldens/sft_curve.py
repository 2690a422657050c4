"""A hundred steps of supervised tuning of a Llama of four layers, as TRL and as jaxllm take them.

Both read the same JSONL file in its order, eight examples a step, with the same optimizer. TRL's
losses are kept in `sft_curve.json`. To make them again (needs torch, transformers and trl):

    python tests/goldens/sft_curve.py
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent
CURVE = FOLDER / "sft_curve.json"
NUM_STEPS, ROWS, NUM_LAYERS = 100, 8, 4
PEAK_LR, WARMUP, BETA2, WEIGHT_DECAY, CLIP_NORM = 3e-3, 10, 0.95, 0.1, 1.0

_SPEC = importlib.util.spec_from_file_location("make_goldens", FOLDER / "make_goldens.py")
goldens = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(goldens)


def write_inputs(folder: Path) -> tuple[Path, Path]:
    """The model's Hugging Face folder and the file of examples."""
    model, pairs = folder / "model", folder / "pairs.jsonl"
    goldens.write_folder(model, "llama")
    shapes = json.loads((FOLDER / "models.json").read_text())["llama"]["tensors"]
    for name in [name for name in shapes if ".layers.0." in name]:
        for layer in range(NUM_LAYERS):
            shapes[name.replace(".layers.0.", f".layers.{layer}.")] = shapes[name]
    weights = {name: goldens.tensor(name, tuple(shape)) for name, shape in shapes.items()}
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    config = goldens.CONFIGS["llama"] | {"num_hidden_layers": NUM_LAYERS}
    (model / "config.json").write_text(json.dumps(config))
    draw = np.random.default_rng(0)
    with pairs.open("w") as file:
        for _ in range(NUM_STEPS * ROWS):
            # The answer is the question from its end: something that can be learned.
            words = [f"w{word}" for word in draw.integers(3, 13, draw.integers(2, 20))]
            record = {"prompt": " ".join(words), "completion": " " + " ".join(words[::-1])}
            file.write(json.dumps(record) + "\n")
    return model, pairs


def our_losses(model: Path, pairs: Path, workdir: Path) -> list[float]:
    """The losses that `jaxllm train` logs."""
    from jaxllm.defaults import mixture_entry, train_config
    from jaxllm.observe.writer import read_scalars
    from jaxllm.train import train

    config = train_config()
    config.init_from = str(model)
    config.mixture.pairs = mixture_entry(f"jsonl:{pairs}", template="plain", shuffle=False)
    config.input.update(rows=ROWS, max_length=48, packing="none", bos="never")
    config.data_dir = str(workdir)
    config.steps, config.log_every = NUM_STEPS, 1
    config.optimizer.update(
        peak_lr=PEAK_LR,
        warmup=float(WARMUP),
        b2=BETA2,
        weight_decay=WEIGHT_DECAY,
        clip_norm=CLIP_NORM,
    )
    train(config, workdir / "run")
    return [row["loss"] for row in read_scalars(workdir / "run")]


def trl_losses(model: Path, pairs: Path, workdir: Path) -> list[float]:
    """The losses of TRL's SFTTrainer."""
    import datasets
    import transformers
    import trl

    class Losses(trl.SFTTrainer):
        found: list[float]

        def training_step(self, *args, **kwargs):
            loss = super().training_step(*args, **kwargs)
            self.found.append(loss.item())
            return loss

    arguments = trl.SFTConfig(
        output_dir=str(workdir / "trl"),
        per_device_train_batch_size=ROWS,
        max_steps=NUM_STEPS,
        train_sampling_strategy="sequential",
        max_length=None,
        learning_rate=PEAK_LR,
        lr_scheduler_type="cosine",
        warmup_steps=WARMUP,
        adam_beta2=BETA2,
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=CLIP_NORM,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
    )
    trainer = Losses(
        model=transformers.AutoModelForCausalLM.from_pretrained(model, dtype="float32"),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(
            [json.loads(line) for line in pairs.read_text().splitlines()]
        ),
        processing_class=transformers.PreTrainedTokenizerFast.from_pretrained(model),
    )
    trainer.found = []
    trainer.train()
    return trainer.found


def main() -> None:
    """Writes `sft_curve.json` beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        losses = trl_losses(*write_inputs(Path(folder)), Path(folder))
    libraries = ("trl", "transformers", "torch")
    kept = {
        "command": "python tests/goldens/sft_curve.py",
        "versions": {name: importlib.metadata.version(name) for name in libraries},
        "losses": [round(loss, 6) for loss in losses],
    }
    CURVE.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"first {losses[0]:.4f}, last {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
