# SPDX-License-Identifier: Apache-2.0
# Calibration at its limits: texts that are empty, short or one token over and over; channels that are always 0; NaN and Inf on the way. Each with
# one error before anything is left behind, or a result that says what happened.
. "$SRC/tests/cli/lib.sh" || exit 1
seq 1 1024 | awk '{ printf "%s%d", NR == 1 ? "[" : ",", ($1 * 7919 + int($1 / 7) * 31) % 900 + 3 } END { print "]" }' >ids.json
: >empty.txt
printf a >one.txt
printf '[5,6]' >two.json
printf 'In the beginning God created the heaven and the earth.' >short.txt
seq 1 512 | awk '{ printf "%s7", NR == 1 ? "[" : "," } END { print "]" }' >same.json
printf '[3,99999]' >outside.json
run() {
    model=$1 out=$2 file=$3; shift 3
    "$PARE" quantize "$model" -o "$out" --method "$method" --scheme "$scheme" --samples 4 --seq-len 64 --calibration "$file" "$@"
}

# poke FILE TENSOR BYTES: overwrites the first bytes of a tensor (octal escapes) in a safetensors file
poke() {
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    at=$(dd if="$1" bs=1 skip=8 count="$header" 2>/dev/null | sed "s/.*\"$2\":{[^}]*\"data_offsets\":\[\([0-9]*\),.*/\1/")
    printf "$3" | dd of="$1" bs=1 seek=$((8 + header + at)) conv=notrunc 2>/dev/null || fail "poke $2"
}
copy() { rm -rf "$1" && mkdir "$1" && cp "$DEMO"/*.json "$DEMO"/*.safetensors "$1"/ && chmod -R u+w "$1"; }
copy dead && poke dead/model.safetensors model.layers.0.input_layernorm.weight '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
copy nan && poke nan/model.safetensors model.layers.1.input_layernorm.weight '\377\377\377\377'
copy hole && poke hole/model.safetensors model.layers.1.mlp.up_proj.weight '\377\377\377\377'

methods="gptq awq smoothquant"
sanitized && methods=gptq
for method in $methods; do
    "$PARE" list methods | grep -q "^$method " || continue
    scheme=W4A16:g32
    [ "$method" != smoothquant ] || scheme=W8A8
    for text in empty.txt one.txt outside.json; do
        expect_error 1 "$text" run "$DEMO" none "$text" --quiet
        [ ! -e none ] && [ ! -e none.partial ] || fail "$method $text: something was left"
    done
    for text in two.json short.txt same.json; do
        rm -rf out
        run "$DEMO" out "$text" >/dev/null 2>stderr || { cat stderr; fail "$method $text"; }
        case $text in
        same.json) grep -q 'warning: same.json: only 1 different token' stderr || fail "$method: one repeated token was taken in silence" ;;
        *) grep -q "warning: $text: .* less than one window of 64" stderr || fail "$method: a short text was taken in silence" ;;
        esac
        [ ! -e out/.work ] || fail "$method $text: the work folder was left"
        "$PARE" run out --prompt 'In the' -n 4 --quiet >/dev/null 2>stderr || { cat stderr; fail "$method $text: the result does not run"; }
    done

    rm -rf out
    run dead out ids.json >/dev/null 2>stderr || { cat stderr; fail "$method with dead channels"; }
    "$PARE" run out --prompt 'In the' -n 4 --quiet >/dev/null 2>stderr || { cat stderr; fail "$method: the result with dead channels does not run"; }
    [ "$method" != gptq ] || grep -q '"dead_channels": [1-9]' out/pare.json || fail "dead channels are not recorded"

    expect_error 1 "calibration window 0 are not finite" run nan none ids.json --quiet
    expect_error 1 "model.layers.1.mlp.up_proj.weight: 2 values are not finite" run hole none ids.json --quiet
    rm -rf none none.partial
done

# a layer whose inputs are always 0 has a static scale that can be stored
copy zero && poke zero/model.safetensors model.layers.1.input_layernorm.weight "$(awk 'BEGIN { for (i = 0; i < 512; i++) printf "\\0" }')"
run() { "$PARE" quantize "$1" -o "$2" --method "$3" --scheme "$4" --samples 2 --seq-len 64 --calibration ids.json --quiet >/dev/null 2>stderr; }
for scheme in W8A8:static NVFP4; do
    rm -rf out
    run zero out rtn "$scheme" || { cat stderr; fail "$scheme of a layer without inputs"; }
    "$PARE" run out --prompt 'In the' -n 2 --quiet >/dev/null 2>stderr || { cat stderr; fail "$scheme of a layer without inputs does not run"; }
    [ "$(grep -c 'no input was ever anything but 0' out/pare.json)" = 4 ] || fail "$scheme: q, k, v, o without inputs are not noted"
done
# groups in the order of rounding: a layout with a g_idx holds them and the engine reads them so; others refuse before any work
moved() { "$PARE" quantize "$DEMO" -o moved --method gptq --scheme W4A16:g32 --set static-groups=false --samples 4 --seq-len 64 --calibration ids.json --quiet "$@"; }
expect_error 2 "with these options method gptq puts columns into groups of their own order (g_idx), which layout compressed-tensors does not store" moved
[ ! -e moved ] && [ ! -e moved.partial ] || fail "moved groups: something was left"
moved --format gptq >/dev/null || fail "moved groups in the GPTQ layout"
grep -q '"desc_act": true' moved/config.json || fail "config.json does not say desc_act"
"$PARE" dequantize moved -o plain --dtype f32 --quiet >/dev/null || fail "dequantize moved groups"
"$PARE" eval moved --text "$DEMO/heldout.txt" --ctx 128 --windows 2 --against plain --json --quiet >eval.json || fail "eval of moved groups"
json eval.json kl_mean | awk '{ exit !($1 < 1e-6) }' || fail "moved groups run as other weights than they decode to: $(json eval.json kl_mean)"
"$PARE" eval moved --text "$DEMO/heldout.txt" --ctx 128 --windows 2 --against "$DEMO" --json --quiet >eval.json || fail "eval of moved groups"
json eval.json kl_mean | awk '{ exit !($1 < 0.05) }' || fail "moved groups: KL $(json eval.json kl_mean)"
