# SPDX-License-Identifier: Apache-2.0
# The same bytes for 1, 2 and 7 threads, every instruction-set level and any working memory.
. "$SRC/tests/cli/lib.sh" || exit 1
levels=$("$PARE" list kernels | head -n 1 | tr ' ' '\n' | grep -E '^(ref|avx2|avx512|amx|neon)$' | tr '\n' ' ')
for spec in compressed-tensors:W8A16 compressed-tensors:W3A16:g64 gptq:W4A16_ASYM:g64 awq:W4A16_ASYM:g64 quanto:W4A16_ASYM:g128 compressed-tensors:FP8_DYNAMIC; do
    format=${spec%%:*} scheme=${spec#*:}
    "$PARE" quantize "$DEMO" -o first --overwrite --quiet --threads 1 --isa ref --format $format --scheme $scheme >/dev/null || fail "$spec"
    want=$(tree_hash first)
    for flags in "--threads 2" "--threads 7" "--memory 1MB" "--threads 3 --isa ref"; do
        "$PARE" quantize "$DEMO" -o again --overwrite --quiet $flags --format $format --scheme $scheme >/dev/null || fail "$spec $flags"
        same "$(tree_hash again)" "$want" "$spec $flags"
    done
    for level in $levels; do
        "$PARE" quantize "$DEMO" -o again --overwrite --quiet --isa $level --format $format --scheme $scheme >/dev/null 2>stderr || { grep -q 'not' stderr && { echo "level $level does not run here"; continue; }; fail "$spec $level"; }
        same "$(tree_hash again)" "$want" "$spec at level $level"
    done
done
echo "levels checked: $levels"
