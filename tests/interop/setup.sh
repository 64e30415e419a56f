#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes (or reuses) the Python environment of the interoperability tests, outside the source tree, and prints its path.
# PARE_INTEROP_VENV chooses the folder; PARE_INTEROP_PYTHON the interpreter (3.11 or newer); PARE_INTEROP_TORCH other
# arguments for installing torch, e.g. "torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu".
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${PARE_INTEROP_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/pare/interop-venv}
python=${PARE_INTEROP_PYTHON:-python3}
torch=${PARE_INTEROP_TORCH:-$(grep '^torch==' "$here/requirements.txt")}

key=$({ cat "$here/requirements.txt" "$here/optional.txt"; echo "$torch"; "$python" -V; } | cksum | tr ' ' -)
if [ -f "$venv/pare-key" ] && [ "$(cat "$venv/pare-key")" = "$key" ] && "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    echo "$venv"
    exit 0
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup.sh: $python is older than 3.11 (set PARE_INTEROP_PYTHON)" >&2; exit 1; }

say() { echo "setup.sh: $*" >&2; }
say "making $venv (a few minutes, about 1.5 GB; only the first time)"
if [ -e "$venv" ]; then
    # A folder that this script did not make is somebody's own: never clear it.
    [ -f "$venv/pare-venv" ] || { say "$venv exists and was not made by this script; set PARE_INTEROP_VENV"; exit 1; }
    rm -f "$venv/pare-key"
fi
"$python" -m venv --clear "$venv"
: >"$venv/pare-venv"
pip="nice $venv/bin/pip --disable-pip-version-check"
# shellcheck disable=SC2086  # words on purpose
$pip install -q $torch >&2
grep -v '^torch==' "$here/requirements.txt" >"$venv/needed.txt"
# shellcheck disable=SC2086
$pip install -q --no-deps -r "$venv/needed.txt" >&2
: >"$venv/pare-missing"
grep -v '^#' "$here/optional.txt" | while read -r group; do
    # shellcheck disable=SC2086
    if ! $pip install -q --no-deps $group >"$venv/pip.log" 2>&1; then
        why=$(grep -i error "$venv/pip.log" | tail -n 1)
        say "not to be had here: $group (${why:-see pip})"
        echo "${group%%==*}: ${why:-pip install failed}" >>"$venv/pare-missing"
    fi
done
echo "$key" >"$venv/pare-key"
echo "$venv"
