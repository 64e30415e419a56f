# SPDX-License-Identifier: Apache-2.0
# Checkpoints that other people trained: each is inspected, quantized to 8, 4, 3 and 2 bits, dequantized and compared.
. "$SRC/tests/cli/lib.sh" || exit 1
[ -d "$MODELS" ] || skip "no folder of test models (PARE_MODELS)"
check() { # MODEL FLAGS...
    model=$MODELS/$1; name=$1; shift
    [ -e "$model" ] || { echo "skipped: $name is not there"; return; }
    expect 0 "$PARE" inspect "$model" --json
    [ "$(json stdout parameters)" -gt 1000 ] || fail "$name: parameters"
    previous=1000
    for bits in 8 4 3 2; do
        expect 0 "$PARE" quantize "$model" -o q --overwrite --json --bits $bits --group-size 64 "$@"
        now=$(json stdout sqnr_db)
        [ "$now" != null ] || now=999 # lossless: the weights came from 8-bit codes
        awk -v a="$previous" -v b="$now" 'BEGIN { exit !(b < a) }' || fail "$name: $bits bits has $now dB after $previous dB"
        previous=$now
        expect 0 "$PARE" dequantize q -o float --overwrite --dtype f32
        expect 0 "$PARE" compare q float --json
        same "$(json stdout mse)" 0 "$name: $bits bits, dequantized equals quantized"
        expect 0 "$PARE" compare "$model" float --json
        echo "$name: $bits bits, $now dB"
    done
}
check tinystories-656k
check stories260k/hf
check stories3m
check resnet-cifar10/resnet20-12fca82f.th
check silero-vad
exit 0
