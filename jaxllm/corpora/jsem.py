"""JSeM (Kawazoe et al. 2015): inference sorted by semantic phenomenon, in 22 XML files.

llm-jp-eval reads the files in the order below, drops problems without one of four answers, and
makes the splits. The digests of train and test are derived here; that of dev is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree

from jaxllm.corpora import base, raw, splits

_COMMIT = "c2cd39168e267007b4690dbf625329bac57a8185"
_URL = f"https://raw.githubusercontent.com/DaisukeBekki/JSeM/{_COMMIT}/data/v1.0"
_SHA256 = {
    "Adjectives": "15e4dd750516bc82cf16b567d34cb6606374ab70a6b32ba989eef9eeaffd42ba",
    "Adverb": "402eede2d2c5d6e1e59a32919feac05893f894d63e6c88d48f317a07229dbee1",
    "Attitudes": "9418489419be35acc75466ac65b498670558e12069e62ec0fda2e9525743bada",
    "AuxiliaryVerb": "7b2378ce272b9b1c4ccf3d7695702e7e9d291708fdc1910c38e9ef8ef11bc723",
    "CaseParticle": "f200b023e2f4ec0b6a744d9d646a5978a630b50e501cf8ad4a02e1631e7023ad",
    "Comparatives": "33b20f9b9a2a7285168da561befb75c86f934ed108f0082af82b133485b453bb",
    "CompoundAdjective": "02dcb58f0cd89b02428e4c032f4ee22e08ddd3bd16e92279b0abf810c3f47ba9",
    "CompoundVerb": "175d88abcd9496c8b956bdc2a9b50e820a158964d1864c3d62c73bf5b0df9943",
    "Conditional": "8601762d70c2e0c1cd8282788be47b25141f189ede18359a72ba25a386d019ab",
    "Conjunction": "2c78bfdb63332ab303f47e034789f97bd3e36c652bea735892665809694f59b7",
    "Coordination": "14280984787bba7849fa2b085212fba7e67933cdc3532909e18a427f99af1f7b",
    "Ellipsis": "ce5555092dc8ee831dab74727f87acbe004dc25a7e179c09325f698bf1b590f5",
    "GeneralizedQuantifier": "bd61dce7d537af3a214b50ff010f8f1daa39e3e6e62cf9245b70330446d988c2",
    "Modality": "2eff6a7f3ecc523b4f7ffc2c8f07e37974a200dc3c111ffcd547014d00eb2efb",
    "NP": "1a672909f4c9c87aefb7c01caedb14bfa68e8f5b30c3c44ac28d825727befca2",
    "NewAdjective": "ffc576c68d9b3e8298c8a5ac8532c4af18dc911d54e029c9e966eac024b6f56b",
    "NominalAnaphora": "0ef4aa40b1e40e39683a7a4712e3d0a17d70a5e0a6c65bec230b4e880813f9bd",
    "Plurals": "f2a3b044493e0a481168ce748fb519a61dee59b386120d51ac7091417cb54000",
    "Question": "d81a1cdd1d2e0c84c98109cdd44f891ac6f0c718c7c7d5601b069a50580c0f8a",
    "TemporalReference": "1e8799f1c371363d201ec0c1f23f8b150b1ad06e9f007d4ff96427432bcbccde",
    "Toritate": "f4c1cc124de96b310301616f353049914f4d9b9306b86b3322d7e3ebddf2cdec",
    "Verbs": "66e2a4816a7b773db66e4af487e9db2f9d5e9963f1d4d2f958fb9326dd6eb0b1",
}
_FILES = tuple(
    raw.RawFile(path=f"jsem/v1.0/{name}.xml", url=f"{_URL}/{name}.xml", sha256=sha256)
    for name, sha256 in _SHA256.items()
)
_ANSWERS = ("yes", "no", "unknown", "undef")


def _read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    pairs = [pair for file in _FILES for pair in _pairs(open_raw(file.path).read_bytes())]
    train, dev, test = splits.train_dev_and_test(pairs)
    return {"train": train, "dev": dev, "test": test}


def _pairs(document: bytes) -> Iterator[base.Pair]:
    for problem in ElementTree.fromstring(document).iter("problem"):
        answer = problem.get("answer", "")
        if answer in _ANSWERS:
            premise = "".join(_script(sentence) for sentence in problem.iter("p"))
            hypothesis = "".join(_script(sentence) for sentence in problem.iter("h"))
            yield base.Pair(f"前提：{premise}\n仮説：{hypothesis}", answer)


def _script(sentence: ElementTree.Element) -> str:
    return sentence.findtext("script", "").strip()


JSEM = base.Corpus(
    name="jsem",
    source=f"github DaisukeBekki/JSeM @ {_COMMIT}, data/v1.0/",
    licence="BSD-3-Clause",
    files=_FILES,
    instruction=(
        "前提と仮説の関係をyes、no、unknown、undefの中から回答してください。"
        "それ以外には何も含めないことを厳守してください。\n\n制約：\n"
        "- 前提が仮説を含意する場合はyesと出力\n"
        "- 前提が仮説の否定を含意する場合はnoと出力\n"
        "- 前提が仮説を含意せず、その否定も含意しない場合はunknownと出力\n"
        "- 与えられた情報のみからは判断ができない場合はundefと出力"
    ),
    output_length=3,
    metrics=("exact_match",),
    sha256={
        "train": "c997592dc4f3d7e7a955514528ca9c18e26be86abbdd85544cec09814d648b57",
        "dev": "a5bb328dfbe008cdd2595cdaa2cacfb17086506ba1776ec01cbb8cc002d7f329",
        "test": "66d83c772f16f578c8f93df4ca8f53987c18bff41cb8365885ee333565fa400e",
    },
    readers=(_read,),
)


class Jsem(base.CorpusBuilder):
    """The one corpus of this origin."""

    BUILDER_CONFIGS = base.configs(JSEM)
