from __future__ import annotations

import json
import tracemalloc

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxllm.errors import UserError
from jaxllm.models.decoder import abstract_params, logical_axes
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.rules import shardings
from jaxllm.weights.hf_config import config_from_hf
from jaxllm.weights.safetensors_folder import (
    INDEX,
    SafetensorsFolder,
    read_config,
    read_params,
    write_hf_folder,
)


def rewrite(folder, change):
    path = folder / "model.safetensors"
    tensors = {name: a.copy() for name, a in safetensors.numpy.load_file(path).items()}
    change(tensors)
    safetensors.numpy.save_file(tensors, path)


def test_every_weight_is_where_the_tree_wants_it(tiny, tmp_path):
    params = read_params(tiny.write_folder(tmp_path, "llama_gqa_wide_heads"))

    blocks, name = params["blocks"], "model.layers.1.self_attn.k_proj.weight"
    np.testing.assert_array_equal(
        blocks["attention"]["key"]["kernel"][1], tiny.tensor(name, (24, 32)).T
    )
    np.testing.assert_array_equal(
        params["head"]["kernel"], tiny.tensor("lm_head.weight", (61, 32)).T
    )
    config = config_from_hf(tiny.CONFIGS["llama_gqa_wide_heads"])
    assert jax.tree.map(lambda a: (a.shape, a.dtype), params) == jax.tree.map(
        lambda a: (a.shape, a.dtype), abstract_params(config)
    )


def test_gpt2_thirds(tiny, tmp_path):
    params = read_params(tiny.write_folder(tmp_path, "gpt2_gelu_new"))

    attention = params["blocks"]["attention"]
    for suffix, ours, shape in (("weight", "kernel", (32, 96)), ("bias", "bias", (96,))):
        whole = tiny.tensor(f"transformer.h.0.attn.c_attn.{suffix}", shape)
        found = [attention[part][ours][0] for part in ("query", "key", "value")]
        np.testing.assert_array_equal(np.concatenate(found, axis=-1), whole)


@pytest.mark.parametrize("name", ["qwen2", "gpt2_untied"])
def test_sharded_reading_gives_the_same_arrays(name, tiny, tmp_path):
    folder = tiny.write_folder(tmp_path, name)
    config = config_from_hf(tiny.CONFIGS[name])
    mesh = make_mesh(MeshShape(data=2, fsdp=2, tensor=2))
    layout = shardings(mesh, logical_axes(config), abstract_params(config))

    sharded = read_params(folder, config, layout)

    kernel = sharded["blocks"]["mlp"]["up"]["kernel"]
    assert kernel.addressable_shards[0].data.size * 4 == kernel.size
    jax.tree.map(np.testing.assert_array_equal, sharded, read_params(folder, config))
    assert jax.tree.all(jax.tree.map(lambda a, s: a.sharding == s, sharded, layout))


def test_a_dtype_can_be_asked_for(tiny, tmp_path):
    folder = tiny.write_folder(tmp_path, "llama")

    assert read_params(folder, dtype="bfloat16")["embed"]["tokens"].dtype == "bfloat16"


def test_reading_a_slice_does_not_read_the_model_into_memory(tiny, tmp_path):
    big = np.zeros((400_000, 16), np.float32)
    safetensors.numpy.save_file({"w": big}, tmp_path / "model.safetensors")
    del big
    tracemalloc.start()

    view = SafetensorsFolder(tmp_path).read("w")[7:9]

    assert view.shape == (2, 16)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda t: t.pop("model.norm.weight"), r"missing 1 tensor: model\.norm\.weight \[32\]"),
        (lambda t: t.update(extra=np.zeros(3)), r"unexpected 1 tensor: extra \[3\]"),
        (
            lambda t: t.update({"model.norm.weight": np.zeros(31, np.float32)}),
            r"model\.norm\.weight is \[31\], the config says \[32\]",
        ),
        (
            lambda t: t.update(
                {"model.layers.1.mlp.up_proj.weight": np.zeros((48, 32), np.float16)}
            ),
            "param_dtype",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_told(change, told, tiny, tmp_path):
    folder = tiny.write_folder(tmp_path, "llama")
    rewrite(folder, change)

    with pytest.raises(UserError, match=told):
        read_params(folder)


def test_inert_tensors_are_let_through(tiny, tmp_path):
    llama = tiny.write_folder(tmp_path / "llama", "llama_tied")
    gpt2 = tiny.write_folder(tmp_path / "gpt2", "gpt2_gelu_new")
    embedding = tiny.tensor("model.embed_tokens.weight", (61, 32))
    inv_freq = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32)}
    rewrite(llama, lambda t: t.update({"lm_head.weight": embedding} | inv_freq))
    rewrite(gpt2, lambda t: t.update({"transformer.h.1.attn.bias": np.ones((1, 1, 64, 64), bool)}))

    assert "head" not in read_params(llama)
    assert "head" not in read_params(gpt2)


def test_a_tied_head_that_differs_is_refused(tiny, tmp_path):
    folder = tiny.write_folder(tmp_path, "llama_tied")
    rewrite(folder, lambda t: t.update({"lm_head.weight": np.zeros((61, 32), np.float32)}))

    with pytest.raises(UserError, match="tie_word_embeddings"):
        read_params(folder)


def test_gpt2_saved_without_the_prefix_is_read(tiny, tmp_path):
    folder = tiny.write_folder(tmp_path, "gpt2_gelu_new")
    expected = read_params(folder)

    def strip(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)

    rewrite(folder, strip)

    jax.tree.map(np.testing.assert_array_equal, read_params(folder), expected)


def test_folders_without_weights_say_what_is_wrong(tiny, tmp_path):
    folder = tiny.write_folder(tmp_path, "llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(UserError, match=r"pytorch_model\.bin"):
        read_params(folder)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "model-00001.safetensors"}}))
    with pytest.raises(UserError, match=r"model-00001\.safetensors.*missing"):
        read_params(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(UserError, match="JSON object"):
        read_config(folder)


def test_writing_in_shards(tiny, tmp_path):
    source = tiny.write_folder(tmp_path / "source", "qwen3")
    config = config_from_hf(tiny.CONFIGS["qwen3"])
    params = read_params(source, config)

    write_hf_folder(tmp_path / "out", params, config, shard_bytes=20_000)

    index = json.loads((tmp_path / "out" / INDEX).read_text())
    files = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert len(files) > 2
    assert sorted(set(index["weight_map"].values())) == files
    assert index["metadata"]["total_size"] == 4 * sum(a.size for a in jax.tree.leaves(params))
    jax.tree.map(np.testing.assert_array_equal, read_params(tmp_path / "out"), params)
    assert config_from_hf(read_config(tmp_path / "out")[0]) == config


def test_sharded_weights_are_written_as_they_are(tiny, tmp_path):
    source = tiny.write_folder(tmp_path / "source", "llama")
    config = config_from_hf(tiny.CONFIGS["llama"])
    mesh = make_mesh(MeshShape(data=1, fsdp=4, tensor=2))
    layout = shardings(mesh, logical_axes(config), abstract_params(config))
    params = read_params(source, config, layout)

    write_hf_folder(tmp_path / "out", params, config)

    jax.tree.map(np.testing.assert_array_equal, read_params(tmp_path / "out"), params)


def test_an_interrupted_write_leaves_nothing(tiny, tmp_path):
    config = config_from_hf(tiny.CONFIGS["llama"])
    params = read_params(tiny.write_folder(tmp_path / "source", "llama"), config)
    params["final_norm"]["scale"] = np.zeros(31, np.float32)  # found when its turn comes

    with pytest.raises(ValueError, match="planned"):
        write_hf_folder(tmp_path / "out", params, config)

    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_folder_that_is_not_empty_is_kept(tiny, tmp_path):
    source = tiny.write_folder(tmp_path, "llama")
    config = config_from_hf(tiny.CONFIGS["llama"])
    params = read_params(source, config)
    before = (source / "model.safetensors").read_bytes()

    with pytest.raises(UserError, match="not empty"):
        write_hf_folder(source, params, config)

    assert (source / "model.safetensors").read_bytes() == before
