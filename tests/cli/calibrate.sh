# SPDX-License-Identifier: Apache-2.0
# Calibrated quantization as a whole: the same bytes for every number of threads, with states in memory and on disk, and after kills at 10 moments; what
# pare.json and --dry-run say; what has no effect, and what cannot be done.
. "$SRC/tests/cli/lib.sh" || exit 1
sanitized && skip "fifteen whole runs take too long there; unit/model/calibrate runs the same code under the sanitizer"
seq 1 4096 | awk '{ printf "%s%d", NR == 1 ? "[" : ",", ($1 * 7919 + int($1 / 7) * 31) % 900 + 3 } END { print "]" }' >ids.json
method=${METHOD:-awq}
run() { "$PARE" quantize "$DEMO" -o "$@" --method "$method" --scheme W4A16:g32 --calibration ids.json --samples 8 --seq-len 64 --quiet; }

begin=$(date +%s%N)
run whole --threads 1 >/dev/null || fail "calibrated run"
ms=$((($(date +%s%N) - begin) / 1000000 + 1))
want=$(tree_hash whole)
[ ! -e whole/.work ] || fail "the work folder was left"
run two --threads 2 >/dev/null || fail "two threads"
same "$(tree_hash two)" "$want" "two threads"
run disk --threads 2 --memory 1MB >/dev/null 2>&1 || fail "states on disk"
same "$(tree_hash disk)" "$want" "states on disk"

killed=0 resumed=0
for i in $(seq 1 10); do
    rm -rf out out.partial
    timeout -s KILL "$(awk -v i="$i" -v ms="$ms" 'BEGIN { printf "%.4f", (1 + (i * 7) % 10) / 10 * ms / 1000 }')" "$PARE" quantize "$DEMO" -o out --method "$method" \
        --scheme W4A16:g32 --calibration ids.json --samples 8 --seq-len 64 --quiet >/dev/null 2>&1
    if [ ! -e out ]; then
        killed=$((killed + 1))
        [ -n "$(ls out.partial/.work 2>/dev/null)" ] && resumed=$((resumed + 1))
        run out --resume >/dev/null || fail "resume after kill $i"
    fi
    same "$(tree_hash out)" "$want" "run $i"
    [ ! -e out.partial ] || fail "out.partial was left"
done
[ "$resumed" -gt 3 ] || fail "only $resumed of $killed killed runs had layers to go on with"
echo "killed $killed of 10, $resumed of them with finished layers"

# other windows are another plan
mkdir -p other.partial
timeout -s KILL "$(awk -v ms="$ms" 'BEGIN { printf "%.4f", ms / 2000 }')" "$PARE" quantize "$DEMO" -o other --method "$method" --scheme W4A16:g32 \
    --calibration ids.json --samples 8 --seq-len 64 --quiet >/dev/null 2>&1
[ -s other.partial/.pare-journal ] && expect_error 1 "other options" "$PARE" quantize "$DEMO" -o other --method "$method" --scheme W4A16:g32 --calibration ids.json --samples 7 \
    --seq-len 64 --quiet --resume

# what is recorded, and what is said before
[ "$(json whole/pare.json windows)" = 8 ] || fail "windows in pare.json"
[ "$(json whole/pare.json seq_len)" = 64 ] || fail "seq_len in pare.json"
grep -q '"calibration_rows": 512' whole/pare.json || fail "rows of a layer in pare.json"
"$PARE" quantize "$DEMO" -o none --method "$method" --scheme W4A16:g32 --calibration ids.json --samples 8 --seq-len 64 --dry-run >stdout 2>stderr || fail "dry run"
grep -q '^pare: calibration on ids.json, 8 windows of 64 tokens.* of memory (block .* of disk meanwhile, about ' stderr || { cat stderr; fail "no pre-flight line"; }
"$PARE" quantize "$DEMO" -o none --method "$method" --scheme W4A16:g32 --calibration ids.json --dry-run --json 2>/dev/null | grep -q '"expected_seconds": ' || fail "no expectation in JSON"

# no effect; impossible
"$PARE" quantize "$DEMO" -o rtn --scheme W4A16:g32 --calibration ids.json >/dev/null 2>stderr || fail "rtn with a text"
grep -q 'warning: --calibration, .* no effect' stderr || fail "no warning that a text has no effect"
expect_error 1 "no-such-file" "$PARE" quantize "$DEMO" -o none --method "$method" --calibration no-such-file --quiet
mkdir strange && cp "$DEMO"/*.safetensors strange/ && sed 's/"model_type": *"[a-z0-9]*"/"model_type": "strange"/' "$DEMO/config.json" >strange/config.json
expect_error 1 "looks at activations, and this model cannot be run" "$PARE" quantize strange -o none --method "$method" --scheme W4A16:g32 --calibration ids.json --quiet
grep -q '^hint: methods without data: .*rtn' stderr || fail "no methods without data named"

# method by rule: the layers of other methods are rounded at their place in the walk
printf '{"rules": [{"match": "re:.*down_proj.*", "method": "rtn", "scheme": "W8A16"}]}' >mixed.json
run mixed --recipe mixed.json >/dev/null || fail "two methods"
grep -q '"method": "rtn"' mixed/pare.json && grep -q "\"method\": \"$method\"" mixed/pare.json || fail "both methods in pare.json"
