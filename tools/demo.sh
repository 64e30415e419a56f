#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make demo` shows: the bundled model at 16, 8, 4 and 2 bits: bytes, error of the weights, perplexity of a text that it never saw, what it writes.
set -eu
cd "$(dirname "$0")/.."
pare=${PARE:-build/pare}
model=models/demo
text=$model/heldout.txt
out=${DEMO_OUT:-build/demo}
tensor=model.layers.0.mlp.down_proj.weight
prompt="And it came to pass"
mkdir -p "$out"

# value FILE KEY: a number of a one-level JSON document
value() { sed -n "s/^ *\"$2\": \([-0-9.e+]*\),\{0,1\}$/\1/p" "$1" | head -n 1; }
# measure FOLDER NAME: perplexity and distance from the original
measure() { "$pare" eval "$1" --text "$text" --ctx 512 --windows 20 --against "$model" --json --quiet >"$out/$2.eval.json"; }

echo "The demo model: a small Llama trained on the King James Bible ($model/README.md)"
"$pare" inspect "$model" | tail -n 3
echo
echo "Quantized, each into a complete folder in the compressed-tensors layout, and run on $text:"
printf '  %-14s %10s %9s %16s %11s %11s %9s %9s\n' scheme bytes "of BF16" "bits per weight" "noise (dB)" perplexity "KL" "same top"
measure "$model" W16
bytes=$(stat -c %s "$model/model.safetensors")
printf '  %-14s %10d %8.1f%% %16s %11s %11.3f %9s %9s\n' BF16 "$bytes" 100 16 - "$(value "$out/W16.eval.json" perplexity)" - -
for entry in W8A16 W4A16:g64 W2A16:g32 W2A16:g32+gptq; do
    name=$(echo "$entry" | tr ':+' '--') scheme=${entry%+*} method=rtn
    [ "$scheme" = "$entry" ] || method=${entry#*+}
    "$pare" quantize "$model" -o "$out/$name" --scheme "$scheme" --method "$method" --overwrite --json --quiet >"$out/$name.json"
    measure "$out/$name" "$name"
    awk -v s="$entry" -v o="$(value "$out/$name.json" output_bytes)" -v i="$(value "$out/$name.json" input_bytes)" \
        -v b="$(value "$out/$name.json" bits_per_weight)" -v n="$(value "$out/$name.json" sqnr_db)" -v p="$(value "$out/$name.eval.json" perplexity)" \
        -v k="$(value "$out/$name.eval.json" kl_mean)" -v t="$(value "$out/$name.eval.json" top1_agreement)" \
        'BEGIN { printf "  %-14s %10d %8.1f%% %16.3f %11.2f %11.3f %9.4f %8.1f%%\n", s, o, 100 * o / i, b, -n, p, k, 100 * t }'
done
echo
echo "Perplexity: how many words the model hesitates between, so lower is better. KL: how far its predictions moved, in nats."
echo "Eight bits cost nothing that can be seen, four a little; two need a better method than rounding: gptq runs the model over a text"
echo "and puts the error where the model does not look."
echo
echo "What it writes after \"$prompt\":"
for name in W16 W8A16 W4A16-g64 W2A16-g32 W2A16-g32-gptq; do
    folder=$out/$name
    [ $name != W16 ] || folder=$model
    printf '  %-14s %s\n' "$name" "$("$pare" run "$folder" -p "$prompt" -n 28 --quiet | tr '\n' ' ')"
done
echo
echo "$tensor at 4 bits, as heat maps:"
"$pare" tensor "$model:$tensor" --scheme W4A16:g64 --plot "$out/heatmap.png" >"$out/tensor.txt"
tail -n 1 "$out/tensor.txt"
echo "heat map: $out/heatmap.png"
echo
echo "Next: $pare compare $model $out/W4A16-g64   or   $pare bench $out/W4A16-g64   or   $pare lesson 1"
