# SPDX-License-Identifier: Apache-2.0
# Exit codes, error lines, nearest matches, help.
. "$SRC/tests/cli/lib.sh" || exit 1
expect 0 "$PARE" --version
grep -qE '^pare [0-9]+\.[0-9]+\.[0-9]+$' stdout || fail "version"
expect 0 "$PARE" --help
for c in inspect estimate quantize dequantize convert compare tensor sweep analyze compare-methods run eval bench lesson list help; do
    grep -q "^  $c " stdout || fail "--help does not list $c"
    "$PARE" "$c" --help >help.txt || fail "$c --help"
    "$PARE" help "$c" | cmp -s - help.txt || fail "help $c differs from $c --help"
done
expect 2 "$PARE"
expect_error 2 "unknown command 'quantise'" "$PARE" quantise
grep -q "did you mean 'pare quantize'" stderr || fail "nearest command"
expect_error 2 "unknown flag --bit" "$PARE" quantize x -o y --bit 4
grep -q -- "did you mean --bits" stderr || fail "nearest flag"
expect_error 2 "needs -o OUT" "$PARE" quantize "$DEMO"
expect_error 2 "--bits" "$PARE" quantize "$DEMO" -o out --bits 9
expect_error 2 "--symmetric and --asymmetric" "$PARE" quantize "$DEMO" -o out --symmetric --asymmetric
expect_error 2 "unknown method" "$PARE" quantize "$DEMO" -o out --method magic
expect_error 2 "is unknown" "$PARE" quantize "$DEMO" -o out --format magic
expect_error 2 "W9A9" "$PARE" quantize "$DEMO" -o out --scheme W9A9
expect_error 2 "--memory" "$PARE" quantize "$DEMO" -o out --memory lots
expect_error 2 "isa" "$PARE" inspect "$DEMO" --isa quantum
expect_error 1 "no such file or folder" "$PARE" inspect nowhere
expect_error 1 "no such file or folder" "$PARE" inspect owner/name
[ ! -e out ] && [ ! -e out.partial ] || fail "a refused run left something"
for what in schemes methods quantizers formats layouts archs kernels ops tokenizers dtypes options support; do
    expect 0 "$PARE" list $what
    [ -s stdout ] || fail "list $what is empty"
    expect 0 "$PARE" list $what --json
    head -c 1 stdout | grep -q '\[' || fail "list $what --json is not an array"
done
expect_error 2 "there is no registry" "$PARE" list wishes
for shell in bash zsh fish; do expect 0 "$PARE" help --completion $shell; done
bash -n <("$PARE" help --completion bash) || fail "bash completion does not parse"
expect 0 "$PARE" help --man
# a full stdout is an error
if [ -w /dev/full ]; then
    "$PARE" --help >/dev/full 2>stderr && fail "a full stdout went unnoticed"
fi
exit 0
