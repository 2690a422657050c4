from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from jaxllm.convert import main
from jaxllm.errors import UserError
from jaxllm.weights.load import load_model

GOLDENS = Path(__file__).parent / "goldens"


@pytest.fixture
def source(tmp_path):
    spec = importlib.util.spec_from_file_location("make_goldens", GOLDENS / "make_goldens.py")
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    return tiny.write_folder(tmp_path / "source", "llama")


def test_the_verb_converts_and_says_how_much(source, tmp_path, capsys):
    assert main(["--to=orbax", str(source), str(tmp_path / "out")]) == 0

    model = load_model(tmp_path / "out")
    assert capsys.readouterr().out == f"wrote {model.num_params:,} parameters to {tmp_path}/out\n"


def test_a_dtype_can_be_named(source, tmp_path):
    main(["--to=hf", "--dtype=bfloat16", str(source), str(tmp_path / "out")])

    model = load_model(tmp_path / "out")
    assert model.config.param_dtype == "bfloat16"
    assert '"torch_dtype": "bfloat16"' in (tmp_path / "out" / "config.json").read_text()


@pytest.mark.parametrize("to", ["hf", "orbax"])
def test_a_destination_in_use_is_kept_unless_told(to, source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")

    with pytest.raises(UserError, match="--overwrite"):
        main([f"--to={to}", str(source), str(out)])
    assert (out / "precious.txt").exists()
    main([f"--to={to}", "--overwrite", str(source), str(out)])

    assert not (out / "precious.txt").exists()
    np.testing.assert_array_equal(
        load_model(out).params["head"]["kernel"], load_model(source).params["head"]["kernel"]
    )


@pytest.mark.parametrize("destination", [".", ".."])
def test_the_source_is_never_overwritten(destination, source):
    with pytest.raises(UserError, match="source itself"):
        main(["--to=hf", "--overwrite", str(source), str(source / destination)])

    assert (source / "model.safetensors").exists()


def test_help_ends_with_an_example(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])

    assert exit_.value.code == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("example: jaxllm convert")
