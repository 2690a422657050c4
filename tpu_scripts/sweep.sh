#!/usr/bin/env bash
# Runs the points of a config's sweep() on several TPU VMs, or as a SLURM array.
#
#   tpu_scripts/sweep.sh --config=configs/sweeps/lr.py --workdir=gs://BUCKET/lr [--on=tpu|slurm]
#       [--dry_run] [--settings=FILE]
#
# On TPUs, MACHINES of them (NAME-0, NAME-1, ...) each take every MACHINES-th point, one after
# another, as run.sh does, and are given back at the end. The same command goes on where it was
# killed. Afterwards `jaxllm sweep --collect` makes the table, where the workdir is a local folder.

config="" workdir="" on=tpu
own_flag() {
  case "$1" in
    --config=*) config=${1#*=} ;;
    --workdir=*) workdir=${1#*=} ;;
    --on=*) on=${1#*=} ;;
    *) return 1 ;;
  esac
}
. "$(dirname "$0")/flags.sh"

[ -n "$config" ] || fail "name a config with a sweep(): --config=configs/sweeps/lr.py"
[ -n "$workdir" ] || fail "name a folder for all points: --workdir=gs://BUCKET/lr"
points=$(jaxllm sweep --config="$config" --workdir="$workdir" --dry_run) || exit 2
count=$(wc -l <<<"$points")
scripts=$(dirname "$0")
flags=(--settings="$settings")
if "$dry_run"; then flags+=(--dry_run); fi
state="runs/$NAME-sweep"

# machine INDEX: every MACHINES-th point from INDEX on, on a TPU of its own.
machine() {
  local point command failed=0
  export NAME="$NAME-$1"
  for point in $(seq "$1" "$MACHINES" $((count - 1))); do
    command=$(sed -n "$((point + 1))p" <<<"$points")
    if [ "$(cat "$state/$point.done" 2>/dev/null)" = "$command" ]; then continue; fi
    say "point $point: $command"
    if COMMAND=${command/#jaxllm train/jaxllm launch -- train} "$scripts/run.sh" "${flags[@]}"; then
      "$dry_run" || echo "$command" >"$state/$point.done"
    else
      say "point $point failed"
      failed=1
    fi
  done
  "$scripts/delete.sh" "${flags[@]}"
  return "$failed"
}

case "$on" in
  slurm)
    "$dry_run" || mkdir -p "$state"
    file="$state/points.txt"
    if "$dry_run"; then file=$(mktemp); fi
    echo "$points" >"$file"
    "$scripts/slurm/submit.sh" "${flags[@]}" --array="$file"
    ;;
  tpu)
    "$dry_run" || mkdir -p "$state"
    jobs=()
    for index in $(seq 0 $((MACHINES < count ? MACHINES - 1 : count - 1))); do
      machine "$index" &
      jobs+=($!)
    done
    failed=0
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    exit "$failed"
    ;;
  *) fail "--on=$on: use tpu or slurm" ;;
esac
