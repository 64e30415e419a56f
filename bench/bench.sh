#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `make bench` measures, each as a ratio against a yardstick of the same run:
#   kernels      in-memory quantize+pack against this machine's read bandwidth
#   whole job    pare quantize of a 2 GB BF16 checkpoint against cp of that file followed by sync of the copy (page cache warm)
#   memory       peak anonymous memory for that file and for one four times as large
#   start-up     pare inspect of a 300-tensor file
#   calibration  gptq of one layer of that model (bench/calibrate.sh)
#   running      decode and prefill of a 1.1 B model at 16, 8, 4, 3 and 2 bits (bench/run.sh)
# BENCH_DIR: where the checkpoints go (12 GB; kept for the next run). BENCH_RUNS: pairs to time (default 5).
set -eu
cd "$(dirname "$0")/.."
build=${1:-${BUILD:-build}}
pare=$build/pare
dir=${BENCH_DIR:-$build/bench-data}
runs=${BENCH_RUNS:-5}
ninja -C "$build" --quiet bench pare
mkdir -p "$dir"

now() { date +%s.%N; }
seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", b - a }'; }
median() { printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }
value() { sed -n "s/^ *\"$2\": \([-0-9.e+]*\),\{0,1\}$/\1/p" "$1" | head -n 1; }
generate() { # NAME ARGS...: once
    [ -f "$dir/$1/done" ] && return
    rm -rf "${dir:?}/$1"
    "$build/bench/bench_gen_model" "$dir/$1" "${@:2}"
    touch "$dir/$1/done"
}

echo "== kernels"
"$build/bench/bench_kernels"
echo

echo "== start-up: pare inspect of 300 tensors"
generate tensors300 64 64 33 64 4 4
start=$(now)
for _ in $(seq 20); do "$pare" inspect "$dir/tensors300" >/dev/null; done
awk -v s="$(seconds "$start" "$(now)")" 'BEGIN { printf "%.1f ms a run (20 runs)\n", 1000 * s / 20 }'
echo

if [ "${BENCH_RUN:-1}" = 1 ]; then
    echo "== running a model of 1.1 billion parameters"
    bench/run.sh "$build" "$dir"
    echo
fi

if [ "${BENCH_CALIBRATE:-1}" = 1 ]; then
    echo "== calibration: gptq of one layer of that model against its arithmetic"
    CAL_LAYERS=1 CAL_WINDOWS="${CAL_WINDOWS:-8}" bench/calibrate.sh "$build" "$dir"
    echo
fi

need=16000000
free=$(df --output=avail -k "$dir" | tail -n 1)
if [ "$free" -lt $need ]; then
    echo "== whole job: skipped, $dir has $free KiB free and $need are needed"
    exit 0
fi
generate llama2g 2048 5632 20 32000 32 4
input=$dir/llama2g/model.safetensors
echo "== whole job: $(stat -c %s "$input") bytes of BF16 in, $runs pairs in turn, medians"
cat "$input" >/dev/null
# one pair: cp + sync, then pare, into the same folder
pair() { # SCHEME -> two numbers
    rm -rf "$dir/copy" "$dir/out"
    sync
    a=$(now); cp "$input" "$dir/copy"; sync "$dir/copy"; b=$(now)
    rm -f "$dir/copy"
    sync
    c=$(now); "$pare" quantize "$dir/llama2g" -o "$dir/out" --scheme "$1" --json --quiet >"$dir/result.json"; d=$(now)
    echo "$(seconds "$a" "$b") $(seconds "$c" "$d")"
}
for scheme in W8A16 W4A16:g128; do
    copies=() jobs=() ratios=()
    pair "$scheme" >/dev/null # warm-up
    for _ in $(seq "$runs"); do
        read -r x y <<<"$(pair "$scheme")"
        copies+=("$x") jobs+=("$y") ratios+=("$(awk -v x="$x" -v y="$y" 'BEGIN { printf "%.3f", y / x }')")
    done
    awk -v s="$scheme" -v c="$(median "${copies[@]}")" -v j="$(median "${jobs[@]}")" -v r="$(median "${ratios[@]}")" -v m="$(value "$dir/result.json" peak_rss_bytes)" \
        'BEGIN { printf "%-12s cp+sync %6.2f s   pare %6.2f s   pare / cp+sync %5.2f   peak memory %5.1f MiB\n", s, c, j, r, m / 1048576 }'
done
rm -rf "$dir/out"
echo

echo "== memory: a file four times as large"
generate llama8g 4096 11264 20 32000 32 4
for scheme in W8A16 W4A16:g128; do
    rm -rf "$dir/out"
    "$pare" quantize "$dir/llama8g" -o "$dir/out" --scheme "$scheme" --json --quiet >"$dir/result.json"
    awk -v s="$scheme" -v i="$(value "$dir/result.json" input_bytes)" -v t="$(value "$dir/result.json" seconds)" -v m="$(value "$dir/result.json" peak_rss_bytes)" \
        'BEGIN { printf "%-12s %.0f bytes in, %.1f s, peak memory %.1f MiB\n", s, i, t, m / 1048576 }'
done
rm -rf "$dir/out"
