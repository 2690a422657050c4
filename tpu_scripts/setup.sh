#!/usr/bin/env bash
# Installs jaxllm on all workers, at a git revision or from a wheel.
#
#   tpu_scripts/setup.sh [--dry_run] [--settings=FILE]
#
# A worker that has exactly this already is left as it is, so it can be given again at any time.

. "$(dirname "$0")/flags.sh"
. "$(dirname "$0")/queued_resource.sh"

here=$(cd "$(dirname "$0")/.." && pwd)

if [ -n "$WHEEL" ]; then
  "$dry_run" || [ -r "$WHEEL" ] || fail "there is no wheel $WHEEL; uv build --wheel makes one"
  file=$(basename "$WHEEL")
  sum=$(sha256sum "$WHEEL" 2>/dev/null | cut -d ' ' -f 1 || true)
  version="$file $sum"
  for node in $(nodes); do
    do_it gcloud compute tpus tpu-vm ssh "$node" "${where[@]}" --worker=all --quiet \
      --command='mkdir -p ~/jaxllm'
    do_it gcloud compute tpus tpu-vm scp --recurse "$WHEEL" "$here/configs" "$node:jaxllm/" \
      "${where[@]}" --worker=all --quiet
  done
  source_steps=":"
  what="--force-reinstall $(printf '%q' "./${file}[$EXTRAS]")"
else
  [ -n "$REVISION" ] || REVISION=$(git -C "$here" rev-parse HEAD)
  [ -n "$REPOSITORY" ] || REPOSITORY=$(git -C "$here" remote get-url origin 2>/dev/null) \
    || fail "this checkout has no origin: set REPOSITORY, or WHEEL to a wheel built here"
  version="$REPOSITORY $REVISION"
  printf -v source_steps '%s\n' \
    "[ -d .git ] || git init -q" \
    "git fetch -q --depth 1 $(printf '%q %q' "$REPOSITORY" "$REVISION")" \
    "git checkout -q --force --detach FETCH_HEAD"
  what="-e $(printf '%q' ".[$EXTRAS]")"
fi

# The stamp is written last: a worker that was cut off installs again.
steps="set -euo pipefail
mkdir -p ~/jaxllm/logs && cd ~/jaxllm
wanted=$(printf '%q' "$version $EXTRAS $PYTHON_VERSION")
if [ \"\$(cat .installed 2>/dev/null)\" = \"\$wanted\" ]; then echo \"\$(hostname): set up already\"; exit 0; fi
rm -f .installed
export PATH=\"\$HOME/.local/bin:\$PATH\"
command -v tmux >/dev/null || sudo apt-get install -y -q tmux
command -v uv >/dev/null || python3 -m pip install -q --user uv
$source_steps
[ -x .venv/bin/python ] || uv venv -q --python $PYTHON_VERSION .venv
uv pip install -q --python .venv/bin/python $what
echo \"\$wanted\" > .installed
echo \"\$(hostname): set up\""

say "setting up ${version}"
on_workers "$steps"
