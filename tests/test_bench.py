"""The figures of `jaxllm bench`: complete, and the same texts every time."""

from __future__ import annotations

import functools
import json
import time

import pytest

import jaxllm.bench as bench_module
import jaxllm.bench_train as bench_train_module
from jaxllm.bench import bench_decode, bench_metrics
from jaxllm.bench_train import bench_train
from jaxllm.cli import main
from jaxllm.errors import UserError
from jaxllm.weights.safetensors_folder import write_hf_folder


def test_metrics_are_timed_on_the_same_texts_every_time(capsys):
    figures = []
    for _ in range(2):
        flags = ["--pairs=5", "--characters=40", "--json"]
        assert main(["bench", "metrics", "char_f1", "rougeL", *flags]) == 0
        figures.append(json.loads(capsys.readouterr().out))
    first, second = figures
    assert (first["pairs"], first["characters"]) == (5, 40)
    assert 0 < first["char_f1_mean"] == second["char_f1_mean"] < 1
    assert first["rougeL_s"] >= 0


def test_an_unknown_metric_is_the_users_error():
    with pytest.raises(UserError, match="char_f1"):
        bench_metrics(["char_f2"], pairs=1, characters=1)


def test_ids_alone_are_decoded_without_a_tokenizer(tiny_config, tiny_params, tmp_path, monkeypatch):
    for peak in ("matmul_peak", "read_bandwidth"):
        monkeypatch.setattr(bench_module, peak, lambda *_: 1e9)
    write_hf_folder(tmp_path / "model", tiny_params, tiny_config)
    requests = tmp_path / "requests.jsonl"
    lines = [{"id": str(n), "prompt_ids": [399, n], "max_new_tokens": 2} for n in range(4)]
    requests.write_text("\n".join(map(json.dumps, lines)))
    began = time.monotonic()
    figures = bench_decode(str(tmp_path / "model"), str(requests), dtype="float32")
    assert figures["generated_tokens"] == 8
    # This process has run for longer than the call.
    assert figures["startup_s"] > time.monotonic() - began + 1
    requests.write_text(json.dumps({"id": "0", "prompt": "猫", "max_new_tokens": 2}))
    with pytest.raises(UserError, match=r"line 1: model came without a tokenizer"):
        bench_decode(str(tmp_path / "model"), str(requests), dtype="float32")


def test_decoding_and_training_are_measured(tiny_run, tmp_path, monkeypatch):
    for peak in ("matmul_peak", "read_bandwidth"):
        monkeypatch.setattr(bench_module, peak, lambda *_: 1e9)
    monkeypatch.setattr(bench_train_module, "matmul_peak", lambda *_: 1e9)
    requests, pairs = tmp_path / "requests.jsonl", tmp_path / "pairs.jsonl"
    lines = [
        {"id": str(n), "prompt_ids": [5] * (20 + n), "max_new_tokens": 1 + n, "ignore_eos": True}
        for n in range(8)
    ]
    requests.write_text("\n".join(map(json.dumps, lines)))
    decoded = bench_decode(str(tiny_run), str(requests), dtype="float32")
    assert decoded["generated_tokens"] == sum(range(1, 9))
    assert decoded["prompt_tokens"] == sum(range(20, 28))
    # Nineteen tokens are shared by all.
    assert decoded["prefilled_tokens"] == 19 + sum(range(1, 9))
    assert 0 <= decoded["prefill_padding"] < 1
    assert 0 <= decoded["idle_slot_share"] < 1
    assert decoded["roofline_ratio"] > 0
    records = [{"prompt": f"質問{n}", "completion": "はい"} for n in range(200)]
    pairs.write_text("\n".join(map(json.dumps, records)))
    trained = bench_train(
        str(tiny_run), str(pairs), rows=8, length=32, max_steps=4, dtype="float32"
    )
    assert trained["steps"] == 4
    assert trained["tokens_per_s"] > trained["trained_tokens_per_s"] > 0
    assert trained["peak_share"] > 0


def test_token_ids_are_trained_on_without_a_tokenizer(
    tiny_config, tiny_params, tmp_path, monkeypatch
):
    monkeypatch.setattr(bench_train_module, "matmul_peak", lambda *_: 1e9)
    write_hf_folder(tmp_path / "model", tiny_params, tiny_config)
    pairs = tmp_path / "pairs.jsonl"
    lines = [{"prompt_ids": [7] * (n % 9 + 1), "completion_ids": [n, 2]} for n in range(64)]
    pairs.write_text("\n".join(map(json.dumps, lines)))
    run = functools.partial(bench_train, str(tmp_path / "model"), str(pairs), dtype="float32")
    figures = run(rows=8, length=16, max_steps=0)
    # Of the second step on: what the mathematics needs, whatever rows it is laid out in.
    assert figures["steps"] >= 2
    assert figures["needed_gflop"] > 0
    assert figures["peak_rss_mb"] > 0
    assert 0 <= figures["padding"] < 1
    assert 0 <= figures["input_wait"] <= 1
    assert figures["trained_tokens_per_s"] < figures["tokens_per_s"]
    with pytest.raises(UserError, match=r"--rows=6: 8 devices .* multiple of 8"):
        run(rows=6, length=16, max_steps=0)
    with pytest.raises(UserError, match=r"makes 1 step .* smaller --rows"):
        run(rows=8, length=16, max_steps=1)
