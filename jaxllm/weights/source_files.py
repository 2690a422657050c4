"""The small files a model came with, kept byte for byte: config.json, tokenizer, chat template."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from etils import epath

from jaxllm.text.tokenizer import Tokenizer

CONFIG = "config.json"
_GENERATION = "generation_config.json"
_TOKENIZER_FILES = frozenset(
    """
    tokenizer.json tokenizer.model tokenizer_config.json special_tokens_map.json
    added_tokens.json vocab.json merges.txt chat_template.jinja chat_template.json
    """.split()
)
_KEPT = _TOKENIZER_FILES | {CONFIG, _GENERATION}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceFiles:
    """Files by name, and the digest of the tokenizer that was read from them, if one was."""

    files: Mapping[str, bytes]
    tokenizer_digest: str | None = None

    @property
    def config_json(self) -> str | None:
        """The text of the model's Hugging Face config.json, or None where it had none."""
        content = self.files.get(CONFIG)
        return None if content is None else content.decode()


def read_source_files(folder: epath.PathLike, tokenizer: Tokenizer | None) -> SourceFiles:
    """The small files in a model folder; `tokenizer` is the one loaded from it."""
    folder = epath.Path(folder)
    files = {name: (folder / name).read_bytes() for name in _KEPT if (folder / name).exists()}
    return SourceFiles(
        files=dict(sorted(files.items())),
        tokenizer_digest=None if tokenizer is None else tokenizer.digest,
    )


def write_source_files(
    folder: epath.Path, tokenizer: Tokenizer | None, source: SourceFiles | None
) -> None:
    """Write what belongs beside the weights, but for config.json.

    The source's tokenizer files are written as they were where they are those of `tokenizer`;
    another tokenizer writes its own.
    """
    kept = {} if source is None else dict(source.files)
    kept.pop(CONFIG, None)
    if tokenizer is not None and (source is None or tokenizer.digest != source.tokenizer_digest):
        tokenizer.save(folder)
        kept = {
            name: content
            for name, content in kept.items()
            if name not in _TOKENIZER_FILES and not (folder / name).exists()
        }
    for name, content in kept.items():
        (folder / name).write_bytes(content)
