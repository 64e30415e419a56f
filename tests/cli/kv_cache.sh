# SPDX-License-Identifier: Apache-2.0
# Scales of the key/value cache: measured, written, shown, read back and used; with weights as they are and with calibrated ones; who refuses.
. "$SRC/tests/cli/lib.sh" || exit 1
seq 1 4096 | awk '{ printf "%s%d", NR == 1 ? "[" : ",", ($1 * 7919 + int($1 / 7) * 31) % 900 + 3 } END { print "]" }' >ids.json
run() { "$PARE" quantize "$DEMO" -o "$@" --calibration ids.json --samples 8 --seq-len 64 --quiet; }
kl() { "$PARE" eval "$@" --text "$DEMO/heldout.txt" --ctx 256 --windows 2 --json | sed -n 's/^ *"kl_mean": \([^,]*\),\{0,1\}$/\1/p'; }
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= 0 && a < b) }' || fail "$3: $1 is not below $2"; }

# weights as they are
methods='rtn gptq awq smoothquant'
sanitized && methods=awq # the rest is the same code, and takes ten times as long there
for kind in fp8 int8 int8:scales=head fp8:range=percentile,percentile=99.9,scales=head; do
    name=$(echo "$kind" | tr ':=,' '___')
    run "$name" --scheme none --kv-cache "$kind" --threads 1 >/dev/null || fail "$kind"
    run two --scheme none --kv-cache "$kind" --threads 2 --overwrite >/dev/null || fail "$kind, two threads"
    same "$(tree_hash two)" "$(tree_hash "$name")" "$kind, two threads"
    below "$(kl "$name" --against "$DEMO")" 0.01 "KL of $kind"
    [ "$(kl "$name" --kv-dtype f32 --against "$DEMO")" = 0 ] || fail "$kind: weights have changed"
    [ "$(kl "$name" --against "$DEMO")" != 0 ] || fail "$kind: the cache is in float"
    "$PARE" inspect "$name" --tensors >listing || fail "inspect"
    [ "$(grep -c 'self_attn\.[kv]_scale ' listing)" -eq 8 ] || fail "$kind: not 8 scales"
done
grep -q 'int8, static scales' listing && fail "float8 shown as int8"
grep -q 'key/value cache: float8, static scales' listing || { cat listing; fail "inspect does not show the cache"; }
"$PARE" inspect int8 --json | grep -q '"kv_cache": "int8"' || fail "inspect --json"
grep -q '"strategy": "attn_head"' int8_scales_head/config.json || fail "strategy in config.json"
grep -A8 '"kv_cache_scheme"' int8/config.json | grep -q '"type": "int"' || fail "kv_cache_scheme in config.json"
grep -q '"action": "add"' int8/pare.json || fail "pare.json lists no added tensors"
below "$(kl int8 --kv-dtype i8 --against int8)" 1e-9 "i8 that is asked for is the checkpoint's"

# beside quantized weights; folds change the values that are cached
for method in $methods; do
    scheme=W4A16:g32; [ $method = smoothquant ] && scheme=W8A8:static
    run $method --method $method --scheme $scheme --kv-cache int8:scales=head >/dev/null || fail "$method with a cache"
    run $method.plain --method $method --scheme $scheme >/dev/null || fail "$method"
    below "$(kl $method --kv-dtype f32 --against $method.plain)" 1e-6 "$method: the same weights"
    below "$(kl $method --against $method.plain)" 0.005 "$method: what the cache costs"
done

# killed in the middle and resumed
begin=$(date +%s%N)
run whole --method gptq --scheme W4A16:g32 --kv-cache int8 >/dev/null || fail "gptq with a cache"
ms=$((($(date +%s%N) - begin) / 1000000 + 1))
for part in 0.5 0.9; do
    rm -rf out out.partial
    timeout -s KILL "$(awk -v p=$part -v ms="$ms" 'BEGIN { printf "%.4f", p * ms / 1000 }')" "$PARE" quantize "$DEMO" -o out --method gptq --scheme W4A16:g32 --kv-cache int8 \
        --calibration ids.json --samples 8 --seq-len 64 --quiet >/dev/null 2>&1
    [ -e out ] || run out --method gptq --scheme W4A16:g32 --kv-cache int8 --resume >/dev/null || fail "resume after $part"
    same "$(tree_hash out)" "$(tree_hash whole)" "killed after $part"
done

# plan; scales go when the configuration that explains them goes
run plan --scheme none --kv-cache fp8 --dry-run >stdout || fail "dry run"
grep -q 'layers.3.self_attn.v_scale.* add .*values in the cache: float8, range minmax' stdout || { cat stdout; fail "the plan does not show the scales"; }
expect 0 "$PARE" dequantize awq -o back --dtype bf16 --quiet
"$PARE" inspect back --tensors | grep -q '[kv]_scale' && fail "scales without a configuration"

# refusals
expect_error 2 "format gptq has no place for scales of a key/value cache" "$PARE" quantize "$DEMO" -o none --scheme W4A16:g32 --format gptq --kv-cache fp8
expect_error 2 "'fp4' is neither fp8 nor int8" "$PARE" quantize "$DEMO" -o none --kv-cache fp4
expect_error 2 "rang" "$PARE" quantize "$DEMO" -o none --kv-cache fp8:rang=mse
expect_error 2 "nothing to do" "$PARE" quantize "$DEMO" -o none --scheme none
mkdir broken && cp int8/* broken/ && sed 's/"num_bits": 8/"num_bits": 4/' int8/config.json >broken/config.json
"$PARE" eval broken --text "$DEMO/heldout.txt" --ctx 256 --windows 1 --json >stdout 2>stderr || fail "a scheme that is not read"
grep -q 'warning: .*kv_cache_scheme is not 8-bit' stderr || fail "no word about a scheme that is not read"
