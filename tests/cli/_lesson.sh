# SPDX-License-Identifier: Apache-2.0
# Helpers of the lesson scripts: output without blanks and line ends, so that a matrix can be looked for in one piece.
. "$SRC/tests/cli/lib.sh" || exit 1
# Cairo's font library keeps its caches until the process ends.
quiet_fontconfig

# lesson N: runs it, both ways; says and json_says look at what it printed
lesson() {
    N=$1
    expect 0 "$PARE" lesson "$N" --json
    tr -d ' \n' <stdout >flat.json
    expect 0 "$PARE" lesson "$N"
    tr -d ' \n' <stdout >flat.txt
    cp stdout text.txt
}
says() { for words in "$@"; do grep -qF -- "$(printf %s "$words" | tr -d ' \n')" flat.txt || fail "lesson $N does not say: $words"; done; }
json_says() { for words in "$@"; do grep -qF -- "$(printf %s "$words" | tr -d ' \n')" flat.json || fail "lesson $N --json does not say: $words"; done; }
# count N WORDS: the text holds WORDS on exactly N lines
count() { [ "$(grep -cF -- "$2" text.txt)" -eq "$1" ] || fail "lesson $N: '$2' is not on $1 lines"; }
