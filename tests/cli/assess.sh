# SPDX-License-Identifier: Apache-2.0
# quantize --evaluate and compare-methods: the same numbers as quantize and eval one after the other, kept in pare.json; nothing left behind.
. "$SRC/tests/cli/lib.sh" || exit 1
quiet_fontconfig
TEXT=$DEMO/heldout.txt

# by hand
"$PARE" quantize "$DEMO" -o hand --scheme W4A16:g64 --quiet >/dev/null 2>&1 || fail "quantize"
expect 0 "$PARE" eval hand --text "$TEXT" --ctx 256 --windows 4 --against "$DEMO" --json
cp stdout hand.json
# in one go
expect 0 "$PARE" quantize "$DEMO" -o once --scheme W4A16:g64 --evaluate "$TEXT" --ctx 256 --windows 4 --json
for key in perplexity perplexity_ref kl_mean kl_p99 top1_agreement tokens; do
    same "$(json stdout $key)" "$(json hand.json $key)" "$key of --evaluate"
    same "$(json once/pare.json $key)" "$(json hand.json $key)" "$key in pare.json"
done
awk -v a="$(json stdout decode_tokens_per_s)" -v b="$(json stdout decode_tokens_per_s_before)" 'BEGIN { exit !(a > 0 && b > 0) }' || fail "no speed"
same "$(json stdout bytes_after)" "$(json stdout output_bytes)" "bytes after"
cmp -s hand/model.safetensors once/model.safetensors || fail "--evaluate changed the weights"

# a finished folder is evaluated again, and the record is replaced, not doubled
expect 0 "$PARE" quantize "$DEMO" -o once --scheme W4A16:g64 --resume --evaluate "$TEXT" --ctx 128 --windows 2 --no-speed
grep -q "same top token" stdout || fail "no table"
same "$(grep -c '"evaluation"' once/pare.json)" 1 "records"
same "$(json once/pare.json tokens)" 254 "tokens of the second record"

# known before the work begins: no text, no tokenizer
expect_error 1 "nowhere.txt" "$PARE" quantize "$DEMO" -o never --evaluate nowhere.txt
[ ! -e never ] || fail "OUT was made although the text is missing"
mkdir bare && cp "$DEMO/config.json" "$DEMO/model.safetensors" bare
expect_error 2 "no tokenizer" "$PARE" quantize bare -o never --evaluate "$TEXT"
[ ! -e never ] || fail "OUT was made although the model has no tokenizer"

# a table of several ways
TMPDIR=$PWD/tmp && mkdir tmp && export TMPDIR
expect 0 "$PARE" compare-methods "$DEMO" --text "$TEXT" --ctx 256 --windows 4 --methods rtn,rtn:clip=mse,rtn@W8A16 --bits 4,2 --group-size 64 --no-speed --plot p.svg --json
same "$(grep -c '"method"' stdout)" 6 "rows: the original, two ways at two widths, one with a scheme of its own"
grep -q "$(json hand.json kl_mean)" stdout || fail "KL of rtn W4A16:g64 is not that of eval"
grep -q "rtn:clip=mse" p.svg || fail "no such line in the picture"
[ -z "$(ls tmp)" ] || fail "left behind: $(ls tmp)"
expect 0 "$PARE" compare-methods "$DEMO" --text "$TEXT" --ctx 256 --windows 2 --methods rtn --bits 4 --no-speed -o kept
[ -f kept/rtn-W4A16/pare.json ] || fail "-o keeps nothing"
expect_error 2 "no such method" "$PARE" compare-methods "$DEMO" --text "$TEXT" --methods rtn,nonsense
expect_error 2 "KEY=VALUE" "$PARE" compare-methods "$DEMO" --text "$TEXT" --methods rtn:clip
expect_error 2 "--bits" "$PARE" compare-methods "$DEMO" --text "$TEXT" --bits 4,x
# what a method cannot do is a row that says why
expect 0 "$PARE" compare-methods "$DEMO" --text "$TEXT" --ctx 256 --windows 2 --methods rtn --bits 3 --format awq --no-speed
grep -q "AWQ stores integers of 4 bits" stdout || fail "no row for what awq cannot store"
