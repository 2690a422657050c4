# shellcheck shell=bash
# Flags and settings of all scripts here: --dry_run, --settings=FILE. Source it first.

set -euo pipefail

# A sourcing script describes itself in the comment at its top, which is its --help.
dry_run=false
settings="$(dirname "${BASH_SOURCE[0]}")/settings.sh"
for flag in "$@"; do
  case "$flag" in
    --dry_run) dry_run=true ;;
    --settings=*) settings="${flag#*=}" ;;
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *)
      if ! declare -F own_flag >/dev/null || ! own_flag "$flag"; then
        echo "error: $(basename "$0") has no flag $flag; see --help" >&2
        exit 2
      fi
      ;;
  esac
done
if [ ! -r "$settings" ]; then
  echo "error: there is no settings file $settings" >&2
  exit 2
fi
# shellcheck source=settings.sh
. "$settings"

# say TEXT: what happens, with the time.
say() { echo "$(date +%H:%M:%S) $NAME: $*" >&2; }

# fail TEXT: one clear message, and the end.
fail() {
  echo "error: $*" >&2
  exit 2
}

# do_it COMMAND...: runs it; a dry run prints it instead.
do_it() {
  if "$dry_run"; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

# needs PROGRAM: it is here, or nothing is going to be run.
needs() {
  "$dry_run" || command -v "$1" >/dev/null || fail "there is no $1 on PATH; $2"
}

[[ "$NAME" =~ ^[a-z]([-a-z0-9]{0,40}[a-z0-9])?$ ]] \
  || fail "NAME=$NAME: use lower-case letters, digits and hyphens, beginning with a letter"
