#!/usr/bin/env bash
# Shows what a worker prints, and the state of its TPU, until Ctrl-C.
#
#   tpu_scripts/watch.sh [--worker=0] [--slice=0] [--dry_run] [--settings=FILE]

worker=0 slice=0
own_flag() {
  case "$1" in
    --worker=*) worker=${1#*=} ;;
    --slice=*) slice=${1#*=} ;;
    *) return 1 ;;
  esac
}
. "$(dirname "$0")/flags.sh"
. "$(dirname "$0")/queued_resource.sh"

now=$(state)
say "$now"
if ! "$dry_run" && [ "$now" != ACTIVE ]; then exit 1; fi
node=$(nodes | sed -n "$((slice + 1))p")
do_it gcloud compute tpus tpu-vm ssh "$node" "${where[@]}" --worker="$worker" --quiet \
  --command="tail -n 50 -F ~/jaxllm/logs/$NAME.log"
