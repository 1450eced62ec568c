#!/bin/sh
# Installs the lock file $2 into the virtual environment $1, naming each package as it comes instead of all that pip says.
set -eu
venv=$1
lock=$2
failed="$venv/install-failed"

echo "Installing what $lock names"
rm -f "$failed"
# A pipe has the exit status of its last command, so pip leaves word of its own.
{ "$venv/bin/python" -m pip install --require-hashes --progress-bar off -r "$lock" || : >"$failed"; } |
    while read -r verb subject _; do
        case $verb in
        Collecting) printf '  %s\n' "$subject" ;;
        Installing) echo "  unpacking" ;;
        esac
    done
test ! -e "$failed"
