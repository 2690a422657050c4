"""Loading, overriding and saving configs."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from jaxllm.config import (
    add_config_flags,
    config_digest,
    config_from_args,
    load_config,
    plain_dict,
    save_config,
)
from jaxllm.errors import UserError

pytestmark = pytest.mark.smoke

_CONFIG = """
from ml_collections import ConfigDict

def get_config(arg=None):
    config = ConfigDict()
    config.name = "debug" if arg is None else arg
    config.total_steps = 100
    config.warmup_steps = config.get_ref("total_steps") // 10
    config.resume = True
    config.seed = None
    config.mesh = (1, -1)
    config.stops = ["。", "!"]
    config.optimizer = dict(learning_rate=3e-4, b2=0.95)
    config.mixture = dict(jaster=dict(source="corpus:mini/nli", weight=1.0, every=10))
    config.evals = dict()
    config.open_groups = ("mixture", "evals")
    return config
"""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "smoke.py"
    path.write_text(_CONFIG, encoding="utf-8")
    return path


def _file(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "broken.py"
    path.write_text(textwrap.dedent(body), encoding="utf-8")
    return path


def test_the_part_after_the_colon_is_the_argument(config_file: Path) -> None:
    assert load_config(f"{config_file}:large").name == "large"
    assert load_config(config_file).name == "debug"


def test_overrides_reach_references(config_file: Path) -> None:
    assert load_config(config_file, ["total_steps=500"]).warmup_steps == 50


@pytest.mark.parametrize(
    "override, value",
    [
        ("name=run 1", "run 1"),
        ("name=3", "3"),
        ("total_steps=2_000", 2000),
        ("total_steps=-1", -1),
        ("optimizer.learning_rate=1", 1.0),
        ("optimizer.learning_rate=1e-5", 1e-5),
        ("resume=no", False),
        ("resume=True", True),
        ("seed=7", 7),
        ("seed=1e-3", 1e-3),
        ("seed=later", "later"),
        ("name=None", None),
        ("optimizer.b2=None", None),
        ("mesh=(2, 4)", (2, 4)),
        ("mesh=2,4,1", (2, 4, 1)),
        ("mesh=8", (8,)),
        ("mesh=()", ()),
        ("stops=a,b", ("a", "b")),
        ("stops=['a,b']", ("a,b",)),
        ("mixture.jaster.weight=2", 2.0),
    ],
)
def test_an_override_is_read_as_the_type_of_its_field(
    config_file: Path, override: str, value: object
) -> None:
    config = load_config(config_file, [override])
    found: object = config
    for name in override.partition("=")[0].split("."):
        found = found[name]  # type: ignore[index]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "override, message",
    [
        ("total_steps=1.5", "config.total_steps takes an int, such as 100, not '1.5'"),
        ("total_steps=1e3", "config.total_steps takes an int"),
        ("optimizer.learning_rate=fast", "config.optimizer.learning_rate takes a float"),
        ("resume=maybe", "config.resume takes a bool, true or false, not 'maybe'"),
        ("mesh=(1, 2.5)", "config.mesh takes an int"),
        ("mesh=1,x", "config.mesh takes an int"),
        ("optimizer=3", "config.optimizer is a group; set one of its fields: config.optimizer.b2"),
        ("learning_rate=3", "did you mean config.optimizer.learning_rate?"),
        ("optimizer.learning_rte=3", "did you mean config.optimizer.learning_rate?"),
        ("optimiser.b2=3", "did you mean config.optimizer.b2?"),
        ("total_steps.x=3", "the config has no field config.total_steps.x"),
        ("optimizer.new=3", "new entries are taken under: mixture, evals"),
        ("mixture.jaster.wieght=1", "did you mean config.mixture.jaster.weight?"),
        ("mixture.mine=3", "config.mixture.mine would be a new entry and needs fields"),
        ("mixture.mine=None", "the config has no field config.mixture.mine"),
        ("mixture.mine.weight=heavy", "config.mixture.mine.weight takes a float"),
        ("total_steps", "write --config.total_steps=VALUE"),
    ],
)
def test_a_wrong_override_says_what_would_work(
    config_file: Path, override: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_config(config_file, [override])
    assert message in str(caught.value)


def test_open_groups_take_new_entries_typed_by_those_beside_them(config_file: Path) -> None:
    overrides = ["mixture.mine.source=jsonl:a.jsonl", "mixture.mine.weight=2", "mixture.mine.n=5"]
    config = load_config(config_file, [*overrides, "evals.dev={'suite': 'mini/v1', 'every': 10}"])
    assert plain_dict(config.mixture.mine) == {"source": "jsonl:a.jsonl", "weight": 2.0, "n": 5}
    assert isinstance(config.mixture.mine.weight, float)
    assert config.evals.dev.suite == "mini/v1"


def test_entries_of_an_open_group_may_take_new_fields(config_file: Path) -> None:
    config_file.write_text(_CONFIG.replace('("mixture", "evals")', '("mixture", "mixture.*")'))
    overrides = ["mixture.jaster.split=dev", "mixture.jaster.share=0.5", "mixture.b.every=3"]
    config = load_config(config_file, [*overrides, "mixture.b.share=1", "mixture.jaster.weight=2"])
    assert (config.mixture.jaster.split, config.mixture.jaster.share) == ("dev", 0.5)
    assert isinstance(config.mixture.b.share, float)
    assert isinstance(config.mixture.jaster.weight, float)
    for path in ("optimizer.b3=1", "mixture.jaster.deep.field=1"):
        with pytest.raises(UserError, match="the config has no field"):
            load_config(config_file, [path])


def test_none_takes_an_entry_out_of_an_open_group(config_file: Path) -> None:
    assert "jaster" not in load_config(config_file, ["mixture.jaster=None"]).mixture


def test_the_last_override_wins(config_file: Path) -> None:
    assert load_config(config_file, ["seed=1", "seed=2"]).seed == 2


def test_a_loaded_config_is_locked(config_file: Path) -> None:
    config = load_config(config_file)
    with pytest.raises(AttributeError):
        config.optimizer.lerning_rate = 1.0


def test_saved_json_reads_back_equal(config_file: Path, tmp_path: Path) -> None:
    config = load_config(f"{config_file}:日本語", ["optimizer.b2=1", "mixture.a.weight=1"])
    workdir = tmp_path / "run"
    workdir.mkdir()
    save_config(config, workdir / "config.json")
    for spec in (workdir, workdir / "config.json"):
        again = load_config(spec)
        assert again == config
        assert plain_dict(again) == plain_dict(config)
        assert config_digest(again) == config_digest(config)
    assert [path.name for path in workdir.iterdir()] == ["config.json"]
    # Overrides and open groups work on the resolved config as on the file.
    assert load_config(workdir, ["mixture.b.weight=3"]).mixture.b.weight == 3.0


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner).map(tuple),
    max_leaves=5,
)
_NAMES = st.from_regex(r"[a-z][a-z_]{0,5}_x", fullmatch=True)  # never a method of ConfigDict


@settings(max_examples=40)
@given(st.dictionaries(_NAMES, _VALUES | st.dictionaries(_NAMES, _VALUES)))
def test_any_config_survives_json(tmp_path_factory: pytest.TempPathFactory, values: dict) -> None:
    path = tmp_path_factory.mktemp("config") / "config.json"
    save_config(ConfigDict(values), path)
    assert plain_dict(load_config(path)) == values


def test_the_digest_tells_configs_apart(config_file: Path) -> None:
    digests = {config_digest(load_config(config_file, [f"seed={seed}"])) for seed in (0, 1, 1)}
    assert len(digests) == 2
    assert all(len(digest) == 64 for digest in digests)


def test_a_missing_file_names_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "sft").mkdir(parents=True)
    for name in ("smoke_cpu.py", "sft/llama.py"):
        (tmp_path / "configs" / name).touch()
    for wrong in ("configs/smoke_cpi.py", "smoke_cpu.py", "smoke_cpu"):
        with pytest.raises(UserError, match=r"there is no config file .*configs/smoke_cpu\.py"):
            load_config(wrong)
    with pytest.raises(UserError, match=r"configs/sft/llama\.py"):
        load_config("configs/llama.py:arg")


@pytest.mark.parametrize(
    "body, message",
    [
        (
            """
            def get_config():
                sizes = {"small": 1}
                return sizes["large"]
            """,
            r"broken\.py, line 4 \(return sizes\[\"large\"\]\): KeyError: 'large'",
        ),
        ("x = = 1", r"line 1 \(x = = 1\): SyntaxError"),
        ("import no_such_module", r"line 1 .*no_such_module"),
        ("x = 1", r"defines no get_config"),
        ("def get_config(size): ...", r"needs an argument: --config=.*broken\.py:SIZE"),
        ("def get_config(): return {}", r"returned a dict; return an ml_collections\.ConfigDict"),
        (
            """
            from ml_collections import ConfigDict
            def get_config():
                return ConfigDict(dict(model=dict(dtype=print)))
            """,
            r"config\.model\.dtype holds a builtin_function_or_method",
        ),
        (
            """
            from ml_collections import ConfigDict, config_dict
            def get_config():
                return ConfigDict(dict(data=dict(path=config_dict.required_placeholder(str))))
            """,
            r"config\.data\.path must be set: --config\.data\.path=VALUE",
        ),
    ],
)
def test_an_error_in_a_config_file_is_shown_with_its_line(
    tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_config(_file(tmp_path, body))


def test_an_argument_that_get_config_does_not_take(tmp_path: Path) -> None:
    path = _file(tmp_path, "def get_config(): ...")
    with pytest.raises(UserError, match="takes no argument"):
        load_config(f"{path}:large")


def test_a_placeholder_takes_a_value_of_its_type(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        """
        from ml_collections import ConfigDict, config_dict
        def get_config():
            return ConfigDict(dict(steps=config_dict.required_placeholder(int)))
        """,
    )
    assert load_config(path, ["steps=3"]).steps == 3
    with pytest.raises(UserError, match=r"config\.steps takes an int"):
        load_config(path, ["steps=3.5"])


def _parse(*argv: str) -> ConfigDict:
    parser = argparse.ArgumentParser()
    add_config_flags(parser)
    parser.add_argument("--workdir")
    return config_from_args(*parser.parse_known_args(argv))


def test_flags_with_and_without_an_equals_sign(config_file: Path) -> None:
    config = _parse(
        f"--config={config_file}:a",
        "--config.seed=1",
        "--workdir=runs/x",
        "--config.total_steps",
        "-5",
        "--config.name",
        "a=b",
    )
    assert (config.seed, config.total_steps, config.name) == (1, -5, "a=b")


def test_other_unknown_flags_are_refused(config_file: Path) -> None:
    with pytest.raises(
        UserError, match=r"there is no flag '--wrokdir=x'; did you mean --workdir\?"
    ):
        _parse(f"--config={config_file}", "--wrokdir=x")
    with pytest.raises(UserError, match=r"--config\.seed has no value"):
        _parse(f"--config={config_file}", "--config.seed", "--config.name=x")
