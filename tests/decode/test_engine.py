"""The engine against plain decoding, and everything that ends an answer."""

from __future__ import annotations

import dataclasses
import threading

import jax
import numpy as np
import pytest

import jaxllm.decode.generation as generation_module
import jaxllm.decode.prefills as prefills_module
from jaxllm.decode import Engine, Request, ScoreRequest
from jaxllm.errors import UserError


@pytest.fixture(scope="module")
def engine(tiny_config, tiny_params, tiny_tokenizer):
    return Engine(tiny_params, tiny_config, tiny_tokenizer)


@pytest.fixture(scope="module")
def prompts(tiny_tokenizer):
    texts = ("吾輩は猫である。", "質問", "The quick brown fox", "0123456789" * 3, "い")
    return [tuple(tiny_tokenizer.encode(text)) for text in texts]


def _request(prompt_ids, name="a", **changes):
    asked = {"id": name, "prompt_ids": tuple(prompt_ids), "max_new_tokens": 12}
    return Request(**(asked | changes))


def _recite(reciting_params, tiny_config, tokenizer, text, **changes):
    """The answer of a model that recites `text` and then ends."""
    ids = [tokenizer.encode("Q")[-1], *tokenizer.encode_continuation(text), tokenizer.eos_id]
    assert len(set(ids)) == len(ids), "a reciting model needs every token once"
    engine = Engine(reciting_params(ids), tiny_config, tokenizer)
    (answer,) = engine.generate([_request(ids[:1], **{"max_new_tokens": 40} | changes)])
    return ids[1:], answer


def test_greedy_equals_plain_decoding_without_a_cache(
    engine, prompts, naive_logprobs, tiny_tokenizer
):
    requests = [
        _request(ids, f"r{index}", ignore_eos=True, max_new_tokens=10 + index)
        for index, ids in enumerate(prompts)
    ]
    for request, answer in zip(requests, engine.generate(requests), strict=True):
        ids, total = list(request.prompt_ids), 0.0
        for _ in range(request.max_new_tokens):
            row = naive_logprobs(ids)[-1]
            ids.append(int(np.argmax(row)))
            total += row[ids[-1]]
        assert answer.id == request.id
        assert list(answer.token_ids) == ids[len(request.prompt_ids) :]
        assert answer.logprob == pytest.approx(total, abs=1e-3)
        assert answer.finish_reason == "length"
        assert answer.text == tiny_tokenizer.decode_continuation(answer.token_ids)


@pytest.mark.smoke
def test_an_answer_ends_at_eos(reciting_params, tiny_config, tiny_tokenizer):
    ids, answer = _recite(reciting_params, tiny_config, tiny_tokenizer, "猫である。")
    assert (answer.text, answer.finish_reason) == ("猫である。", "eos")
    assert list(answer.token_ids) == ids


def test_ignore_eos_goes_on(reciting_params, tiny_config, tiny_tokenizer):
    ids, answer = _recite(
        reciting_params, tiny_config, tiny_tokenizer, "猫である。", ignore_eos=True
    )
    assert list(answer.token_ids[: len(ids)]) == ids
    assert (len(answer.token_ids), answer.finish_reason) == (40, "length")


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_a_budget_ends_an_answer(reciting_params, tiny_config, tiny_tokenizer, budget):
    ids, answer = _recite(
        reciting_params, tiny_config, tiny_tokenizer, "猫である。", max_new_tokens=budget
    )
    assert list(answer.token_ids) == ids[:budget]
    assert answer.finish_reason == "length"


def test_stop_ids_of_the_request_end_it_like_eos(reciting_params, tiny_config, tiny_tokenizer):
    ids = tiny_tokenizer.encode_continuation("猫である。")
    _, answer = _recite(
        reciting_params, tiny_config, tiny_tokenizer, "猫である。", stop_ids=(ids[2],)
    )
    assert list(answer.token_ids) == ids[:3]
    assert answer.finish_reason == "eos"
    assert answer.text == tiny_tokenizer.decode_continuation(ids[:2])


def test_extra_stop_ids_of_the_tokenizer_end_every_answer(
    reciting_params, tiny_config, tiny_tokenizer, monkeypatch
):
    ids = tiny_tokenizer.encode_continuation("猫である。")
    monkeypatch.setattr(tiny_tokenizer, "extra_stop_ids", (ids[1],))
    _, answer = _recite(reciting_params, tiny_config, tiny_tokenizer, "猫である。")
    assert (list(answer.token_ids), answer.finish_reason) == (ids[:2], "eos")


# The engine looks at the text every eighth token: the string may end before the first look or
# lie on both sides of it.
@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("吾輩は猫である。名前まだ無い", "は猫で"),
        ("吾輩は猫である。名前まだ無い", "る。名前ま"),
        ("9876543210質問に回答を書きなさい。", "きなさ"),
    ],
)
def test_a_stop_string_may_lie_across_tokens(
    reciting_params, tiny_config, tiny_tokenizer, text, stop
):
    ids, answer = _recite(
        reciting_params, tiny_config, tiny_tokenizer, text, stop=("nowhere", stop)
    )
    assert not any(stop in tiny_tokenizer.decode_continuation([token]) for token in ids)
    assert answer.text == text[: text.index(stop)]
    assert answer.finish_reason == "stop"


def test_a_stop_string_of_several_byte_tokens(reciting_params, tiny_config, tiny_tokenizer):
    assert len(tiny_tokenizer.encode_continuation("🦊")) > 1
    ids, answer = _recite(
        reciting_params, tiny_config, tiny_tokenizer, "猫と🦊である", stop=("🦊",)
    )
    assert (answer.text, answer.finish_reason) == ("猫と", "stop")
    assert list(answer.token_ids) == ids[: len(answer.token_ids)]
    assert tiny_tokenizer.decode_continuation(answer.token_ids) == "猫と🦊"


@pytest.mark.parametrize("stride", [1, 3, 8, 40])
def test_a_stopped_answer_does_not_depend_on_when_the_engine_looks(
    reciting_params, tiny_config, tiny_tokenizer, monkeypatch, stride
):
    monkeypatch.setattr(generation_module, "STOP_STRING_STRIDE", stride)
    text, stop = "吾輩は猫である。名前まだ無い", "猫で"
    ids, answer = _recite(
        reciting_params, tiny_config, tiny_tokenizer, text, stop=(stop,), ignore_eos=True
    )
    count = len(answer.token_ids)
    assert list(answer.token_ids) == ids[:count]
    assert stop in tiny_tokenizer.decode_continuation(ids[:count])
    assert stop not in tiny_tokenizer.decode_continuation(ids[: count - 1])
    (score,) = Engine(
        reciting_params([tiny_tokenizer.encode("Q")[-1], *ids]), tiny_config, tiny_tokenizer
    ).score(
        [
            ScoreRequest(
                id="a",
                prompt_ids=tuple(tiny_tokenizer.encode("Q")[-1:]),
                continuation_ids=answer.token_ids,
            )
        ]
    )
    assert answer.logprob == pytest.approx(score.logprob, abs=1e-4)


def test_decoding_ends_soon_after_a_stop_string(
    reciting_params, tiny_config, tiny_tokenizer, monkeypatch
):
    steps, decode = [], generation_module.decode

    def counted(params, config, state, limits, sampling, max_steps, **sizes):
        steps.append(int(max_steps))
        return decode(params, config, state, limits, sampling, max_steps, **sizes)

    monkeypatch.setattr(generation_module, "decode", counted)
    text = "吾輩は猫である。名前まだ無い"
    _, answer = _recite(
        reciting_params,
        tiny_config,
        tiny_tokenizer,
        text,
        stop=("猫で",),
        ignore_eos=True,
        max_new_tokens=200,
    )
    assert answer.text == "吾輩は"
    assert sum(steps) < 20


def test_the_first_stop_string_in_the_text_wins(reciting_params, tiny_config, tiny_tokenizer):
    _, answer = _recite(
        reciting_params, tiny_config, tiny_tokenizer, "987654", stop=("4", "6", "5")
    )
    assert (answer.text, answer.finish_reason) == ("987", "stop")


def test_a_stop_string_ends_its_own_request_only(engine, prompts):
    plain = [_request(ids, f"r{i}", ignore_eos=True) for i, ids in enumerate(prompts)]
    before = engine.generate(plain)
    stop = before[1].text[3:5]
    stopping = [dataclasses.replace(plain[1], stop=(stop,)), *plain[:1], *plain[2:]]
    after = engine.generate(stopping)
    assert after[0].text == before[1].text[: before[1].text.index(stop)]
    assert after[0].finish_reason == "stop"
    for one, same in zip(after[1:], [before[0], *before[2:]], strict=True):
        assert (one.id, one.token_ids) == (same.id, same.token_ids)
        assert one.logprob == pytest.approx(same.logprob, abs=1e-5)


def test_rows_beyond_the_tokenizer_are_never_chosen(tiny_config, tiny_params, tiny_tokenizer):
    head = np.array(tiny_params["head"]["kernel"])
    # Two opposite columns: one of them has by far the largest logit, whatever the hidden state.
    head[:, 390], head[:, 391] = 100 * head[:, 5], -100 * head[:, 5]
    params = {**tiny_params, "head": {"kernel": head}}
    engine = Engine(params, tiny_config, tiny_tokenizer)
    requests = [
        _request([7, 8], f"{temperature}", temperature=temperature, ignore_eos=True)
        for temperature in (0.0, 1.0, 5.0)
    ]
    for answer in engine.generate(requests):
        assert max(answer.token_ids) < tiny_tokenizer.vocab_size
        assert np.isfinite(answer.logprob)
    (score,) = engine.score([ScoreRequest(id="a", prompt_ids=(7,), continuation_ids=(8, 9))])
    assert np.isfinite(score.logprob)


def test_a_sample_depends_on_id_and_seed_alone(engine, prompts):
    def requests(seed=0):
        return [
            _request(ids, f"r{i}", temperature=1.5, top_p=0.9, seed=seed, ignore_eos=True)
            for i, ids in enumerate(prompts)
        ]

    together = {answer.id: answer.token_ids for answer in engine.generate(requests())}
    alone = [engine.generate([request])[0] for request in reversed(requests())]
    greedy = [dataclasses.replace(r, id=f"g{r.id}", temperature=0.0) for r in requests()]
    mixed = engine.generate([*greedy, *requests()])
    assert {answer.id: answer.token_ids for answer in alone} == together
    assert {a.id: a.token_ids for a in mixed if a.id.startswith("r")} == together
    other_seed = {answer.id: answer.token_ids for answer in engine.generate(requests(seed=1))}
    assert all(other_seed[name] != together[name] for name in together)
    same_prompt = [_request(prompts[0], f"s{i}", temperature=1.5) for i in range(4)]
    assert len({answer.token_ids for answer in engine.generate(same_prompt)}) == 4


def test_a_tiny_top_p_is_greedy(engine, prompts):
    greedy = [_request(ids, f"r{i}") for i, ids in enumerate(prompts)]
    sampled = [dataclasses.replace(r, temperature=1.0, top_p=1e-6) for r in greedy]
    wanted = [answer.token_ids for answer in engine.generate(greedy)]
    assert [answer.token_ids for answer in engine.generate(sampled)] == wanted


def test_scores_are_the_sums_of_log_probabilities(engine, prompts, naive_logprobs):
    rng = np.random.default_rng(0)
    requests = [
        ScoreRequest(
            id=f"r{index}",
            prompt_ids=ids,
            continuation_ids=tuple(rng.integers(3, 380, 1 + 9 * index).tolist()),
        )
        for index, ids in enumerate(prompts)
    ]
    for request, score in zip(requests, engine.score(requests), strict=True):
        ids = (*request.prompt_ids, *request.continuation_ids)
        rows = naive_logprobs(ids)[len(request.prompt_ids) - 1 : -1]
        wanted = rows[np.arange(len(rows)), request.continuation_ids].sum()
        assert score.id == request.id
        assert score.num_tokens == len(request.continuation_ids)
        assert score.logprob == pytest.approx(wanted, abs=2e-3)
        assert not score.is_greedy


def test_the_last_token_of_a_continuation_takes_no_position(
    engine, tiny_config, tiny_params, tiny_tokenizer
):
    ids = tuple(np.random.default_rng(0).integers(3, 380, 33).tolist())
    request = ScoreRequest(id="a", prompt_ids=ids[:9], continuation_ids=ids[9:])
    tight = Engine(tiny_params, tiny_config.replace(max_positions=32), tiny_tokenizer)

    (score,), (wanted,) = tight.score([request]), engine.score([request])

    assert score.logprob == pytest.approx(wanted.logprob, abs=1e-4)


def test_the_score_of_a_greedy_answer_is_its_logprob(engine, prompts):
    requests = [_request(ids, f"r{i}", ignore_eos=True) for i, ids in enumerate(prompts)]
    answers = engine.generate(requests)
    scores = engine.score(
        [
            ScoreRequest(id=r.id, prompt_ids=r.prompt_ids, continuation_ids=a.token_ids)
            for r, a in zip(requests, answers, strict=True)
        ]
    )
    for score, answer in zip(scores, answers, strict=True):
        assert score.is_greedy
        assert score.logprob == pytest.approx(answer.logprob, abs=1e-3)


@pytest.mark.parametrize("kind", ["generate", "score"])
def test_known_answers_are_not_computed_again(
    tiny_config, tiny_params, tiny_tokenizer, prompts, kind
):
    # Rows of 32 tokens and two rows to decode: five requests take several runs.
    engine = Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=2, row_length=32)
    asked = [_request(ids[:14], str(index)) for index, ids in enumerate(prompts)]
    if kind == "score":
        asked = [
            ScoreRequest(id=r.id, prompt_ids=r.prompt_ids, continuation_ids=(7, 8)) for r in asked
        ]
    answer_all, told = getattr(engine, kind), []
    answers = answer_all(asked, on_answers=told.append)
    assert len(told) > 1
    assert {index: answers[index] for new in told for index in new} == dict(enumerate(answers))
    known, told_again = dict(told[0]), []
    again = answer_all(asked, known=known, on_answers=told_again.append)
    assert sorted(index for new in told_again for index in new) == sorted(
        set(range(len(asked))) - set(known)
    )
    for answer, before in zip(again, answers, strict=True):
        logprob = pytest.approx(before.logprob, abs=1e-4)
        assert dataclasses.replace(answer, logprob=0) == dataclasses.replace(before, logprob=0)
        assert answer.logprob == logprob
    told_again.clear()
    assert answer_all(asked, known=dict(enumerate(answers)), on_answers=told_again.append)
    assert not told_again
    assert answer_all([]) == []


def _many_requests(prompts):
    """More than there are rows, in prefix groups, of which some have answers of one token."""
    return [
        _request(ids + ids[:extra], f"r{i}{extra}", ignore_eos=True, max_new_tokens=1 + 3 * i)
        for i, ids in enumerate(prompts)
        for extra in range(1, 7)
    ]


def test_prefills_beside_the_steps_give_what_they_give_in_turn(
    tiny_config, tiny_params, tiny_tokenizer, prompts
):
    asked = _many_requests(prompts)
    answers = {}
    for threads in (0, 1, 2):
        engine = Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=4, row_length=32)
        engine._runtime.prefill_threads = threads
        answers[threads] = engine.generate(asked)
        assert engine.stats.prompt_tokens >= sum(len(r.prompt_ids) for r in asked)
    for threads in (1, 2):
        for answer, in_turn in zip(answers[threads], answers[0], strict=True):
            assert answer.token_ids == in_turn.token_ids
            assert answer.logprob == pytest.approx(in_turn.logprob, abs=1e-4)


def test_memory_that_runs_out_in_a_prefill_is_told_from_its_thread(
    tiny_config, tiny_params, tiny_tokenizer, prompts, monkeypatch
):
    real, calls = prefills_module.prefill, []

    def prefill(*arguments, **settings):
        calls.append(threading.current_thread())
        if len(calls) == 3:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return real(*arguments, **settings)

    asked = _many_requests(prompts)
    wanted = Engine(tiny_params, tiny_config, tiny_tokenizer).generate(asked)
    monkeypatch.setattr(prefills_module, "prefill", prefill)
    engine = Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=4, row_length=32)
    with pytest.warns(UserWarning, match="out of memory; going on with 2 rows"):
        answers = engine.generate(asked)
    assert [a.token_ids for a in answers] == [a.token_ids for a in wanted]
    assert threading.main_thread() not in calls
    assert not any(thread.is_alive() for thread in calls)


def test_out_of_memory_goes_on_with_half_the_rows(
    tiny_config, tiny_params, tiny_tokenizer, prompts, monkeypatch
):
    real, rows = generation_module.decode, []

    def decode(params, config, slots, *arguments, **settings):
        rows.append(len(slots.done_B))
        if rows[-1] > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return real(params, config, slots, *arguments, **settings)

    asked = [_request(ids, f"r{i}", ignore_eos=True) for i, ids in enumerate(prompts)]
    wanted = Engine(tiny_params, tiny_config, tiny_tokenizer).generate(asked)
    monkeypatch.setattr(generation_module, "decode", decode)
    engine = Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=8)
    with pytest.warns(UserWarning, match="out of memory; going on with"):
        answers = engine.generate(asked)
    assert [a.token_ids for a in answers] == [a.token_ids for a in wanted]
    assert (rows[0], rows[-1], engine.max_rows) == (8, 2, 2)
    tighter = Engine(tiny_params, tiny_config, tiny_tokenizer, max_rows=1)
    monkeypatch.setattr(generation_module, "decode", None)
    with pytest.raises(TypeError):  # any other failure is told as it is
        tighter.generate(asked)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"prompt_ids": ()}, "'a' has an empty prompt"),
        ({"max_new_tokens": 0}, "'a': max_new_tokens"),
        ({"prompt_ids": (1, 400)}, "token id 400"),
        ({"prompt_ids": (-1, 3)}, "token id -1"),
        ({"max_new_tokens": 255}, r"needs 257 positions \(prompt 2 \+ 255 new\).* has 256"),
    ],
)
def test_a_request_that_cannot_be_answered_is_named(engine, changes, named):
    with pytest.raises(UserError, match=named):
        engine.generate([_request((1, 2)), dataclasses.replace(_request((1, 2)), **changes)])


@pytest.mark.parametrize(
    ("prompt_ids", "continuation_ids", "named"),
    [
        ((1,), (), "no continuation"),
        ((), (1,), "empty prompt"),
        ((1,), (2, 400), "token id 400"),
        ((1,) * 200, (2,) * 58, "257 positions"),
    ],
)
def test_a_score_that_cannot_be_had_is_named(engine, prompt_ids, continuation_ids, named):
    request = ScoreRequest(id="a", prompt_ids=prompt_ids, continuation_ids=continuation_ids)
    with pytest.raises(UserError, match=named):
        engine.score([request])


def test_a_tokenizer_of_another_model_is_refused(tiny_config, tiny_params, tiny_tokenizer):
    with pytest.raises(UserError, match="384 ids, but the model has only 300"):
        Engine(tiny_params, tiny_config.replace(vocab_size=300), tiny_tokenizer)


def test_bfloat16_generates_and_scores(tiny_config, tiny_params, tiny_tokenizer, prompts):
    engine = Engine(tiny_params, tiny_config.replace(dtype="bfloat16"), tiny_tokenizer)
    requests = [_request(ids, f"r{i}", ignore_eos=True) for i, ids in enumerate(prompts)]
    answers = engine.generate(requests)
    assert all(len(answer.token_ids) == 12 for answer in answers)
    asked = [
        ScoreRequest(id=r.id, prompt_ids=r.prompt_ids, continuation_ids=a.token_ids)
        for r, a in zip(requests, answers, strict=True)
    ]
    exact = Engine(tiny_params, tiny_config, tiny_tokenizer).score(asked)
    for answer, score in zip(answers, exact, strict=True):
        assert answer.logprob == pytest.approx(score.logprob, abs=1.5)
