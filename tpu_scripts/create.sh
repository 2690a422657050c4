#!/usr/bin/env bash
# Asks for the TPU of the settings and waits until it is there, saying what it waits for.
#
#   tpu_scripts/create.sh [--dry_run] [--settings=FILE]
#
# What is there already is kept; what was preempted or failed is removed and asked for anew.

. "$(dirname "$0")/flags.sh"
. "$(dirname "$0")/queued_resource.sh"

request() {
  local flags=(--accelerator-type="$ACCELERATOR" --runtime-version="$RUNTIME")
  if [ "$SLICES" = 1 ]; then
    flags+=(--node-id="$NAME")
  else
    flags+=(--node-count="$SLICES" --node-prefix="$NAME")
  fi
  case "$PROVISIONING" in
    spot) flags+=(--spot) ;;
    reserved) flags+=(--reserved) ;;
  esac
  [ -z "$MAX_WAIT" ] || flags+=(--valid-until-duration="$MAX_WAIT")
  say "asking for $SLICES x $ACCELERATOR ($PROVISIONING) in $ZONE"
  do_it gcloud compute tpus queued-resources create "$NAME" "${where[@]}" "${flags[@]}" \
    --async --quiet
}

# why STATE: what a state means for who waits.
why() {
  case "$1" in
    CREATING | ACCEPTED) echo "the request is being looked at" ;;
    WAITING_FOR_RESOURCES) echo "no free $ACCELERATOR in $ZONE for $PROVISIONING; it is in the queue" ;;
    PROVISIONING) echo "the machines are being made" ;;
    SUSPENDING | DELETING) echo "the machines are being taken away" ;;
    *) echo "" ;;
  esac
}

before="" failures=0
while true; do
  now=$(state)
  if [ "$now" != "$before" ]; then
    say "$now${before:+ (was $before)}: $(why "$now")"
    before=$now
  fi
  case "$now" in
    NONE)
      request
      if "$dry_run"; then exit 0; fi
      ;;
    ACTIVE) exit 0 ;;
    SUSPENDED | FAILED)
      said=$(reason)
      # A request that fails again and again has a cause that waiting does not mend.
      [ "$now" = SUSPENDED ] || failures=$((failures + 1))
      [ "$failures" -lt 3 ] || fail "the request failed $failures times: ${said:-no reason given}"
      say "$now: ${said:-no reason given}; it is removed and asked for anew"
      remove
      before=""
      continue
      ;;
  esac
  sleep "$POLL_SECONDS"
done
