"""A plan for people: tables from its record."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_PARTS = ("parameters", "optimizer", "gradients", "activations", "logits", "batch", "total")


def print_plan(record: dict[str, Any], console: Console) -> None:
    """Prints what `plan_record` made."""
    for line in _head(record):
        console.print(line, highlight=False)
    console.print(_memory(record))
    for line in _verdict(record):
        console.print(line, highlight=False)
    if record["collectives"]:
        console.print(_collectives(record))
    for line in _time(record):
        console.print(line, highlight=False)
    if record.get("search") is not None:
        console.print(_search(record))


def print_evaluation(record: dict[str, Any], console: Console) -> None:
    """Prints what `evaluation_record` made."""
    evaluation = record["evaluation"]
    console.print(_where(record), highlight=False)
    console.print(
        f"{record['num_params']:,} parameters; answers decoded together: {evaluation['rows']}",
        highlight=False,
    )
    kernels = ", ".join(f"{one['kernels']} in {n}" for n, one in evaluation["programs"].items())
    console.print(f"attention: {record['attention']}; kernels: {kernels}", highlight=False)
    table = _table("GiB of a chip", "")
    table.add_row("weights, as kept and as decoded with", f"{record['weights_gib']:.2f}")
    table.add_row("keys and values", f"{evaluation['cache_gib']:.2f}")
    table.add_section()
    table.add_row("at the worst moment", f"{evaluation['peak_gib_per_chip']:.2f}")
    table.add_row("a chip has", f"{record['hbm_gib_per_chip']:g}")
    console.print(table)
    needed = f"{record['peak_gib_per_chip']:.1f} of {record['hbm_gib_per_chip']:g} GiB a chip"
    verdict = "[bold green]fits[/]" if record["fits"] else "[bold red]does not fit[/]"
    console.print(f"{verdict}: {needed}", highlight=False)
    for line in record["advice"]:
        console.print(f"  {line}", highlight=False)


def _where(record: dict[str, Any]) -> str:
    slices = f"{record['num_slices']} slices of " if record["num_slices"] > 1 else ""
    also = f" ({record['accelerator_type']})" if record["accelerator_type"] else ""
    mesh = " ".join(f"{axis}={size}" for axis, size in record["mesh"].items())
    chips = f"{record['chips']} chip{'s' if record['chips'] > 1 else ''}"
    return f"{slices}{record['topology']}{also}: {chips}, {mesh}"


def _head(record: dict[str, Any]) -> list[str]:
    rows, parts = record["rows_per_device"], record["micro_batches"]
    kernels = f", {record['kernels']} kernels in the compiled step" if record["kernels"] else ""
    return [
        _where(record),
        f"{record['num_params']:,} parameters; {parts} x {rows} rows a step on each device",
        f"attention: {record['attention']}{kernels}",
    ]


def _memory(record: dict[str, Any]) -> Table:
    table = _table("GiB of a chip", "computed", "compiled")
    computed, compiled = record["computed_gib"], record["compiled_gib"]
    beside = {"optimizer": "arguments", "activations": "temporaries", "total": "total"}
    for part in _PARTS:
        name = beside.get(part, "")
        shown = ""
        if name and compiled[name]:  # a compiler that gives up early names no parts
            label = "" if name == "total" else f"{name} "
            shown = f"{label}{compiled[name]:.2f}"
        if part == "total":
            table.add_section()
        table.add_row(part, f"{computed[part]:.2f}", shown)
    usable = record["usable_gib"]
    has = f"{record['hbm_gib_per_chip']:g}" + (f", usable {usable:.2f}" if usable else "")
    table.add_row("a chip has", "", has)
    if evaluation := record["evaluation"]:
        table.add_section()
        table.add_row("cache of evaluation", f"{evaluation['cache_gib']:.2f}", "")
        table.add_row("evaluation, with state", "", f"{evaluation['peak_gib_per_chip']:.2f}")
    return table


def _verdict(record: dict[str, Any]) -> list[str]:
    needed = f"{record['peak_gib_per_chip']:.1f} of {record['hbm_gib_per_chip']:g} GiB a chip"
    evaluation = record["evaluation"]
    if record["fits"]:
        return [f"[bold green]fits[/]: {needed}"]
    lines = [f"[bold red]does not fit[/]: {needed}"]
    if evaluation and not evaluation["fits"]:
        needed = f"{evaluation['peak_gib_per_chip']:.1f} of {record['hbm_gib_per_chip']:g} GiB"
        lines = [f"[bold red]evaluation does not fit[/] beside the state: {needed} a chip"]
    lines += [f"  largest: {entry}" for entry in record["largest"]]
    return lines + [f"  {line}" for line in record["advice"]]


def _collectives(record: dict[str, Any]) -> Table:
    table = _table("a step sends", "along", "times", "GiB a device")
    for one in record["collectives"]:
        along = " x ".join(one["axes"]) or "nowhere"
        table.add_row(one["kind"], along, f"{one['count']:,}", f"{one['gib']:.3f}")
    return table


def _time(record: dict[str, Any]) -> list[str]:
    flops = f"{record['flops_per_step'] / 1e12:,.1f} TFLOP a step"
    least = record.get("least")
    if least is None:
        return [flops]
    bound, rate = least["bound_by"], least["tokens_per_s_per_chip"]
    lines = [
        f"{flops}; at the chip's peaks a step takes at least {least['step_s']:.3f} s",
        f"(bound by {bound}): {rate:,.0f} tokens/s a chip at most",
    ]
    if "hours" in record:
        lines.append(
            f"{record['steps']:,} steps: {least['hours']:,.1f} h at least; at {record['mfu']:.0%} "
            f"of the peak {record['hours']:,.1f} h, {record['chip_hours']:,.0f} chip-hours"
        )
    else:
        lines.append("steps are known once the data is read (--read_data) or config.steps is set")
    return lines


def _search(record: dict[str, Any]) -> Table:
    table = _table("mesh", "remat", "GiB a chip", "s a step at least", "bound by")
    for one in record["search"]:
        mesh = " ".join(f"{axis}={size}" for axis, size in one["mesh"].items())
        table.add_row(
            mesh,
            one["remat"],
            f"{one['peak_gib_per_chip']:.1f}",
            f"{one['step_s']:.3f}",
            one["bound_by"],
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
