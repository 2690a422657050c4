"""What several processes keep of their answers, each a share, all of them know again."""

from __future__ import annotations

import json

import pytest

_MERGES = """
import argparse, json, os, sys
from etils import epath
from jaxllm.decode import Completion, Request
from jaxllm.decode.journal import Journal
from jaxllm.parallel.startup import add_process_flags, joined

shared, own, stop_after = sys.argv[1], sys.argv[2], int(sys.argv[3])
requests = [Request(id=str(n), prompt_ids=(n + 1,), max_new_tokens=4) for n in range(20)]
parser = argparse.ArgumentParser()
add_process_flags(parser)
with joined(parser.parse_args([])):
    known = []
    for folder in (shared, own + os.environ["JAX_PROCESS_ID"]):
        try:
            with Journal(epath.Path(folder), requests, Completion, fingerprint="m") as journal:
                known.append(sorted(journal.known))
                for n in range(20):
                    if n in journal.known:
                        continue
                    if n == stop_after:
                        raise TimeoutError
                    answer = Completion(
                        id=str(n), text=chr(0x3042 + n), token_ids=(n,), finish_reason="eos",
                        logprob=-n / 3,
                    )
                    journal.add({n: answer})
        except TimeoutError:
            pass
print(json.dumps(known), file=sys.stderr)
"""


@pytest.mark.slow
def test_journals_of_processes_are_merged_exactly(start_processes, tmp_path) -> None:
    folders = (str(tmp_path / "shared"), f"{tmp_path}/own")

    def known(count, stop_after):
        said = start_processes(_MERGES, count, *folders, str(stop_after))
        return [json.loads(text.splitlines()[-1]) for text in said]

    assert known(2, 7) == [[[], []]] * 2
    names = sorted(path.name for path in (tmp_path / "shared").iterdir())
    assert [name.rpartition("-")[2] for name in names].count("1.jsonl") == 3
    # Other processes than before: on disks of their own, each knows what any of them has kept.
    assert known(4, 12) == [[list(range(7)), list(range(7))]] * 4
    assert [one[0] for one in known(2, 20)] == [list(range(12))] * 2
    assert len(list((tmp_path / "shared").iterdir())) == 1
    lines = next((tmp_path / "shared").iterdir()).read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(n) for n in range(20)]
