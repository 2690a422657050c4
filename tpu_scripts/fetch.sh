#!/usr/bin/env bash
# Copies the logs of all workers, and with --path=P also ~/jaxllm/P of each, into --to=DIR.
#
#   tpu_scripts/fetch.sh [--to=runs/NAME] [--path=runs/x] [--dry_run] [--settings=FILE]
#
# What a run keeps on gs:// needs no fetching: jaxllm report reads it there.

to="" path=""
own_flag() {
  case "$1" in
    --to=*) to=${1#*=} ;;
    --path=*) path=${1#*=} ;;
    *) return 1 ;;
  esac
}
. "$(dirname "$0")/flags.sh"
. "$(dirname "$0")/queued_resource.sh"

to=${to:-runs/$NAME}
for node in $(nodes); do
  if "$dry_run"; then
    workers=1
  else
    workers=$(gcloud compute tpus tpu-vm describe "$node" "${where[@]}" \
      --flatten=networkEndpoints --format='value(networkEndpoints.ipAddress)' | grep -c .) \
      || fail "there is no node $node to fetch from"
  fi
  for worker in $(seq 0 $((workers - 1))); do
    place="$to/$node-$worker"
    do_it mkdir -p "$place"
    for folder in logs ${path:+"$path"}; do
      do_it gcloud compute tpus tpu-vm scp --recurse "$node:jaxllm/$folder" "$place/" \
        "${where[@]}" --worker="$worker" --quiet
    done
  done
done
say "copied to $to"
