"""The harness's own tasks on our model and on its hf backend: every sample answered alike."""

from __future__ import annotations

import functools
import json

import jax
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
lm_eval = pytest.importorskip("lm_eval")
pytestmark = [
    pytest.mark.parity,
    # What the libraries complain about is not ours.
    pytest.mark.filterwarnings("default"),
]

_POSITIONS = 256
# Sums over a hundred float32 log-probabilities and more, in two orders of summing.
_TOLERANCE = 2e-3
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "| trim + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Prints bos itself, and keeps the spaces of its messages.
_INST = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('no system messages') }}{% endif %}{{ '[' + message['role'] + '] ' "
    "+ message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)
_LINES = [
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。",
    "The quick brown fox jumps over the lazy dog.  It isn't 0123456789 times as lazy .",
    "質問: 日本の首都は？\n答え: 東京です。",
    "Question: which one?\nAnswer: the first one.",
]
_TEXTS = [
    *_LINES,
    "",
    " ",
    "  two spaces before and behind  ",
    "\n\n改行",
    "<s>already begun",
    "</s> and <|im_end|> inside",
    "<|im_start|>user\n猫？<|im_end|>\n",
    "naïve café 🐈 ﾊﾝｶｸ Ｆｕｌｌ",
]


def _metaspace_tokenizer():
    """As Llama's: a dummy prefix, bytes for what is unknown, and bos in front."""
    tokenizer = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_LINES, trainer)
    # Trained as special tokens to have their places, bytes are ordinary ones from here on.
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = [
        t for t in description["added_tokens"] if t["content"] in special
    ]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(description))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=_INST,
    )


def _byte_level_tokenizer():
    """As Qwen's: no bos, a chat template, and an end of its own for answers."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_LINES, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=_CHATML,
    )


def _llama(tokenizer):
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer) + 8,  # padded, as many released models are
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=128,
            max_position_embeddings=_POSITIONS,
            initializer_range=0.2,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def _gpt2(tokenizer):
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=len(tokenizer) + 8,
            n_embd=64,
            n_layer=2,
            n_head=4,
            n_positions=_POSITIONS,
            initializer_range=0.2,
            bos_token_id=tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


_KINDS = {"llama": (_llama, _metaspace_tokenizer), "gpt2": (_gpt2, _byte_level_tokenizer)}


@pytest.fixture(scope="module", params=_KINDS)
def folder(request, tmp_path_factory):
    make_model, make_tokenizer = _KINDS[request.param]
    path = tmp_path_factory.mktemp("models") / request.param
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    make_model(tokenizer).save_pretrained(path)
    return path


def _both(folder, **arguments):
    from lm_eval.models.huggingface import HFLM

    from jaxllm.integrations.lm_eval import JaxLM

    theirs = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=1, **arguments)
    return theirs, JaxLM(str(folder), **arguments)


@pytest.fixture(scope="module", autouse=True)
def one_device():
    """As most who compare have it; of the eight of these tests seven would compute padding."""
    from jaxllm.integrations import lm_eval as adapter

    with pytest.MonkeyPatch.context() as patch:
        mesh = functools.partial(adapter.make_mesh, devices=jax.devices()[:1])
        patch.setattr(adapter, "make_mesh", mesh)
        yield


@pytest.fixture(scope="module")
def backends(folder):
    return _both(folder)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A folder of three tasks: one to answer, one to choose in, one to be likely."""
    path = tmp_path_factory.mktemp("tasks")
    questions = []
    for index in range(16):
        words = _LINES[index % 5] * (1 + index % 3) + (" " * (index % 2))
        # Some are longer than the model's positions.
        words *= 6 if index % 8 == 7 else 1
        questions.append(
            {
                "question": f"{index}: {words}",
                "choices": ["はい", "いいえ。", "猫 である", "the first one"],
                "label": index % 4,
                "answer": "はい",
            }
        )
    texts = [{"text": line * times} for line in _LINES for times in (1, 7, 16)]
    rows = {"shots": questions[:4], "test": questions[4:], "texts": [*texts, {"text": ""}]}
    for name, lines in rows.items():
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    asks = {
        "test_split": "test",
        "fewshot_split": "shots",
        "num_fewshot": 2,
        "doc_to_text": "問い（{{question}}）\n回答：",
    }
    described = {
        "answer": asks
        | {
            "output_type": "generate_until",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": ["。", "\n\n", "fo"], "max_gen_toks": 24},
            "metric_list": [{"metric": "exact_match"}],
        },
        "choose": asks
        | {
            "output_type": "multiple_choice",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "{{label}}",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        },
        "likely": {
            "test_split": "texts",
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": "byte_perplexity"}],
        },
    }
    for name, fields in described.items():
        splits = [fields[key] for key in ("test_split", "fewshot_split") if key in fields]
        data = {split: str(path / f"{split}.jsonl") for split in splits}
        fields |= {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": data, "cache_dir": str(path / "cache")},
        }
        (path / f"{name}.yaml").write_text(json.dumps(fields), encoding="utf-8")  # JSON is YAML
    return path


def _samples(model, tasks, names, **settings):
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    results = lm_eval.simple_evaluate(
        model=model, tasks=names, task_manager=manager, bootstrap_iters=0, **settings
    )
    return results["samples"]


def _assert_equal(theirs, ours):
    for name in theirs:
        for wanted, sample in zip(theirs[name], ours[name], strict=True):
            assert sample["arguments"] == wanted["arguments"]
            for (answer,), (wanted_answer,) in zip(sample["resps"], wanted["resps"], strict=True):
                if name == "answer":
                    assert answer == wanted_answer
                elif name == "choose":
                    assert answer[0] == pytest.approx(wanted_answer[0], abs=_TOLERANCE)
                    assert answer[1] == wanted_answer[1]
                else:
                    assert answer == pytest.approx(wanted_answer, abs=_TOLERANCE)
            for metric in wanted["metrics"]:
                assert sample[metric] == pytest.approx(wanted[metric], abs=_TOLERANCE)


def test_a_text_becomes_the_same_tokens(backends):
    theirs, ours = backends
    for text in _TEXTS:
        for add_special_tokens in (None, False):
            wanted = theirs.tok_encode(text, add_special_tokens=add_special_tokens)
            assert ours.tok_encode(text, add_special_tokens=add_special_tokens) == wanted
        for context in filter(str.strip, _TEXTS):
            assert ours._encode_pair(context, text) == theirs._encode_pair(context, text)
    assert ours.prefix_token_id == theirs.prefix_token_id
    assert ours.max_length == theirs.max_length
    assert ours.max_gen_toks == theirs.max_gen_toks


def test_eos_behind_a_text_stays_there(folder, tmp_path):
    """The tokenizers of llm-jp's first models end every text, prompts too."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "tokenizer.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    eos = transformers.AutoTokenizer.from_pretrained(folder).eos_token
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {eos}", special_tokens=[(eos, tokenizer.token_to_id(eos))]
    )
    tokenizer.save(str(path))

    with pytest.warns(UserWarning, match="add_bos_token=False leaves it out"):
        theirs, ours = _both(tmp_path)
    for text in _TEXTS:
        assert ours.tok_encode(text) == theirs.tok_encode(text)
    theirs, ours = _both(tmp_path, add_bos_token=False)
    for text in _TEXTS:
        assert ours.tok_encode(text) == theirs.tok_encode(text)


def test_every_sample_is_answered_alike(backends, tasks):
    theirs, ours = (_samples(model, tasks, ["answer", "choose", "likely"]) for model in backends)

    _assert_equal(theirs, ours)
    answers = [sample["resps"][0][0] for sample in theirs["answer"]]
    assert len(set(answers)) > len(answers) // 2, "answers that differ, or nothing is compared"


@pytest.mark.parametrize(
    "arguments",
    [{"max_length": 96}, {"add_bos_token": False}, {"add_bos_token": True, "prefix_token_id": 7}],
)
def test_the_settings_mean_the_same(folder, tasks, arguments):
    names = ["answer", "choose", "likely"]
    theirs, ours = (_samples(model, tasks, names) for model in _both(folder, **arguments))

    _assert_equal(theirs, ours)


def test_a_chat_is_written_alike(backends, tasks):
    theirs, ours = backends
    chat = [
        {"role": "system", "content": "短く答えなさい。"},
        {"role": "user", "content": "猫？ <|im_end|>"},
        {"role": "assistant", "content": "答えは "},
    ]
    for turns, asks in ((chat[:2], True), (chat, True), (chat, False)):
        wanted = theirs.apply_chat_template(turns, add_generation_prompt=asks)
        assert ours.apply_chat_template(turns, add_generation_prompt=asks) == wanted

    settings = {"apply_chat_template": True, "fewshot_as_multiturn": True}
    _assert_equal(*(_samples(model, tasks, ["answer", "choose"], **settings) for model in backends))


def test_the_penalty_of_the_generation_config_counts(folder, tasks, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "repetition_penalty": 1.3}))

    plain = _samples(_both(folder)[1], tasks, ["answer"])
    theirs, ours = (_samples(model, tasks, ["answer"]) for model in _both(tmp_path))

    _assert_equal(theirs, ours)
    assert [s["resps"] for s in ours["answer"]] != [s["resps"] for s in plain["answer"]]
