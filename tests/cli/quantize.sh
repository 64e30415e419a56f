# SPDX-License-Identifier: Apache-2.0
# The main job on the demo model: every layout and width, the plan equals the result, contents of the folder, JSON keys.
. "$SRC/tests/cli/lib.sh" || exit 1

check_folder() { # FOLDER
    for f in config.json tokenizer.json tokenizer_config.json generation_config.json model.safetensors pare.json; do
        [ -f "$1/$f" ] || fail "$1 has no $f"
    done
    [ ! -e "$1.partial" ] || fail "$1.partial was left"
    [ ! -e "$1/.pare-journal" ] || fail "the journal was left"
    # every hash in the manifest is the file's
    sed -n '/"outputs"/,/^  \]/p' "$1/pare.json" | sed -n 's/.*"file": "\(.*\)",/\1/p;s/.*"sha256": "\(.*\)"/\1/p' | paste - - | while read -r name hash; do
        same "$(sha256sum "$1/$name" | cut -d' ' -f1)" "$hash" "hash of $name" || exit 1
    done || exit 1
    [ "$(sed -n '/"inputs"/,/\]/s/.*"xxh128": "\(.*\)"/\1/p' "$1/pare.json" | tr -d '\n' | wc -c)" -eq 32 ] || fail "input hash"
}

last=0
for spec in compressed-tensors:W8A16 compressed-tensors:W4A16:g64 compressed-tensors:W4A16_ASYM:g64 compressed-tensors:W3A16:g64 compressed-tensors:W2A16:g64 \
    compressed-tensors:INT8 compressed-tensors:FP8_DYNAMIC gptq:W8A16:g64 gptq:W4A16:g64 gptq:W4A16_ASYM:g64 gptq_v2:W4A16_ASYM:g64 gptq:W3A16:g64 gptq:W2A16:g64 \
    awq:W4A16_ASYM:g64 awq:W4A16:g128 quanto:W8A16 quanto:W4A16_ASYM:g128 quanto:W2A16_ASYM:g128 course:W8A16; do
    format=${spec%%:*} scheme=${spec#*:}
    expect 0 "$PARE" quantize "$DEMO" -o out --overwrite --json --format "$format" --scheme "$scheme"
    for key in input_bytes output_bytes quantized_tensors kept_tensors bits_per_weight sqnr_db seconds peak_rss_bytes; do
        [ -n "$(json stdout $key)" ] || fail "$spec: no $key in the JSON"
    done
    same "$(json stdout quantized_tensors)" 28 "$spec: quantized tensors"
    same "$(json stdout output_bytes)" "$(stat -c %s out/model.safetensors)" "$spec: output bytes"
    cp stdout done.json
    expect 0 "$PARE" quantize "$DEMO" -o out2 --dry-run --json --format "$format" --scheme "$scheme"
    [ ! -e out2 ] || fail "--dry-run wrote"
    same "$(json stdout output_bytes)" "$(json done.json output_bytes)" "$spec: planned bytes"
    check_folder out
    # what compare reads back from the layout is what the manifest measured
    expect 0 "$PARE" compare "$DEMO" out --json
    cp stdout compare.json
    expect 0 "$PARE" dequantize out -o float --dtype f32 --overwrite
    expect 0 "$PARE" compare out float --json
    same "$(json stdout sqnr_db)" null "$spec: dequantize is exact"
    name=model.layers.0.mlp.down_proj.weight
    a=$(grep -A12 "\"name\": \"$name\"" out/pare.json | sed -n 's/.*"mse": \([^,]*\),*/\1/p' | head -n 1)
    b=$(grep -A12 "\"name\": \"$name\"" compare.json | sed -n 's/.*"mse": \([^,]*\),*/\1/p' | head -n 1)
    awk -v a="$a" -v b="$b" 'BEGIN { exit !(a > 0 && (a - b) <= 1e-6 * a && (b - a) <= 1e-6 * a) }' || fail "$spec: manifest mse $a, compare $b"
done

expect 0 "$PARE" quantize "$DEMO" -o out --overwrite --hash sha256
same "$(sed -n '/"inputs"/,/\]/s/.*"sha256": "\(.*\)"/\1/p' out/pare.json)" "$(sha256sum "$DEMO/model.safetensors" | cut -d' ' -f1)" "input hash"
if command -v xxh128sum >/dev/null; then
    expect 0 "$PARE" quantize "$DEMO" -o out --overwrite
    same "$(sed -n '/"inputs"/,/\]/s/.*"xxh128": "\(.*\)"/\1/p' out/pare.json)" "$(xxh128sum "$DEMO/model.safetensors" | cut -d' ' -f1)" "input hash"
fi
expect_error 2 "crc32" "$PARE" quantize "$DEMO" -o out2 --hash crc32

# fewer bits, more error
previous=1000
for bits in 8 6 4 3 2; do
    expect 0 "$PARE" quantize "$DEMO" -o out --overwrite --json --bits $bits --group-size 64
    now=$(json stdout sqnr_db)
    awk -v a="$previous" -v b="$now" 'BEGIN { exit !(b < a - 3) }' || fail "$bits bits: $now dB after $previous dB"
    previous=$now
done

# clip search never loses, and is an option of the method
expect 0 "$PARE" quantize "$DEMO" -o out --overwrite --json --bits 3 --group-size 64
plain=$(json stdout sqnr_db)
expect 0 "$PARE" quantize "$DEMO" -o out --overwrite --json --bits 3 --group-size 64 --clip mse
awk -v a="$plain" -v b="$(json stdout sqnr_db)" 'BEGIN { exit !(b >= a) }' || fail "clip search made it worse"

# output exists
expect_error 1 "exists already" "$PARE" quantize "$DEMO" -o out
before=$(tree_hash out)
expect_error 1 "exists already" "$PARE" quantize "$DEMO" -o out --resume
same "$(tree_hash out)" "$before" "a refused run changed the output"
expect_error 2 "is the input" "$PARE" quantize out -o out --overwrite

# patterns
expect 0 "$PARE" quantize "$DEMO" -o out --overwrite --json --ignore 'model.layers.0.*' --ignore 're:.*down_proj'
same "$(json stdout quantized_tensors)" 18 "--ignore"
expect 0 "$PARE" quantize "$DEMO" -o out --overwrite --json --only 'model.layers.*.mlp.*'
same "$(json stdout quantized_tensors)" 12 "--only"
expect 0 "$PARE" quantize "$DEMO" -o out --overwrite --json --ignore up_proj
same "$(json stdout quantized_tensors)" 24 "a bare segment"
expect_error 1 "nothing to quantize" "$PARE" quantize "$DEMO" -o out3 --only nothing
[ ! -e out3 ] || fail "nothing to quantize, but something written"
