#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make demo` shows: the bundled model at 8, 4 and 2 bits, what that costs, and one heat map.
set -eu
cd "$(dirname "$0")/.."
pare=${PARE:-build/pare}
model=models/demo
out=${DEMO_OUT:-build/demo}
tensor=model.layers.0.mlp.down_proj.weight
mkdir -p "$out"

# value FILE KEY: a number of a one-level JSON document
value() { sed -n "s/^ *\"$2\": \([-0-9.e+]*\),\{0,1\}$/\1/p" "$1" | head -n 1; }

echo "The demo model: a small Llama trained on the King James Bible ($model/README.md)"
"$pare" inspect "$model" | tail -n 3
echo
echo "Quantized, each into a complete folder in the compressed-tensors layout:"
printf '  %-10s %12s %10s %18s %12s %16s\n' scheme bytes "of BF16" "bits per weight" "noise (dB)" "relative error"
for scheme in W8A16 W4A16:g64 W2A16:g32; do
    name=$(echo "$scheme" | tr : -)
    "$pare" quantize "$model" -o "$out/$name" --scheme "$scheme" --overwrite --json --quiet >"$out/$name.json"
    awk -v s="$scheme" -v o="$(value "$out/$name.json" output_bytes)" -v i="$(value "$out/$name.json" input_bytes)" \
        -v b="$(value "$out/$name.json" bits_per_weight)" -v n="$(value "$out/$name.json" sqnr_db)" \
        'BEGIN { printf "  %-10s %12d %9.1f%% %18.3f %12.2f %15.2f%%\n", s, o, 100 * o / i, b, -n, 100 * 10 ^ (-n / 20) }'
done
echo
echo "Noise is that of the quantized weights: 20 dB less is a tenth of the error. Two bits need a better method than rounding."
echo
echo "$tensor at 4 bits, as heat maps:"
"$pare" tensor "$model:$tensor" --scheme W4A16:g64 --plot "$out/heatmap.png" >"$out/tensor.txt"
tail -n 1 "$out/tensor.txt"
echo "heat map: $out/heatmap.png"
echo
echo "Next: $pare compare $model $out/W4A16-g64   or   $pare lesson 1"
