from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.weights.checkpoint import Checkpoints
from jaxllm.weights.load import load_model


def save_run(workdir, model, steps=(3, 5)):
    checkpoints = Checkpoints(
        workdir / "checkpoints",
        model_config=model.config,
        tokenizer=model.tokenizer,
        source_files=model.source_files,
        keep_last=9,
    )
    for step in steps:
        params = jax.tree.map(lambda leaf, step=step: leaf + step, model.params)
        checkpoints.save(step, {"params": params, "step": jnp.int32(step)})
    checkpoints.close()


def test_a_hugging_face_folder(tiny, tmp_path):
    folder = tiny.write_folder(tmp_path / "small", "llama", "bfloat16")

    model = load_model(folder)

    assert (model.name, model.source, model.revision) == ("small", str(folder), None)
    assert (model.config.dtype, model.config.param_dtype) == ("float32", "bfloat16")
    assert model.params["embed"]["tokens"].dtype == "bfloat16"
    assert model.tokenizer.encode("w3 w9") == [3, 9]
    assert model.num_params == sum(leaf.size for leaf in jax.tree.leaves(model.params))


def test_dtypes_are_the_callers_choice(tiny, tmp_path):
    folder = tiny.write_folder(tmp_path, "llama")

    model = load_model(folder, dtype="bfloat16", param_dtype="float16")

    assert (model.config.dtype, model.config.param_dtype) == ("bfloat16", "float16")
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(model.params)} == {"float16"}
    with pytest.raises(UserError, match="float8"):
        load_model(folder, dtype="float8")


@pytest.mark.parametrize("mesh_shape", [None, MeshShape(data=2, fsdp=2, tensor=2)])
def test_a_run_by_its_workdir_its_checkpoints_or_a_step(mesh_shape, tiny, tmp_path):
    base = load_model(tiny.write_folder(tmp_path / "base", "qwen2", "bfloat16"))
    save_run(tmp_path / "run", base)
    mesh = None if mesh_shape is None else make_mesh(mesh_shape)

    for place, step in (("run", 5), ("run/checkpoints", 5), ("run/checkpoints/3", 3)):
        model = load_model(tmp_path / place, mesh=mesh)
        assert (model.name, model.revision) == ("run", f"step {step}")
        assert model.config == base.config
        assert model.tokenizer.digest == base.tokenizer.digest
        assert model.source_files == base.source_files
        expected = jax.tree.map(lambda leaf, step=step: leaf + step, base.params)
        jax.tree.map(np.testing.assert_array_equal, model.params, expected)
        if mesh is not None:
            assert model.params["embed"]["tokens"].sharding.mesh == mesh


def test_weights_of_a_run_can_be_cast(tiny, tmp_path):
    base = load_model(tiny.write_folder(tmp_path / "base", "llama"))
    save_run(tmp_path / "run", base, steps=(1,))

    model = load_model(tmp_path / "run", param_dtype="bfloat16")

    assert {str(leaf.dtype) for leaf in jax.tree.leaves(model.params)} == {"bfloat16"}
    assert model.config.param_dtype == "bfloat16"


def test_a_tokenizer_with_more_ids_than_rows_is_refused(tiny, tmp_path):
    folder = tiny.write_folder(tmp_path, "llama")
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"w60": 60', '"w60": 90'))

    with pytest.raises(UserError, match=r"91 ids.*61 rows"):
        load_model(folder)


def test_a_model_without_a_tokenizer_is_for_work_on_ids(tiny, tmp_path):
    folder = tiny.write_folder(tmp_path / "small", "llama")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"small has no tokenizer"):
        load_model(folder)

    model = load_model(folder, needs_tokenizer=False)
    assert model.tokenizer.vocab_size == model.config.vocab_size
    assert model.tokenizer.decode([3, 9]) == ""
    with pytest.raises(UserError, match="small came without a tokenizer"):
        model.tokenizer.encode("w3")
    with pytest.raises(UserError, match="none to save"):
        model.tokenizer.save(tmp_path / "other")

    for stop_ids, expected in ((None, (-1, ())), ([7, 8], (7, (8,)))):
        settings = json.dumps({"eos_token_id": stop_ids})
        for name in ("generation_config.json", "config.json"):
            fields = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
            (folder / name).write_text(json.dumps({**fields, **json.loads(settings)}))
        ids_only = load_model(folder, needs_tokenizer=False).tokenizer
        assert (ids_only.eos_id, ids_only.extra_stop_ids) == expected


@pytest.mark.parametrize(
    "place, told",
    [("nowhere", "no hub id"), ("empty", "holds no model"), ("notes.txt", "is no model")],
)
def test_places_without_a_model(place, told, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("")

    with pytest.raises(UserError, match=told):
        load_model(tmp_path / place)


def test_a_hub_id_without_a_network_names_the_way_out(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(UserError, match=r"llm-jp/llm-jp-3-150m at revision v1 .*Give the folder"):
        load_model("llm-jp/llm-jp-3-150m", revision="v1")


def test_a_hub_model_records_the_commit(tiny, tmp_path, monkeypatch):
    import huggingface_hub

    asked = {}
    snapshot = tmp_path / "snapshots" / "0123abc"

    def download(name, *, revision, allow_patterns):
        asked.update(name=name, revision=revision)
        return str(tiny.write_folder(snapshot, "llama"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)

    model = load_model("llm-jp/tiny", revision="main")

    assert asked == {"name": "llm-jp/tiny", "revision": "main"}
    assert (model.name, model.source, model.revision) == ("llm-jp/tiny", "llm-jp/tiny", "0123abc")


def test_a_manifest_of_another_version_is_refused(tiny, tmp_path):
    base = load_model(tiny.write_folder(tmp_path / "base", "llama"))
    save_run(tmp_path / "run", base, steps=(1,))
    manifest = tmp_path / "run" / "checkpoints" / "model" / "model.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"schema": "x/9"}))

    with pytest.raises(UserError, match="x/9"):
        load_model(tmp_path / "run")
