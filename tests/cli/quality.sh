# SPDX-License-Identifier: Apache-2.0
# Quality on the demo model is a reviewed file: tests/quality/results.csv. UPDATE=1 rewrites it.
. "$SRC/tests/cli/lib.sh" || exit 1
echo "model,format,scheme,options,output_bytes,bits_per_weight,sqnr_db" >results.csv
row() { # FORMAT SCHEME FLAGS...
    format=$1 scheme=$2
    shift 2
    expect 0 "$PARE" quantize "$DEMO" -o out --overwrite --json --format "$format" --scheme "$scheme" "$@"
    awk -v f="$format" -v s="$scheme" -v o="$*" -v b="$(json stdout output_bytes)" -v w="$(json stdout bits_per_weight)" -v q="$(json stdout sqnr_db)" \
        'BEGIN { printf "demo,%s,%s,%s,%d,%.4f,%.4f\n", f, s, o, b, w, q }' >>results.csv
}
for scheme in W8A16 W6A16:g64 W5A16:g64 W4A16 W4A16:g64 W4A16_ASYM:g64 W3A16:g64 W3A16_ASYM:g64 W2A16:g64 W2A16_ASYM:g64 INT8 FP8_DYNAMIC; do row compressed-tensors $scheme; done
for scheme in W4A16 W4A16:g64 W3A16:g64 W3A16_ASYM:g64 W2A16:g64 W2A16_ASYM:g64; do row compressed-tensors $scheme --clip mse; done
for scheme in W8A16:g64 W4A16:g64 W4A16_ASYM:g64 W3A16:g64 W2A16_ASYM:g64; do row gptq $scheme; done
row awq W4A16_ASYM:g64
for scheme in W8A16 W4A16_ASYM W2A16_ASYM; do row quanto $scheme; done
row course W8A16
if [ "${UPDATE:-0}" = 1 ]; then
    cp results.csv "$SRC/tests/quality/results.csv"
    echo "rewritten"
    exit 0
fi
diff "$SRC/tests/quality/results.csv" results.csv || fail "quality changed (UPDATE=1 rewrites tests/quality/results.csv after review)"
