#!/usr/bin/env bash
# Runs COMMAND of the settings on all workers until it is done, whatever is preempted meanwhile.
#
#   tpu_scripts/run.sh [--dry_run] [--settings=FILE]
#
# Makes the TPU (create.sh), installs jaxllm (setup.sh) and starts the command in tmux on every
# worker, with a log in ~/jaxllm/logs there. Then it looks every POLL_SECONDS: a TPU that was taken
# away is made anew and the command started again, which goes on from its last checkpoint. This
# script itself may be killed and given again: what runs is left running.
#
# exit status: 0 the command ended with 0 on all workers; else what it ended with.

. "$(dirname "$0")/flags.sh"
. "$(dirname "$0")/queued_resource.sh"

scripts=$(dirname "$0")
flags=(--settings="$settings")
if "$dry_run"; then flags+=(--dry_run); fi
export NAME COMMAND

# A worker that runs, or has run, this very command is left alone, unless it is to be started anew.
# start FORCE: on all workers.
start() {
  on_workers "set -eu
cd ~/jaxllm && mkdir -p logs
wanted=$(printf '%q' "$COMMAND")
same=\$([ \"\$(cat logs/$NAME.command 2>/dev/null)\" = \"\$wanted\" ] && echo yes || echo no)
if [ \$same = yes ] && [ $1 = no ] && { tmux has-session -t $NAME 2>/dev/null || [ -e logs/$NAME.status ]; }; then exit 0; fi
tmux kill-session -t $NAME 2>/dev/null || true
rm -f logs/$NAME.status
echo \"\$wanted\" > logs/$NAME.command
cat > logs/$NAME.sh <<'END'
cd ~/jaxllm
export PATH=\"\$HOME/jaxllm/.venv/bin:\$PATH\"
echo \"== \$(date) \$(hostname)\" >> logs/$NAME.log
(
$COMMAND
) >> logs/$NAME.log 2>&1
echo \$? > logs/$NAME.status.partial
mv logs/$NAME.status.partial logs/$NAME.status
END
tmux new-session -d -s $NAME \"bash logs/$NAME.sh\"
echo \"\$(hostname): started\""
}

# look: one line for each worker: running, gone (no process and no status), or its exit status.
look() {
  on_workers "cd ~/jaxllm 2>/dev/null || { echo worker: gone; exit 0; }
if [ -e logs/$NAME.status ]; then echo worker: exit \$(cat logs/$NAME.status)
elif tmux has-session -t $NAME 2>/dev/null; then echo worker: running
else echo worker: gone; fi"
}

log_ends() {
  on_workers "echo \"== \$(hostname)\"; tail -n 15 ~/jaxllm/logs/$NAME.log" || true
}

restarts=0
# again REASON: counts a new start.
again() {
  restarts=$((restarts + 1))
  [ "$restarts" -le "$MAX_RESTARTS" ] || fail "gave up after $MAX_RESTARTS restarts: $1"
  say "$1: starting again ($restarts of $MAX_RESTARTS)"
}

# A machine may be taken away at any moment, so any of these steps may fail and is then looked into.
begin() {
  "$scripts/create.sh" "${flags[@]}" && "$scripts/setup.sh" "${flags[@]}" && start "$1"
}

if "$dry_run"; then
  begin no
  look
  say "then every $POLL_SECONDS s the same look, until all workers ended with 0"
  exit 0
fi

# persist FORCE: begins, and begins again where a machine went meanwhile.
persist() {
  local status
  until begin "$1"; do
    status=$?
    [ "$status" != 2 ] || exit 2 # what only the user can mend, and was told
    again "the TPU could not be set up"
    sleep "$POLL_SECONDS"
  done
  say "running on $(nodes | tr '\n' ' ')"
}

# With --worker=all, gcloud fails where one worker does not answer.
silent=0
persist no
while true; do
  sleep "$POLL_SECONDS"
  now=$(state)
  machines=$(node_states | sort -u | tr '\n' ' ')
  if [ "$now" != ACTIVE ] || [[ "$machines" =~ PREEMPTED|TERMINATED|STOPPED|GONE ]]; then
    again "taken away (queued resource $now, nodes $machines)"
    [ "$now" != ACTIVE ] || remove
    persist yes
    continue
  fi
  if ! seen=$(look 2>/dev/null); then
    silent=$((silent + 1))
    say "the workers do not answer ($silent of 5)"
    if [ "$silent" = 5 ]; then
      again "the workers are silent"
      remove
      persist yes
      silent=0
    fi
    continue
  fi
  silent=0
  failed=$(sed -n 's/^worker: exit \([1-9][0-9]*\)$/\1/p' <<<"$seen" | sort -n | tail -n 1)
  if [ -n "$failed" ]; then
    say "a worker ended with $failed"
    log_ends
    # 2 is a mistake in the command or its config: the same again would end the same.
    [ "$failed" != 2 ] || exit 2
    again "exit $failed"
    persist yes
  elif grep -q '^worker: gone$' <<<"$seen"; then
    again "a worker lost its process"
    persist yes
  elif ! grep -q '^worker: running$' <<<"$seen"; then
    say "done"
    exit 0
  fi
done
