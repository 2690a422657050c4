#!/usr/bin/env bash
# Queues COMMAND of the settings on a GPU cluster: one task for each GPU of NODES nodes.
#
#   tpu_scripts/slurm/submit.sh [--array=FILE] [--dry_run] [--settings=FILE]
#
# With --array=FILE each line of the file is a command, and MACHINES of them run at once. A job that
# is preempted, or reaches TIME_LIMIT, saves and is queued again. Start it from the checkout, in the
# environment that jaxllm is installed in. COMMAND is a verb of its own here, without `jaxllm launch`:
# SLURM starts the processes.

array=""
own_flag() {
  case "$1" in
    --array=*) array=${1#*=} ;;
    *) return 1 ;;
  esac
}
. "$(dirname "$0")/../flags.sh"

needs sbatch "this is for a login node of a SLURM cluster"
flags=(
  --job-name="$NAME" --nodes="$NODES" --ntasks-per-node="$GPUS_PER_NODE"
  --gpus-per-node="$GPUS_PER_NODE" --time="$TIME_LIMIT" --requeue --open-mode=append
  --signal=B:TERM@60
)
[ -z "$SLURM_PARTITION" ] || flags+=(--partition="$SLURM_PARTITION")
if [ -n "$array" ]; then
  [ -r "$array" ] || fail "there is no file $array"
  count=$(grep -c . "$array") || fail "$array holds no command"
  flags+=(--array="0-$((count - 1))%$MACHINES" --output="logs/$NAME-%A-%a.log")
  what=$(realpath "$array")
else
  flags+=(--output="logs/$NAME-%j.log")
  what=$COMMAND
fi
"$dry_run" || mkdir -p logs # sbatch makes no folder for its output, and fails without a word
do_it sbatch "${flags[@]}" "$(dirname "$0")/train.sbatch" "$what"
