#!/usr/bin/env bash
# Runs COMMAND of the settings on GKE as a JobSet and waits until it is done.
#
#   tpu_scripts/gke/run.sh [--dry_run] [--settings=FILE]
#
# Given again, it waits for the JobSet that runs; one that failed is removed and begun anew, and
# goes on from its last checkpoint. `kubectl logs -f -l jobset.sigs.k8s.io/jobset-name=NAME` shows
# what it prints, `kubectl delete jobset NAME` ends it.

. "$(dirname "$0")/../flags.sh"

needs kubectl "install it and point it at the cluster"
manifest=$("$(dirname "$0")/jobset.sh" --settings="$settings")
if "$dry_run"; then
  echo "kubectl apply -f - <<'END'"
  echo "$manifest"
  echo END
  exit 0
fi

# ended: Completed, Failed, Running, or NONE; what is no answer is asked for again.
ended() {
  local answer attempt
  for attempt in 1 2 3 4 5; do
    if answer=$(kubectl get jobset "$NAME" -o 'jsonpath={.status.terminalState} {.status.restarts}' 2>&1); then
      [[ "$answer" == [CF]* ]] && echo "$answer" || echo "Running $answer"
      return
    fi
    if [[ "$answer" == *NotFound* ]]; then
      echo NONE
      return
    fi
    say "kubectl does not answer ($attempt/5): $answer"
    sleep "$POLL_SECONDS"
  done
  fail "kubectl cannot read the JobSet: $answer"
}

if [[ "$(ended)" == Failed* ]]; then
  say "the JobSet failed before; it is begun anew"
  kubectl delete jobset "$NAME"
fi
kubectl apply -f - <<<"$manifest" >&2
before=""
while true; do
  now=$(ended)
  if [ "$now" != "$before" ]; then
    say "$now"
    before=$now
  fi
  case "$now" in
    Completed*) exit 0 ;;
    Failed*)
      kubectl logs --tail=15 -l "jobset.sigs.k8s.io/jobset-name=$NAME" || true
      exit 1
      ;;
    NONE) fail "the JobSet was deleted" ;;
  esac
  sleep "$POLL_SECONDS"
done
