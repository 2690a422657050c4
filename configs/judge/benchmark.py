"""Benchmarks whose answers a judge reads: `configs/judge/benchmark.py:mt_bench_ja,safety_ja`.

    jaxllm judge --config=configs/judge/benchmark.py:mt_bench_en --model=runs/mine \\
        --workdir=runs/judged --judge.model=gpt-4o-2024-08-06

A name is one of mt_bench_en, mt_bench_ja, quality_ja, safety_ja, culture_ja, safety_borderline_ja
and safety_boundary_ja, or the path of a YAML file of your own (see jaxllm/judging/definition.py).
"""

from pathlib import PurePath

from jaxllm.defaults import evaluate_config, judge_entry


def get_config(names="mt_bench_ja"):
    config = evaluate_config()
    for name in names.split(","):
        config.evals[PurePath(name).stem] = judge_entry(name)
    return config
