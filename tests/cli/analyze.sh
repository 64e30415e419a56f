# SPDX-License-Identifier: Apache-2.0
# pare analyze: errors fall with bits, the measured loss of one layer is that of quantizing it alone, bad calibration is named with its evidence.
. "$SRC/tests/cli/lib.sh" || exit 1
quiet_fontconfig
TEXT=$DEMO/heldout.txt
LAYER=model.layers.2.mlp.down_proj.weight

expect 0 "$PARE" analyze "$DEMO" --bits 8,4,3,2 --group-size 64 --calibration "$TEXT" --samples 8 --seq-len 128 --json --plot pictures
same "$(grep -c '"name"' stdout)" 28 "layers"
same "$(json stdout tokens)" 1024 "tokens"
# every layer: 8 < 4 < 3 < 2 bits
awk '/"error_rtn_w8"/ { a = $2 + 0 } /"error_rtn_w4"/ { b = $2 + 0 } /"error_rtn_w3"/ { c = $2 + 0 }
     /"error_rtn_w2"/ { d = $2 + 0; n++; if (!(a > 0 && a < b && b < c && c < d && d < 1)) { print a, b, c, d; bad = 1 } } END { exit bad || n != 28 }' stdout || fail "errors do not rise as bits fall"
for picture in weight_ratio input_ratio error_rtn_w2; do
    [ "$(grep -c "mlp.down_proj" pictures/$picture.svg)" -ge 1 ] || fail "$picture.svg has no line of down_proj"
done
cp stdout one.json
expect 0 "$PARE" analyze "$DEMO" --bits 8,4,3,2 --group-size 64 --calibration "$TEXT" --samples 8 --seq-len 128 --json --threads 1
cmp -s stdout one.json || fail "another number of threads gives other numbers"

# one layer measured = one layer quantized and evaluated
expect 0 "$PARE" analyze "$DEMO" --bits 2 --group-size 64 --calibration "$TEXT" --samples 4 --seq-len 128 --measure --text "$TEXT" --ctx 256 --windows 2 --json
kl=$(grep -A 14 "\"$LAYER\"" stdout | sed -n 's/^ *"kl_mean": \([-0-9.e+]*\),\{0,1\}$/\1/p')
"$PARE" quantize "$DEMO" -o alone --bits 2 --granularity group --group-size 64 --scale-dtype f16 --only "$LAYER" --quiet >/dev/null 2>&1 || fail "quantize one layer"
expect 0 "$PARE" eval alone --text "$TEXT" --ctx 256 --windows 2 --against "$DEMO" --json
awk -v a="$kl" -v b="$(json stdout kl_mean)" 'BEGIN { exit !(b > 0 && a > 0.97 * b && a < 1.03 * b) }' || fail "measured KL $kl, quantized alone $(json stdout kl_mean)"

# pitfalls
expect 0 "$PARE" analyze "$DEMO" --bits 4 --samples 2 --seq-len 64
grep -q "calibration text that the model does not know" stdout || fail "the bundled text is foreign to the demo model, and nothing says so"
grep -q "128 tokens for a layer of 768 input channels" stdout || fail "too little calibration is not named"
yes 'and ' | head -c 8000 | tr -d '\n' >same.txt
expect 0 "$PARE" analyze "$DEMO" --bits 4 --calibration same.txt --samples 4 --seq-len 256
grep -q "monotonous calibration" stdout || fail "a text of one word is not named"

expect_error 2 "--measure" "$PARE" analyze "$DEMO" --measure
expect_error 2 "no method 'nonsense'" "$PARE" analyze "$DEMO" --methods nonsense
: >empty.txt
expect_error 1 "empty.txt: 0 tokens" "$PARE" analyze "$DEMO" --calibration empty.txt
