# SPDX-License-Identifier: Apache-2.0
# Helpers for the scripts beside it: . "$SRC/tests/cli/lib.sh"
set -u
DEMO=$SRC/models/demo
MODELS=${PARE_MODELS:-$SRC/../shared/models}

# Is this the build under AddressSanitizer? It takes ten times as long: scripts do less of the same there.
sanitized() { grep -qs 'PARE_SANITIZE:BOOL=ON' "$(dirname "$PARE")/CMakeCache.txt"; }
# fontconfig keeps a fixed cache for the life of the process, which LeakSanitizer reports: for scripts that draw pictures.
quiet_fontconfig() {
    echo 'leak:libfontconfig' >lsan.supp
    export LSAN_OPTIONS="suppressions=$PWD/lsan.supp:print_suppressions=0"
}

fail() { echo "FAIL: $*" >&2; exit 1; }
skip() { echo "skipped: $*"; exit 77; }

# expect STATUS COMMAND...: runs it, output in ./stdout and ./stderr
expect() {
    expected_status=$1; shift
    "$@" >stdout 2>stderr
    got=$?
    [ "$got" -eq "$expected_status" ] || { cat stdout stderr >&2; fail "exit $got, expected $expected_status: $*"; }
}
# The error contract: one "pare: error:" line, at most one hint, nothing else but warnings.
expect_error() {
    status=$1; text=$2; shift 2
    expect "$status" "$@"
    [ "$(grep -c '^pare: error: ' stderr)" -eq 1 ] || { cat stderr >&2; fail "not one error line: $*"; }
    [ "$(grep -vc -e '^pare: error: ' -e '^hint: ' -e '^pare: warning: ' stderr)" -eq 0 ] || { cat stderr >&2; fail "other lines on stderr: $*"; }
    [ "$(grep -c '^hint: ' stderr)" -le 1 ] || fail "more than one hint: $*"
    grep -qF -- "$text" stderr || { cat stderr >&2; fail "error does not say '$text': $*"; }
}
# json FILE KEY: first number or word behind "KEY":
json() { sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" "$1" | head -n 1; }
# tree_hash FOLDER: one hash over names and contents
tree_hash() { (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum) | sha256sum | cut -d' ' -f1; }
same() { [ "$1" = "$2" ] || fail "$3: '$1' is not '$2'"; }
