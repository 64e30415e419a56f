#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Time of `pare quantize --method gptq --scheme W4A16:g128` against its arithmetic: two layers of the generated 1.1-billion-parameter Llama shape
# (bench/gen_model.c), 32 windows of 2048 random tokens. Multiply-adds of a layer, T = 65,536 tokens, S = streams (2 where drift is corrected):
#   forward    S T (2 h h + 2 h kv + 3 h f)         linear layers, once a stream
#   attention  S T (ctx / 2) 2 h
#   sums       T (3 h h + f f) (1/2, and 1 more with drift)
#   gptq       n^3 / 6 a factor; rows n^2 (1/2 feedback + sweeps + 1 loss + 2 drift) a layer
# Then peak memory of a model and of one twice as deep.
# Usage: calibrate.sh BUILD DATA-FOLDER [quantize options]; CAL_LAYERS, CAL_WINDOWS.
set -eu
cd "$(dirname "$0")/.."
build=$1 dir=$2
shift 2
layers=${CAL_LAYERS:-2} windows=${CAL_WINDOWS:-32}
model=$dir/llama11-cut$layers
if [ ! -f "$model/done" ]; then
    rm -rf "${model:?}"
    "$build/bench/bench_gen_model" "$model" 2048 5632 "$layers" 32000 32 4
    touch "$model/done"
fi
tokens=$dir/tokens-$windows.npy
python3 - "$tokens" "$windows" <<'PY'
import random, struct, sys
path, windows = sys.argv[1], int(sys.argv[2])
random.seed(1)
header = "{'descr': '<i4', 'fortran_order': False, 'shape': (%d, 2048), }" % windows
header += " " * (-(10 + len(header) + 1) % 64) + "\n"
with open(path, "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    f.write(struct.pack("<%di" % (windows * 2048), *(random.randrange(3, 32000) for _ in range(windows * 2048))))
PY
correct=$("$build/pare" quantize --help | sed -n 's/.*(gptq, default \(none\|gptaq\|qronos\)).*/\1/p' | head -n 1)
sweeps=$("$build/pare" quantize --help | sed -n 's/^ *--sweeps .*(gptq, default \([0-9]*\)).*/\1/p' | head -n 1)
for ((i = 1; i <= $#; i++)); do
    case ${!i} in
    --correct) j=$((i + 1)) && correct=${!j} ;;
    --sweeps) j=$((i + 1)) && sweeps=${!j} ;;
    esac
done
start=$(date +%s.%N)
"$build/pare" quantize "$model" -o "$dir/calibrated" --overwrite --quiet --method gptq --scheme W4A16:g128 --calibration "$tokens" --seq-len 2048 \
    --samples "$windows" "$@"
seconds=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
peak=$("$build/pare" bench --json --quiet | tr -d ' ,' | awk '/"f32_flops":\[/ { at = NR } at && NR == at + 2 { print; exit }')
awk -v s="$seconds" -v L="$layers" -v T=$((windows * 2048)) -v peak="$peak" -v sweeps="$sweeps" -v correct="$correct" 'BEGIN {
    h = 2048; f = 5632; kv = 256; d = correct != "none"; S = 1 + d
    forward = S * T * (2*h*h + 2*h*kv + 3*h*f); attention = S * T * 1024 * 2 * h; sums = T * (3*h*h + f*f) * (0.5 + d)
    each = 0.5 + sweeps + 1 + 2 * d
    gptq = (3 * h^3 + f^3) / 6 + each * ((2*h + 2*kv + 2*f) * h^2 + h * f^2)
    all = L * (forward + attention + sums + gptq)
    printf "%d layers, %d tokens, correct %s, %d sweeps: %.1f s\n", L, T, correct, sweeps, s
    printf "T multiply-adds: forward %.2f, attention %.2f, sums %.2f, gptq %.2f; all %.2f\n", L*forward/1e12, L*attention/1e12, L*sums/1e12, L*gptq/1e12, all/1e12
    printf "at the f32 peak of %.1f G multiply-adds a second: %.1f s; ratio %.2f\n", peak/2e9, all/(peak/2), s/(all/(peak/2))
}'

# Depth costs disk and time, not memory: twice as many layers of a small shape
python3 -c 'import json, random; random.seed(1); json.dump([random.randrange(3, 4000) for _ in range(4096)], open("'"$dir"'/ids.json", "w"))'
for layers in 4 8; do
    "$build/bench/bench_gen_model" "$dir/deep" 1024 2816 "$layers" 4000 16 4
    "$build/pare" quantize "$dir/deep" -o "$dir/calibrated" --overwrite --quiet --json --method gptq --scheme W4A16:g128 --calibration "$dir/ids.json" --seq-len 512 --samples 8 \
        >"$dir/result.json"
    awk -v L="$layers" -F'[:,]' '/"peak_rss_bytes"/ { printf "%d layers of 1024 x 2816: peak memory, mapped input apart, %.0f MiB\n", L, $2 / 1048576 }' "$dir/result.json"
    rm -rf "$dir/deep"
done
