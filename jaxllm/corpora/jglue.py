"""JGLUE (Kurihara et al. 2022): inference, similarity, reading and common sense.

llm-jp-eval reads v1.1, splits each train file and takes the valid file as test. The v1.3 release is
pinned where its file is byte for byte that of v1.1; JNLI's labels were corrected since, so JNLI is
that of v1.1. The digests of JNLI's and JSQuAD's test are derived here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from jaxllm.corpora import base, raw, splits

_COMMIT = "6f071c09316baae89c3d083a90985b4b1cb9968c"
_URL = "https://raw.githubusercontent.com/yahoojapan/JGLUE"
_LICENCE = "CC BY-SA 4.0"


def _file(path: str, sha256: str, *, at: str = _COMMIT) -> raw.RawFile:
    return raw.RawFile(path=f"jglue/{path}", url=f"{_URL}/{at}/datasets/{path}", sha256=sha256)


_JCOMMONSENSEQA_TRAIN = _file(
    "jcommonsenseqa-v1.3/train-v1.3.json",
    "9b55fae5ecb3aedd6f8ce5bc09196c3b629864668ec6c18eee4d65c0aa48229e",
)
_JCOMMONSENSEQA_VALID = _file(
    "jcommonsenseqa-v1.3/valid-v1.3.json",
    "0d8d76f3bfa0d174866939882faccdd01fbc2bcd5a76c43748ba0c40a7b3b8d4",
)
_JNLI_TRAIN = _file("jnli-v1.1/train-v1.1.json", "", at="v1.1.0")
_JNLI_VALID = _file(
    "jnli-v1.1/valid-v1.1.json",
    "39a41d5a112cc6c5baafa7d2464e579843e904a4b7206a4e905517a257f6459c",
    at="v1.1.0",
)
_JSQUAD_TRAIN = _file("jsquad-v1.3/train-v1.3.json", "")
_JSQUAD_VALID = _file(
    "jsquad-v1.3/valid-v1.3.json",
    "fb0a57a35281ff03bbe7f0e878cff5b577985fbe6fcb242e7e8ddb63d1c0ab11",
)
_JSTS_TRAIN = _file(
    "jsts-v1.3/train-v1.3.json",
    "db6bd653270ac9786759920413a48973164d322998f34dd4ae32202af5e66969",
)
_JSTS_VALID = _file(
    "jsts-v1.3/valid-v1.3.json",
    "7c0bdcb381179f01096c635d058853d96da1e1248d23fe3f5c2beed5dc2d9b1a",
)


def _readers(
    train_file: raw.RawFile,
    valid_file: raw.RawFile,
    pairs: Callable[[str], Iterable[base.Pair]],
) -> tuple[base.Reader, base.Reader]:
    """One reader a file; `pairs` gets the text of either."""

    def read_train(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        text = open_raw(train_file.path).read_text(encoding="utf-8")
        train, dev = splits.train_and_dev(list(pairs(text)))
        return {"train": train, "dev": dev}

    def read_valid(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        return {"test": list(pairs(open_raw(valid_file.path).read_text(encoding="utf-8")))}

    return read_train, read_valid


def _rows(text: str) -> Iterable[Mapping]:
    return (json.loads(line) for line in text.split("\n") if line)


def _jcommonsenseqa_pairs(text: str) -> Iterable[base.Pair]:
    for row in _rows(text):
        choices = ",".join(f"{number}.{row[f'choice{number}']}" for number in range(5))
        yield base.Pair(f"質問：{row['question']}\n選択肢：{choices}", str(row["label"]))


def _jnli_pairs(text: str) -> Iterable[base.Pair]:
    for row in _rows(text):
        yield base.Pair(f"前提：{row['sentence1']}\n仮説：{row['sentence2']}", row["label"])


def _jsquad_pairs(text: str) -> Iterable[base.Pair]:
    for article in json.loads(text)["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield base.Pair(
                    f"文章：{paragraph['context']}\n質問：{question['question']}",
                    question["answers"][0]["text"],
                )


def _jsts_pairs(text: str) -> Iterable[base.Pair]:
    for row in _rows(text):
        yield base.Pair(f"文1：{row['sentence1']}\n文2：{row['sentence2']}", str(row["label"]))


JCOMMONSENSEQA = base.Corpus(
    name="jcommonsenseqa",
    source=f"github yahoojapan/JGLUE @ {_COMMIT}, JCommonsenseQA v1.3 (= v1.1)",
    licence=_LICENCE,
    files=(_JCOMMONSENSEQA_TRAIN, _JCOMMONSENSEQA_VALID),
    instruction=(
        "質問と回答の選択肢を入力として受け取り、選択肢から回答を選択してください。なお、"
        "回答は選択肢の番号（例：0）でするものとします。 回答となる数値をint型で返し、"
        "他には何も含めないことを厳守してください。"
    ),
    output_length=1,
    metrics=("exact_match",),
    sha256={
        "train": "797423fb2273c6f518b8ed0c01ba5a1bcbb181bc2e6ff3278603a67854629a58",
        "dev": "ac30df014eee8d24d62a5e1fbd4ed1e3b5d76bffb836ffb4c9fa59e72a056591",
        "test": "d288ac864afa6d45eb5ba982efd00c5c96cfb632a79f56c4079db3c84536cb86",
    },
    readers=_readers(_JCOMMONSENSEQA_TRAIN, _JCOMMONSENSEQA_VALID, _jcommonsenseqa_pairs),
)

JNLI = base.Corpus(
    name="jnli",
    source="github yahoojapan/JGLUE @ v1.1.0, JNLI v1.1",
    licence=_LICENCE,
    files=(_JNLI_TRAIN, _JNLI_VALID),
    instruction=(
        "前提と仮説の関係をentailment、contradiction、neutralの中から回答してください。"
        "それ以外には何も含めないことを厳守してください。\n\n制約：\n"
        "- 前提から仮説が、論理的知識や常識的知識を用いて導出可能である場合はentailmentと出力\n"
        "- 前提と仮説が両立しえない場合はcontradictionと出力\n"
        "- そのいずれでもない場合はneutralと出力"
    ),
    output_length=3,
    metrics=("exact_match",),
    sha256={
        "dev": "d40257164b1bf2eaeae370c9879819ff5509964ea116ee4148dca062a9c02e0f",
        "test": "8ced0014698601aa2251f55bd249e30afadfbac8f673e1acd24c7e9c880cdc67",
    },
    unverified=(
        "no published digest could be compared: there is one of dev only, and the raw train file"
        " was not at hand"
    ),
    readers=_readers(_JNLI_TRAIN, _JNLI_VALID, _jnli_pairs),
)

JSQUAD = base.Corpus(
    name="jsquad",
    source=f"github yahoojapan/JGLUE @ {_COMMIT}, JSQuAD v1.3 (= v1.1)",
    licence=_LICENCE,
    files=(_JSQUAD_TRAIN, _JSQUAD_VALID),
    instruction=(
        "質問に対する回答を文章から一言で抽出してください。回答は名詞で答えてください。"
        " それ以外には何も含めないことを厳守してください。"
    ),
    output_length=25,
    metrics=("char_f1",),
    sha256={
        "dev": "0dcac3647a3768deeae53dc058474b21a3f4d9d37ffa3a3ec541505964afac8e",
        "test": "96aab24b0c2ddc540f2b5facfcd3c3f2cb03ae92440d8789515aafca719b7b66",
    },
    unverified=(
        "no published digest could be compared: there is one of dev only, and the raw train file"
        " was not at hand"
    ),
    readers=_readers(_JSQUAD_TRAIN, _JSQUAD_VALID, _jsquad_pairs),
)

JSTS = base.Corpus(
    name="jsts",
    source=f"github yahoojapan/JGLUE @ {_COMMIT}, JSTS v1.3 (= v1.1)",
    licence=_LICENCE,
    files=(_JSTS_TRAIN, _JSTS_VALID),
    instruction=(
        "日本語の文ペアの意味がどのくらい近いかを判定し、類似度を0.0〜5.0までの間の値で付与してください。"
        "0.0に近いほど文ペアの意味が異なり、5.0に近いほど文ペアの意味が似ていることを表しています。"
        "整数値のみを返し、それ以外には何も含めないことを厳守してください。"
    ),
    output_length=3,
    metrics=("pearson", "spearman"),
    sha256={
        "train": "bb4b391e09002470b6f92e46cf9087631522f4045bbde17bd5cf7744dc9feb80",
        "dev": "e17f77bdd3ffc3cccf4b3a1af8a1463b8cae260ba8c607188b8e4b45f468806e",
        "test": "d48cf1ded555c28cd204d8e184a5585496367866a197d9772a2da6398a436d52",
    },
    readers=_readers(_JSTS_TRAIN, _JSTS_VALID, _jsts_pairs),
)


class Jglue(base.CorpusBuilder):
    """The corpora of JGLUE."""

    BUILDER_CONFIGS = base.configs(JCOMMONSENSEQA, JNLI, JSQUAD, JSTS)
