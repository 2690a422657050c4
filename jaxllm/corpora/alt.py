"""ALT (Riza et al. 2016): sentences of Wikinews in English and Japanese, translated both ways.

The lists of articles give the splits, and the order. llm-jp-eval drops pairs of 500 characters and
more, both languages together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etils import epath

from jaxllm.corpora import base, raw

_URL = "https://www2.nict.go.jp/astrec-att/member/mutiyama/ALT"
_RELEASE = "ALT-Parallel-Corpus-20191206"
_FOLDER = raw.RawFolder(path=f"alt/{_RELEASE}", url=f"{_URL}/{_RELEASE}.zip", inside=_RELEASE)
_ARTICLES = {
    split: raw.RawFile(path=f"alt/URL-{split}.txt", url=f"{_URL}/URL-{split}.txt")
    for split in ("train", "dev", "test")
}
_MAX_CHARACTERS = 500
_UNVERIFIED = "the digest of dev was not compared, for want of the raw files"


def _reader(source: str, target: str, split: str) -> base.Reader:
    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        listed = open_raw(_ARTICLES[split].path)
        folder = open_raw(_FOLDER.path)
        sentences = {language: _sentences(folder, language) for language in (source, target)}
        ids: dict[str, list[str]] = {}
        for id in sentences[source]:
            ids.setdefault(_article(id), []).append(id)
        with raw.reading(listed):
            lines = listed.read_text(encoding="utf-8").splitlines()
            articles = [line.split()[0].removeprefix("URL.") for line in lines if line.strip()]
        pairs = [
            base.Pair(sentences[source][id], sentences[target][id])
            for article in articles
            for id in ids.get(article, ())
            if id in sentences[target]
        ]
        short = [pair for pair in pairs if len(pair.input) + len(pair.output) < _MAX_CHARACTERS]
        return {split: short}

    return read


def _sentences(folder: epath.Path, language: str) -> dict[str, str]:
    """The sentences by their ids, `SNT.ARTICLE.NUMBER`."""
    path = folder / f"data_{language}.txt"
    with raw.reading(path):
        if not path.exists():
            raise LookupError(f"there is no file {path.name}")
        lines = path.read_text(encoding="utf-8").split("\n")
        return dict(line.strip().split("\t") for line in lines if "\t" in line.strip())


def _article(id: str) -> str:
    return id.split(".")[1]


E_TO_J = base.Corpus(
    name="alt-e-to-j",
    source=f"NICT {_RELEASE}, English to Japanese",
    licence="CC BY 4.0",
    files=(_FOLDER, *_ARTICLES.values()),
    instruction=(
        "これから提示する英語の文章を日本語に翻訳してください。必ず日本語の訳文のみを出力し、"
        "それ以外には何も含めないことを厳守してください。"
    ),
    output_length=250,
    metrics=("bleu_ja", "bert_score_ja_f1", "comet_wmt22"),
    sha256={"dev": "796a834af5a60e5969d31626a1c2e60477bede8b8279c438f33952a38389cb83"},
    unverified=_UNVERIFIED,
    readers=tuple(_reader("en", "ja", split) for split in _ARTICLES),
)
J_TO_E = base.Corpus(
    name="alt-j-to-e",
    source=f"NICT {_RELEASE}, Japanese to English",
    licence="CC BY 4.0",
    files=(_FOLDER, *_ARTICLES.values()),
    instruction=(
        "これから提示する日本語の文章を英語に翻訳してください。必ず英語の訳文のみを出力し、"
        "それ以外には何も含めないことを厳守してください。"
    ),
    output_length=500,
    metrics=("bleu_en", "bert_score_en_f1", "comet_wmt22"),
    sha256={"dev": "968bf42ca791f6bdb7d47d4147fc5fe04e68f3495780aef8f294a8e4a993c5d7"},
    unverified=_UNVERIFIED,
    readers=tuple(_reader("ja", "en", split) for split in _ARTICLES),
)


class Alt(base.CorpusBuilder):
    """The two directions."""

    BUILDER_CONFIGS = base.configs(E_TO_J, J_TO_E)
