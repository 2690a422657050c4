"""A model for EleutherAI's lm-evaluation-harness, under the name `jaxllm`.

    python -m jaxllm.integrations.lm_eval --model jaxllm --model_args pretrained=DIR --tasks TASK

is the harness's own command line: it knows a model of another package once that package's module
has been imported, and looks for none by itself. Answers are those of its `hf` backend on the same
weights (lm-evaluation-harness 0.4.13, models/huggingface.py), whose rules stand here: which tokens
a text becomes, where a long one is cut, what ends an answer.
"""

from __future__ import annotations

import collections
import copy
import itertools
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.decode import Completion, Engine, Request, Score, ScoreRequest
from jaxllm.errors import UserError
from jaxllm.integrations.hf_texts import HFTexts
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.verb import run_verb
from jaxllm.weights.load import Model, load_model

_SAMPLING = ("top_p", "top_k", "min_p", "repetition_penalty")
# What transformers samples with, and the hf backend through it, where nobody says otherwise.
_TOP_K = 50


@register_model("jaxllm")
class JaxLM(TemplateLM):
    """A jaxllm model that answers the harness's requests, all of one kind in one run.

    Args:
        pretrained: what `load_model` takes: a Hugging Face folder, a hub id, a `.gguf` file, a PEFT
            adapter or a run.
        dtype: what it computes in.
        revision: branch, tag or commit of a hub id.
        data, fsdp, tensor: the mesh, as in a config.
        max_length: the most tokens of prompt and answer; the model's positions by default.
        max_gen_toks: the most tokens of an answer whose task does not say.
        add_bos_token: whether bos stands before a text; as the tokenizer has it by default.
        prefix_token_id: what stands before a text without a context: bos by default, or eos.
        enable_thinking: passed to the chat template.
        think_end_token: the string behind which a reasoning model's answer begins.
        seed: of sampled answers; the harness's own seeds do not reach a model.
        max_batch_size: the most requests that are decoded together.
        batch_size: of no effect: the engine refills rows as they finish, and answers do not depend
            on it.
        device: of no effect: JAX runs on the accelerator it finds, or on what JAX_PLATFORMS names.

    Raises:
        UserError: an argument that does not fit, or a model that cannot be loaded.
    """

    def __init__(
        self,
        pretrained: str,
        *,
        dtype: str = "float32",
        revision: str | None = None,
        data: int = -1,
        fsdp: int = 1,
        tensor: int = 1,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        add_bos_token: bool | None = None,
        prefix_token_id: int | None = None,
        enable_thinking: bool | None = None,
        think_end_token: str | None = None,
        seed: int = 0,
        max_batch_size: int = 64,
        batch_size: int | str = 1,
        device: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise UserError(f"model_args: the model jaxllm takes no {next(iter(unknown))!r}")
        if enable_thinking and think_end_token is None:
            raise UserError("model_args: enable_thinking=True needs think_end_token too")
        enable_compilation_cache()
        mesh = make_mesh(MeshShape(data=data, fsdp=fsdp, tensor=tensor))
        model = load_model(pretrained, dtype=dtype, revision=revision, mesh=mesh)
        positions = model.config.max_positions
        if max_length is not None and not 1 < max_length <= positions:
            raise UserError(
                f"model_args: max_length={max_length}, but {model.name} has {positions} positions"
            )
        self.tokenizer: Tokenizer = model.tokenizer
        self.max_length = max_length or positions
        self.max_gen_toks = max_gen_toks
        # What is asked later; the weights are the engine's, which has them in a form of its own.
        self._source, revision = model.source, model.revision or ""
        self._model_info = {
            "model_num_parameters": model.num_params,
            "model_dtype": model.config.dtype,
            "model_revision": revision,
            "model_sha": revision,
        }
        self._texts = HFTexts(model.tokenizer, add_bos=add_bos_token)
        self._prefix_token_id = prefix_token_id
        self._chat_variables = (
            {} if enable_thinking is None else {"enable_thinking": enable_thinking}
        )
        self._think_end_token = think_end_token
        self._seed = seed
        self._sampling = {"top_k": _TOP_K, **_generation_settings(model)}
        # In the hf backend rows of the embedding beyond the tokenizer count like any other.
        every_row = copy.copy(model.tokenizer)
        every_row.vocab_size = model.config.vocab_size
        self._engine = Engine(
            model.params, model.config, every_row, mesh=mesh, max_rows=max_batch_size
        )

    @property
    def eot_token_id(self) -> int:
        """The id that ends a text."""
        return self.tokenizer.eos_id

    @property
    def prefix_token_id(self) -> int:
        """The id before a text without a context."""
        candidates = (self._prefix_token_id, self.tokenizer.bos_id, self.tokenizer.eos_id)
        return next(token for token in candidates if token is not None)

    @property
    def tokenizer_name(self) -> str:
        """By what the harness tells prompts in one chat format from those in another."""
        return self._source.replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """What the harness writes beside the results."""
        return self._model_info

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """The ids of a text."""
        if add_special_tokens is False:
            return self._texts.encode_bare(string)
        return self._texts.encode(string, beginning=self._texts.name(self.prefix_token_id))

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The conversation in the tokenizer's chat template.

        Without `add_generation_prompt` the text ends inside the last message, to be continued.
        """
        return self._texts.chat(
            chat_history, goes_on=not add_generation_prompt, variables=self._chat_variables
        )

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The answers, each cut before its first stop string."""
        asked, stops = [], []
        for name, instance in zip(_names(requests), requests, strict=True):
            request, until = self._request(name, *instance.args)
            asked.append(request)
            stops.append(until)
        texts: dict[int, str] = {}
        with _bar("generate_until", len(asked), disable_tqdm) as bar:

            def keep(new: Mapping[int, Completion]) -> None:
                for index, answer in new.items():
                    texts[index] = self._answer(answer.token_ids, stops[index])
                    arguments = requests[index].args
                    self.cache_hook.add_partial("generate_until", arguments, texts[index])
                bar.update(len(new))

            self._engine.generate(asked, on_answers=keep)
        return [texts[index] for index in range(len(asked))]

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihoods of whole texts, in windows of `max_length` tokens."""
        windows = [
            [
                (None, *make_disjoint_window(window))
                for window in get_rolling_token_windows(
                    token_list=self.tok_encode(*instance.args),
                    prefix_token=self.prefix_token_id,
                    max_seq_len=self.max_length,
                    context_len=1,
                )
            ]
            for instance in requests
        ]
        scores = self._loglikelihood_tokens(
            list(itertools.chain.from_iterable(windows)), disable_tqdm=disable_tqdm
        )
        remaining = iter(scores)
        totals = [sum(next(remaining)[0] for _ in parts) for parts in windows]
        for instance, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", instance.args, total)
        return totals

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[tuple[str, str] | None, list[int], list[int]]],
        disable_tqdm: bool = False,
        **_: Any,
    ) -> list[tuple[float, bool]]:
        # Text that adds no token to its context is certain.
        answers = [(0.0, True)] * len(requests)
        asked = []
        for index, (_texts, context, continuation) in enumerate(requests):
            if len(continuation) > self.max_length:
                raise UserError(
                    f"a continuation has {len(continuation)} tokens, more than "
                    f"max_length={self.max_length}"
                )
            # The last token is only ever a target: one more fits.
            ids = _last([*context, *continuation], self.max_length + 1)
            start = len(ids) - len(continuation)
            if continuation:
                asked.append(
                    ScoreRequest(
                        id=str(index), prompt_ids=ids[:start], continuation_ids=ids[start:]
                    )
                )
        with _bar("loglikelihood", len(asked), disable_tqdm) as bar:

            def keep(new: Mapping[int, Score]) -> None:
                for score in new.values():
                    index, answer = int(score.id), (score.logprob, score.is_greedy)
                    answers[index] = answer
                    if (texts := requests[index][0]) is not None:
                        self.cache_hook.add_partial("loglikelihood", texts, answer)
                bar.update(len(new))

            self._engine.score(asked, on_answers=keep)
        return answers

    def _request(
        self, name: str, context: str, gen_kwargs: dict[str, Any]
    ) -> tuple[Request, list[str]]:
        """One request to the engine, and the strings that end its answer."""
        settings = normalize_gen_kwargs(gen_kwargs, self.max_gen_toks)
        until = handle_stop_sequences(
            settings.pop("until"), eos=self._texts.name(self.eot_token_id)
        )
        max_new_tokens = settings.pop("max_gen_toks")
        temperature = float(settings.pop("temperature", 0.0))
        settings.pop("do_sample")  # the temperature says it
        if settings.pop("num_beams", 1) != 1:
            raise UserError(f"{name}: there is no beam search; leave num_beams out")
        unknown = sorted(set(settings) - set(_SAMPLING))
        if unknown:
            raise UserError(
                f"{name}: unknown generation setting {unknown[0]!r}; known: until, max_gen_toks, "
                f"do_sample, temperature, {', '.join(_SAMPLING)}"
            )
        room = self.max_length - max_new_tokens
        if room < 1:
            raise UserError(
                f"{name}: max_gen_toks={max_new_tokens} leaves no room for a prompt within "
                f"max_length={self.max_length}"
            )
        bos = self.tokenizer.token_string(self.tokenizer.bos_id)
        special = self.tokenizer.special.ids
        request = Request(
            id=name,
            prompt_ids=_last(self._texts.encode(context, beginning=bos), room),
            max_new_tokens=max_new_tokens,
            stop=tuple(until),
            stop_ids=tuple(special[text] for text in until if text in special),
            temperature=temperature,
            seed=self._seed,
            **{**self._sampling, **settings},
        )
        return request, until

    def _answer(self, token_ids: Sequence[int], until: list[str]) -> str:
        text = self._texts.decode(token_ids)
        return postprocess_generated_text(text, until, self._think_end_token)


def _generation_settings(model: Model) -> dict[str, Any]:
    """What the model's generation_config.json says of sampling; transformers takes it too."""
    content = model.source_files.files.get("generation_config.json", b"{}")
    return {
        key: value
        for key, value in json.loads(content).items()
        if key in _SAMPLING and value is not None
    }


def _names(requests: Sequence[Instance]) -> list[str]:
    """A name for each, the same whatever else is asked: it fixes what is sampled."""
    asked: collections.Counter[str] = collections.Counter()
    names = []
    for request in requests:
        name = f"{request.task_name}/{request.doc_id}/{request.idx}"
        names.append(f"{name}/{asked[name]}")
        asked[name] += 1
    return names


def _last(ids: Sequence[int], length: int) -> tuple[int, ...]:
    if len(ids) > length:
        warnings.warn(f"texts of more than {length} tokens are cut from the left", stacklevel=2)
    return tuple(ids[-length:])


def _bar(kind: str, total: int, disable: bool) -> tqdm:
    return tqdm(total=total, desc=f"Running {kind} requests", disable=disable)


def main(argv: Sequence[str] | None = None) -> int:
    """The harness's command line, which reads its arguments from sys.argv."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
