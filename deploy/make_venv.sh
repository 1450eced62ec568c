#!/bin/sh
# Makes the virtual environment named by $1 with a suitable Python: $PYTHON, or else the first one in PATH that really runs.
# Does nothing when a usable one is there; $1/made-for says for which directory it was made.
set -eu
venv=$1
wanted="Python 3.11 to 3.14"

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

# Prints version and executable, or fails: a pyenv shim may be there and start nothing. Inside a virtual environment
# the Python below it counts, since that environment may be the one to be replaced.
inspect() {
    "$1" -c '
import os, sys
if not (3, 11) <= sys.version_info < (3, 15):
    sys.exit(1)
outside = sys.prefix == sys.base_prefix
print("%d.%d" % sys.version_info[:2], sys.executable if outside else os.path.realpath(sys.executable))
' 2>/dev/null
}

can_make_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# True when $venv runs, lies where it was made (its scripts hold that path), and rests on $PYTHON if that is given.
is_usable() {
    [ "$(cat "$venv/made-for" 2>/dev/null)" = "$(pwd -P)" ] || return 1
    inspect "$venv/bin/python" >/dev/null || return 1
    [ -n "${PYTHON:-}" ] || return 0
    given=$(inspect "$PYTHON") || return 1
    [ "$venv/bin/python" -ef "${given#* }" ]
}

# Prints what inspect says of the best candidate: one that can make environments goes before one that cannot.
find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3.13 python3.12 python3.11 python3.14 python3; fi
    incomplete=
    for candidate in "$@"; do
        found=$(inspect "$candidate") || continue
        if can_make_venv "${found#* }"; then
            printf '%s\n' "$found"
            return
        fi
        incomplete=${incomplete:-$found}
    done
    printf '%s\n' "$incomplete"
}

# Debian and Ubuntu keep the module ensurepip in a package of its own.
install_venv_package() {
    echo "Installing $1: without it this Python cannot make a virtual environment"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y --no-install-recommends "$1" >/dev/null 2>&1 && return
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "$1" >/dev/null
}

if is_usable; then exit 0; fi

found=$(find_python)
if [ -z "$found" ]; then
    [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON does not run, or is not $wanted."
    fail "$wanted is needed, and none was found in PATH." \
        "Install one, or name one: make PYTHON=/path/to/python …"
fi
version=${found%% *}
python=${found#* }
echo "Using Python $version ($python)"

if ! can_make_venv "$python"; then
    package="python$version-venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then install_venv_package "$package"; fi
    can_make_venv "$python" || fail \
        "This Python cannot make a virtual environment: its module ensurepip is missing." \
        "On Debian and Ubuntu: apt-get install $package (as root). Or name another: make PYTHON=/path/to/python …"
fi

echo "Making $venv"
rm -rf "$venv"
"$python" -m venv "$venv"
pwd -P >"$venv/made-for"
