"""Our model in lm-evaluation-harness: what goes in, what comes out, what is refused."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.models.decoder import forward, project_logits
from jaxllm.text.tokenizer import load_tokenizer
from jaxllm.weights.safetensors_folder import write_hf_folder

pytest.importorskip("lm_eval")
# What the harness complains about is not ours.
pytestmark = pytest.mark.filterwarnings("default")

_CHAT = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ raise_exception('no system turns') }}{% endif %}"
    "{{ '# ' + m['role'] + ':' + (m['content'] | trim) + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '# assistant:' }}{% endif %}"
    "{% if enable_thinking is defined %}{{ '<think>' if enable_thinking else '' }}{% endif %}"
)
_TEXT = "何でも薄暗いじめじめした所でニャーニャー泣いていた。"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_config, tiny_params, tiny_tokenizer_folder):
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_hf_folder(path, tiny_params, tiny_config, load_tokenizer(tiny_tokenizer_folder))
    (path / "chat_template.jinja").write_text(_CHAT)
    return path


@pytest.fixture(scope="module")
def load(folder):
    from jaxllm.integrations import lm_eval as adapter

    # As most have it; of the eight devices of these tests seven would compute padding.
    mesh = functools.partial(adapter.make_mesh, devices=jax.devices()[:1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapter, "make_mesh", mesh)
        yield lambda **arguments: adapter.JaxLM(str(folder), **arguments)


@pytest.fixture(scope="module")
def lm(load):
    return load()


@pytest.fixture(scope="module")
def logprob(tiny_config, tiny_params):
    """Of a continuation behind a context, by one plain forward pass over both."""

    def of(context, continuation):
        tokens = np.zeros((1, 256), np.int32)
        ids = [*context, *continuation][:-1]
        tokens[0, : len(ids)] = ids
        positions = np.arange(256, dtype=np.int32)[None]
        hidden = jax.jit(forward, static_argnums=1)(
            tiny_params, tiny_config, tokens, positions, np.ones_like(tokens)
        )
        table = jax.nn.log_softmax(project_logits(tiny_params, tiny_config, hidden))[0]
        first = len(context) - 1
        return sum(float(table[first + i, token]) for i, token in enumerate(continuation))

    return of


def _instances(*arguments, task="task"):
    from lm_eval.api.instance import Instance

    return [
        Instance(request_type="", doc={}, arguments=args, idx=0, metadata=(task, index, 1))
        for index, args in enumerate(arguments)
    ]


def _generate(lm, *contexts, **gen_kwargs):
    return lm.generate_until(_instances(*((text, gen_kwargs) for text in contexts)))


def test_bos_stands_before_a_text_once(lm, load):
    tokenizer = lm.tokenizer
    plain = tokenizer.encode("猫")

    assert lm.tok_encode("猫") == [tokenizer.bos_id, *plain]
    assert lm.tok_encode("猫", add_special_tokens=False) == plain
    assert lm.tok_encode("<s>猫") == tokenizer.encode("<s>猫", encode_special=True)
    assert lm.tok_encode("<s>猫")[0] == tokenizer.bos_id
    assert load(add_bos_token=False).tok_encode("猫") == plain
    assert load(prefix_token_id=7).prefix_token_id == 7


def test_an_answer_ends_before_a_stop_string_or_at_its_length(lm):
    (whole,) = _generate(lm, "吾輩は", max_gen_toks=30)
    stop = whole[5:7]
    (cut,) = _generate(lm, "吾輩は", max_gen_toks=30, until=[stop])
    (short,) = _generate(lm, "吾輩は", max_gen_toks=2)

    assert cut == whole.split(stop)[0] != whole
    assert whole.startswith(short)
    assert 0 < len(short) < len(whole)


def test_what_a_task_says_becomes_a_request(lm, load):
    request, until = lm._request("a", "猫", {"until": ["<s>", "。"], "max_gen_toks": 5})
    assert until == ["<s>", "。", "</s>"]
    assert request.stop == tuple(until)
    assert request.stop_ids == (1, 2)  # a special token is no text
    assert (request.prompt_ids, request.max_new_tokens) == (tuple(lm.tok_encode("猫")), 5)
    assert request.temperature == 0.0

    settings = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "num_beams": 1}
    request, until = load(max_gen_toks=9)._request("a", "猫", settings)
    assert until == ["</s>"]
    assert (request.temperature, request.top_p, request.top_k) == (0.7, 0.9, 50)
    assert request.max_new_tokens == 9

    greedy, _ = lm._request("a", "猫", {"do_sample": False, "temperature": 0.7, "max_tokens": 3})
    assert (greedy.temperature, greedy.max_new_tokens) == (0.0, 3)


def test_a_long_context_keeps_its_end(lm):
    with pytest.warns(UserWarning, match="texts of more than 247 tokens are cut from the left"):
        request, _ = lm._request("a", _TEXT * 30, {"max_gen_toks": 9})

    assert list(request.prompt_ids) == lm.tok_encode(_TEXT * 30)[-247:]


@pytest.mark.parametrize("context", ["", "吾輩は", "吾輩は  ", _TEXT * 30])
def test_likelihoods_are_those_of_a_plain_forward_pass(lm, logprob, context):
    continuation = "猫である。"
    ((score, is_greedy),) = lm.loglikelihood(_instances((context, continuation)))

    ids = (
        lm.tok_encode(context + continuation)
        if context
        else [1, *lm.tokenizer.encode("猫である。")]
    )
    start = len(lm.tok_encode(context.rstrip())) if context else 1
    kept = ids[-257:]
    wanted = logprob(kept[: len(kept) - len(ids[start:])], ids[start:])
    assert score == pytest.approx(wanted, abs=1e-3)
    assert not is_greedy


def test_a_greedy_continuation_is_told(lm):
    (answer,) = _generate(lm, "吾輩は", max_gen_toks=6)
    request, _ = lm._request("a", "吾輩は", {"max_gen_toks": 6})
    (completion,) = lm._engine.generate([request])
    triple = (("吾輩は", answer), list(request.prompt_ids), list(completion.token_ids))

    ((score, is_greedy),) = lm._loglikelihood_tokens([triple])

    assert is_greedy
    assert score == pytest.approx(completion.logprob, abs=1e-3)


def test_text_without_a_token_of_its_own_is_certain(lm):
    answers = lm._loglikelihood_tokens([(None, [1, 5], []), (None, [1, 5], [7]), (None, [1], [])])

    assert answers[0] == answers[2] == (0.0, True)
    assert answers[1][0] < 0


def test_rolling_windows_predict_every_token_once(load, logprob):
    lm = load(max_length=16)
    texts = (_TEXT * 3, "猫", "")
    totals = lm.loglikelihood_rolling(_instances(*((text,) for text in texts)))

    for text, total in zip(texts, totals, strict=True):
        ids = [lm.prefix_token_id, *lm.tok_encode(text)]
        wanted = 0.0
        for start in range(1, len(ids), 16):
            end = min(start + 16, len(ids))
            wanted += logprob(ids[max(0, end - 17) : start], ids[start:end])
        assert total == pytest.approx(wanted, abs=1e-3)


def test_a_sample_depends_on_its_question_and_the_seed_alone(lm, load):
    settings = {"temperature": 1.0, "do_sample": True, "max_gen_toks": 12}
    both = _generate(lm, "吾輩は", "猫", **settings)
    one = lm.generate_until([_instances(("吾輩は", settings))[0]] * 2)

    assert one[0] == both[0] != one[1]  # asked twice, it answers twice
    assert _generate(load(seed=1), "吾輩は", **settings) != both[:1]


def test_the_harness_keeps_answers(lm, tmp_path, monkeypatch):
    from lm_eval.api.model import CachingLM

    keeping = CachingLM(lm, str(tmp_path / "answers.db"))
    asked = {
        "generate_until": _instances(("吾輩は", {"max_gen_toks": 4})),
        "loglikelihood": _instances(("吾輩は", "猫")),
        "loglikelihood_rolling": _instances(("吾輩は",)),
    }
    answers = {kind: getattr(keeping, kind)(instances) for kind, instances in asked.items()}
    kept = dict(keeping.dbdict)
    monkeypatch.setattr(lm, "_engine", None)

    assert len(kept) == 3
    for kind, instances in asked.items():
        assert getattr(keeping, kind)(instances) == answers[kind]


def test_answers_are_kept_as_they_come(load, monkeypatch):
    lm = load()
    kept = []
    monkeypatch.setattr(lm.cache_hook, "add_partial", lambda *entry: kept.append(entry))
    settings = {"max_gen_toks": 3}

    answers = _generate(lm, "吾輩は", "猫", **settings)
    (scored,) = lm.loglikelihood(_instances(("吾輩は", "猫")))

    wanted = [("generate_until", (text, settings)) for text in ("吾輩は", "猫")]
    generated = sorted(kept[:2], key=lambda entry: entry[1][0] != "吾輩は")
    assert generated == [(*entry, a) for entry, a in zip(wanted, answers, strict=True)]
    assert kept[2:] == [("loglikelihood", ("吾輩は", "猫"), scored)]


def test_a_conversation_is_written_with_the_chat_template(lm, load):
    turns = [{"role": "user", "content": "猫？"}, {"role": "assistant", "content": "はい、 "}]

    assert lm.apply_chat_template(turns[:1]) == "<s># user:猫？</s># assistant:"
    unfinished = lm.apply_chat_template(turns, add_generation_prompt=False)
    assert unfinished == "<s># user:猫？</s># assistant:はい、"
    with pytest.warns(UserWarning, match="refuses system turns"):
        text = lm.apply_chat_template([{"role": "system", "content": "短く"}, turns[0]])
    assert text == lm.apply_chat_template(turns[:1])
    thinking = load(enable_thinking=True, think_end_token="</think>")
    assert thinking.apply_chat_template(turns[:1]).endswith("# assistant:<think>")
    assert thinking._answer(lm.tokenizer.encode("猫</think> 犬。"), ["。"]) == "犬"
    assert lm.chat_template(True) == _CHAT
    assert "/" not in lm.tokenizer_name


def test_a_tokenizer_without_a_chat_template(lm, monkeypatch):
    monkeypatch.setattr(lm.tokenizer, "chat_template", None)
    with pytest.raises(UserError, match="has no chat template"):
        lm.apply_chat_template([{"role": "user", "content": "猫？"}])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_length": 257}, "max_length=257, but tiny has 256 positions"),
        ({"load_in_8bit": True}, "takes no 'load_in_8bit'"),
        ({"enable_thinking": True}, "needs think_end_token"),
        ({"dtype": "auto"}, "auto"),
        ({"tensor": 3}, "tensor=3"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(load, arguments, named):
    with pytest.raises(UserError, match=named):
        load(**arguments)


@pytest.mark.parametrize(
    ("gen_kwargs", "named"),
    [
        ({"best_of": 3}, "task/0/0/0: unknown generation setting 'best_of'; known: until"),
        ({"num_beams": 4}, "no beam search"),
        ({"max_gen_toks": 256}, "max_gen_toks=256 leaves no room .* max_length=256"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_named(lm, gen_kwargs, named):
    with pytest.raises(UserError, match=named):
        _generate(lm, "猫", **gen_kwargs)


def test_a_continuation_longer_than_the_model(lm):
    with pytest.raises(UserError, match="257 tokens, more than max_length=256"):
        lm._loglikelihood_tokens([(None, [1], [5] * 257)])


def _command(model_args, tmp_path, *flags):
    rows = [{"question": f"猫は{n}匹？", "answer": str(n)} for n in range(6)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (tmp_path / "cats.jsonl").write_text("\n".join(lines), encoding="utf-8")
    task = {
        "task": "cats",
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"test": str(tmp_path / "cats.jsonl")},
            "cache_dir": str(tmp_path / "cache"),
        },
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["。"], "max_gen_toks": 4},
        "metric_list": [{"metric": "exact_match"}],
    }
    (tmp_path / "cats.yaml").write_text(json.dumps(task), encoding="utf-8")  # JSON is YAML too
    command = [sys.executable, "-m", "jaxllm.integrations.lm_eval", "--model", "jaxllm"]
    command += ["--model_args", *model_args, "--include_path", tmp_path, *flags]
    # One device: see `load`.
    environment = {**os.environ, "XLA_FLAGS": "", "HF_HOME": str(tmp_path / "hub")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )


def test_the_command_line(folder, tmp_path):
    out = tmp_path / "out"
    flags = ("--tasks", "cats", "--output_path", out, "--log_samples")
    done = _command([f"pretrained={folder}"], tmp_path, *flags)

    assert done.returncode == 0, done.stderr
    (results,) = out.rglob("results_*.json")
    results = json.loads(results.read_text())
    assert results["config"]["model"] == "jaxllm"
    assert results["config"]["model_dtype"] == "float32"
    assert "exact_match,none" in results["results"]["cats"]
    (samples,) = out.rglob("samples_cats_*.jsonl")
    assert len(samples.read_text().splitlines()) == 6


def test_a_wrong_argument_on_the_command_line_is_one_line(folder, tmp_path):
    done = _command([f"pretrained={folder}", "max_length=999"], tmp_path, "--tasks", "cats")

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: model_args: max_length=999, but tiny")


def test_neither_torch_nor_transformers_is_imported():
    code = (
        "import sys, jaxllm.integrations.lm_eval\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
