# shellcheck shell=bash disable=SC2154
# A queued resource of Cloud TPU and its nodes, through gcloud. Sourced after flags.sh.

needs gcloud "install the Google Cloud CLI"
case "$PROVISIONING" in
  on-demand | spot | reserved) ;;
  *) fail "PROVISIONING=$PROVISIONING: use on-demand, spot or reserved" ;;
esac

where=(--zone="$ZONE")
[ -z "$PROJECT" ] || where+=(--project="$PROJECT")

# nodes: the name of each slice, a line each.
nodes() {
  if [ "$SLICES" = 1 ]; then
    echo "$NAME"
  else
    seq -f "$NAME-%g" 0 $((SLICES - 1))
  fi
}

# state: of the queued resource, NONE where there is none. An answer that is no answer (network,
# quota of the API) is asked for again.
state() {
  local answer attempt
  if "$dry_run"; then
    echo NONE
    return
  fi
  for attempt in 1 2 3 4 5; do
    if answer=$(gcloud compute tpus queued-resources describe "$NAME" "${where[@]}" \
      --format='value(state.state)' 2>&1); then
      echo "${answer##*$'\n'}"
      return
    fi
    if [[ "$answer" == *NOT_FOUND* || "$answer" == *"not found"* ]]; then
      echo NONE
      return
    fi
    say "gcloud does not answer ($attempt/5): ${answer##*$'\n'}"
    sleep "$POLL_SECONDS"
  done
  fail "gcloud cannot describe $NAME: $answer"
}

# reason: why it is in its state, as far as Google says.
reason() {
  gcloud compute tpus queued-resources describe "$NAME" "${where[@]}" \
    --format='value(state.stateInitiator,state.failedData.error.message)' 2>/dev/null \
    | tr '\t\n' '  ' || true
}

# node_states: of each node, a line each; what cannot be described is GONE.
node_states() {
  local node
  for node in $(nodes); do
    gcloud compute tpus tpu-vm describe "$node" "${where[@]}" --format='value(state)' 2>/dev/null \
      || echo GONE
  done
}

# on_workers SCRIPT: runs a bash script on all workers of all nodes.
on_workers() {
  local node
  for node in $(nodes); do
    do_it gcloud compute tpus tpu-vm ssh "$node" "${where[@]}" --worker=all --quiet \
      --command="$1" || return
  done
}

# remove: the queued resource with its nodes, and waits until they are gone.
remove() {
  do_it gcloud compute tpus queued-resources delete "$NAME" "${where[@]}" --force --quiet
}
