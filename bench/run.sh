#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Speed of running a model, part of `make bench`: a generated Llama-shaped model of 1.1 billion parameters (hidden 2048, 22 layers, 32/4 heads, ffn 5632,
# vocabulary 32000) in BF16 and quantized to 8, 4, 3 and 2 bits. Every figure beside what the machine did just before and after (pare bench --help):
#   decode       bytes that a token must read, times tokens a second, over the read bandwidth
#   prefill      operations of the linear layers (the head works on the last token only), over the peak of the arithmetic that the mode
#                uses (int8 dot, bf16 dot or f32), and over that of tile registers where there are some
#   depth 4096   time of a token with 4096 positions in the cache more than one with 16, by turns, against what bytes and arithmetic predict
#   start-up     process start to the first token, less prefill; resident memory
# Usage: run.sh BUILD DATA-FOLDER; RUN_SCHEMES and RUN_THREADS choose.
set -eu
cd "$(dirname "$0")/.."
build=$1 dir=$2
pare=$build/pare
schemes=${RUN_SCHEMES:-bf16 W8A16 W4A16:g128 W3A16:g128 W2A16:g128}
threads=${RUN_THREADS:-1 $(nproc)}

value() { sed -n "s/^ *\"$2\": \([-0-9.e+]*\),\{0,1\}$/\1/p" "$1" | head -n 1; }
pair() { sed -n "/\"$2\": \[/,/\]/p" "$1" | tr -d ' ,' | sed -n "$3p"; } # FILE KEY LINE: 2 = one thread, 3 = all

if [ ! -f "$dir/llama11/done" ]; then
    rm -rf "${dir:?}/llama11"
    "$build/bench/bench_gen_model" "$dir/llama11" 2048 5632 22 32000 32 4
    touch "$dir/llama11/done"
fi
for s in $schemes; do
    [ "$s" = bf16 ] || [ -f "$dir/llama11-$s/pare.json" ] || "$pare" quantize "$dir/llama11" -o "$dir/llama11-$s" --scheme "$s" --overwrite --quiet >/dev/null 2>&1
done
folder() { [ "$1" = bf16 ] && echo "$dir/llama11" || echo "$dir/llama11-$1"; }

printf '%-12s %-6s %2s  %10s %10s %9s   %10s %10s %9s %9s\n' weights mode thr "decode t/s" GB/s "of read" "prefill t/s" Gop/s "of peak" "of tiles"
for s in $schemes; do
    model=$(folder "$s")
    cat "$model"/*.safetensors >/dev/null
    modes="fast exact"
    [ "$s" != bf16 ] || modes="bf16"
    for t in $threads; do
        line=3
        [ "$t" != 1 ] || line=2
        for mode in $modes; do
            "$pare" bench "$model" --$mode --threads "$t" --json --quiet >"$dir/bench.json"
            peak=f32 tiles=none
            [ $mode != fast ] || { peak=int8; tiles=int8_tiles; }
            [ $mode != bf16 ] || { peak=bf16; tiles=bf16_tiles; }
            [ -n "$(value "$dir/bench.json" prefill_of_$peak)" ] || peak=f32 # no such instruction
            awk -v s="$s" -v m=$mode -v t="$t" -v d="$(value "$dir/bench.json" decode_tokens_per_s)" -v b="$(value "$dir/bench.json" bytes_per_token)" \
                -v r="$(value "$dir/bench.json" roofline_fraction)" -v p="$(value "$dir/bench.json" prefill_tokens_per_s)" -v o="$(value "$dir/bench.json" ops_per_token)" \
                -v k="$(value "$dir/bench.json" prefill_of_$peak)" -v q="$(value "$dir/bench.json" prefill_of_$tiles)" \
                'BEGIN { printf "%-12s %-6s %2d  %10.2f %10.1f %8.0f%%   %10.1f %10.0f %8.0f%% %9s\n", s, m, t, d, d * b / 1e9, 100 * r, p, o * p / 1e9, 100 * k, (q > 0 ? sprintf("%.0f%%", 100 * q) : "-") }'
        done
    done
done

echo
echo "start-up and memory (all threads, prompt of 32 tokens, one generated), page cache warm"
ids=$(seq -s, 1 32)
for s in $schemes; do
    model=$(folder "$s")
    best=999
    for _ in 1 2 3; do
        a=$(date +%s.%N)
        "$pare" run "$model" --fast --ids "$ids" -n 1 --ctx 512 --json --quiet >"$dir/run.json"
        b=$(date +%s.%N)
        best=$(awk -v a="$a" -v b="$b" -v p="$(value "$dir/run.json" prefill_seconds)" -v m=$best 'BEGIN { d = b - a - p; print (d < m ? d : m) }')
    done
    awk -v s="$s" -v x="$best" -v p="$(value "$dir/run.json" prefill_seconds)" -v m="$(value "$dir/run.json" max_rss_bytes)" -v w="$(stat -c %s "$model"/*.safetensors | awk '{ n += $1 } END { print n }')" \
        'BEGIN { printf "%-12s first token after %.3f s of prefill and %.3f s beside it; resident %.0f MiB, weights %.0f MiB, difference %.0f MiB\n", s, p, x, m / 1048576, w / 1048576, (m - w) / 1048576 }'
done

echo
echo "context of 4096 (W4A16:g128, fast, f16 cache)"
model=$(folder W4A16:g128)
if [ -d "$model" ]; then
    for t in $threads; do
        line=3
        [ "$t" != 1 ] || line=2
        "$pare" bench "$model" --fast --threads "$t" --ctx 4200 --depth 4096 --prompt 64 -n 64 --repeat 1 --json --quiet >"$dir/long.json"
        # keys and values of 4080 more positions: 22 layers x 2 x 256 x 2 bytes; 2 x 2 x 2048 x 22 operations each
        awk -v t="$t" -v b="$(value "$dir/long.json" decode_tokens_per_s)" -v e="$(value "$dir/long.json" depth_seconds)" \
            -v r="$(value "$dir/long.json" read_bandwidth_bytes_per_s)" -v f="$(pair "$dir/long.json" f32_flops $line)" \
            'BEGIN { p = 4080 * 22 * 2 * 256 * 2 / r; q = 4080.0 * 22 * 4 * 2048 / f
                     printf "%d threads: a token costs %.1f ms at depth 4096, %.1f ms more than at depth 16; bytes predict %.1f ms, arithmetic %.1f ms: %.2f times their sum\n", t, 1e3 / b, 1e3 * e, 1e3 * p, 1e3 * q, e / (p + q) }'
    done
fi
