#!/usr/bin/env bash
# Gives the TPU back: the queued resource and its nodes. Nothing on gs:// is touched.
#
#   tpu_scripts/delete.sh [--dry_run] [--settings=FILE]

. "$(dirname "$0")/flags.sh"
. "$(dirname "$0")/queued_resource.sh"

if ! "$dry_run" && [ "$(state)" = NONE ]; then
  say "there is nothing to delete"
  exit 0
fi
remove
say "deleted"
