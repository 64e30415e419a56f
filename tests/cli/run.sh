# SPDX-License-Identifier: Apache-2.0
# pare run: same text for the same numbers, every way to give a prompt, every way to stop, logits, JSON, errors.
. "$SRC/tests/cli/lib.sh" || exit 1
expect 0 "$PARE" run "$DEMO" -p "In the beginning" -n 24
cp stdout greedy
[ "$(wc -c <greedy)" -gt 40 ] || fail "hardly any text"
grep -q "tokens/s" stderr || fail "no figures on stderr"
for threads in 1 2 3; do
    expect 0 "$PARE" run "$DEMO" -p "In the beginning" -n 24 --threads $threads --quiet
    cmp -s stdout greedy || fail "$threads threads write another text"
    [ ! -s stderr ] || fail "--quiet is not quiet"
done
printf 'In the beginning' | "$PARE" run "$DEMO" -n 24 --quiet | cmp -s - greedy || fail "prompt from standard input"
printf 'In the beginning' >prompt.txt
expect 0 "$PARE" run "$DEMO" --prompt-file prompt.txt -n 24
cmp -s stdout greedy || fail "prompt from a file"

# JSON, and the same prompt as ids
expect 0 "$PARE" run "$DEMO" -p "In the beginning" -n 24 --json
same "$(json stdout generated_tokens)" 24 "generated_tokens"
same "$(json stdout stop_reason)" length "stop_reason"
grep -q '"text": "' stdout || fail "no text"
prompt_tokens=$(json stdout prompt_tokens)
[ "$prompt_tokens" -ge 1 ] || fail "prompt_tokens"
sed -n '/"tokens"/,/\]/p' stdout >tokens
expect 0 "$PARE" run "$DEMO" --ids 1,15,7 -n 5 --json
same "$(json stdout prompt_tokens)" 3 "ids are the prompt"

# sampling: a seed decides, threads do not
expect 0 "$PARE" run "$DEMO" -p "And" -n 30 --temp 0.9 --top-k 50 --top-p 0.95 --seed 7 --quiet
cp stdout sampled
expect 0 "$PARE" run "$DEMO" -p "And" -n 30 --temp 0.9 --top-k 50 --top-p 0.95 --seed 7 --quiet --threads 1
cmp -s stdout sampled || fail "the same seed gave another text"
expect 0 "$PARE" run "$DEMO" -p "And" -n 30 --temp 0.9 --top-k 50 --top-p 0.95 --seed 8 --quiet
cmp -s stdout sampled && fail "another seed gave the same text"

# stop strings are cut off and named; the longest held-back text comes out at the end
word=$(tr -s ' \n' '\n\n' <greedy | sed -n 6p)
expect 0 "$PARE" run "$DEMO" -p "In the beginning" -n 24 --stop "$word" --json
same "$(json stdout stop_reason)" stop "stop string '$word'"
expect 0 "$PARE" run "$DEMO" -p "In the beginning" -n 24 --stop "$word" --quiet
grep -qF -- "$word" stdout && fail "the stop string is in the text"
expect 0 "$PARE" run "$DEMO" -p "In the beginning" -n 24 --stop "$(tail -c 3 greedy | tr -d '\n')zzz" --quiet
cmp -s stdout greedy || fail "text that might have been a stop string is lost"

# logits: prompt and generated positions
expect 0 "$PARE" run "$DEMO" --ids 1,15,7 -n 4 --ignore-eos --logits logits.npy --json
head -c 10 logits.npy | od -An -c | grep -q 'N   U   M   P   Y' || fail "no npy file"
head -c 128 logits.npy | grep -aq "'shape': (7, 2048)" || fail "shape of the logits"
same "$(wc -c <logits.npy)" $((128 + 7 * 2048 * 4)) "bytes of the logits"
expect 0 "$PARE" run "$DEMO" --ids 1,15,7 -n 0 --logits prompt.npy --json
head -c 128 prompt.npy | grep -aq "'shape': (3, 2048)" || fail "-n 0 computes the prompt"
tail -c +129 prompt.npy >a
tail -c +129 logits.npy | head -c $((3 * 2048 * 4)) | cmp -s - a || fail "logits of the prompt depend on what follows"

# quantized, straight from disk; both modes
for spec in "compressed-tensors W8A16" "compressed-tensors W4A16:g64" "gptq W4A16:g64" "awq W4A16_ASYM:g64" "quanto W8A16" "compressed-tensors INT8" "compressed-tensors W3A16:g64"; do
    set -- $spec
    rm -rf q
    "$PARE" quantize "$DEMO" -o q --format $1 --scheme $2 --quiet >/dev/null 2>&1 || fail "quantize $spec"
    for mode in --exact --fast; do
        expect 0 "$PARE" run q -p "In the beginning" -n 12 $mode
        [ "$(wc -c <stdout)" -gt 20 ] || fail "$spec $mode wrote nothing"
    done
done

# less memory than the model needs: the same logits, and a word about the cost
expect 0 "$PARE" run "$DEMO" --ids 1,15,7 -n 2 --logits all.npy --quiet
expect 0 "$PARE" run "$DEMO" --ids 1,15,7 -n 2 --logits few.npy --memory 7MiB
grep -q "from the file again" stderr || fail "streaming is not announced"
cmp -s all.npy few.npy || fail "streaming changes the logits"
expect_error 1 "memory" "$PARE" run "$DEMO" --ids 1 -n 1 --memory 100K

expect 0 "$PARE" run "$DEMO" -p "In the" -n 4 --profile
grep -q linear stderr || fail "--profile shows no linear layers"
printf 'In the beginning\nAnd God said\n' >batch.txt
expect 0 "$PARE" run "$DEMO" --batch batch.txt -n 8 --json
same "$(grep -c '"prompt":' stdout)" 2 "batch"

# errors: one line each, nothing left behind
expect_error 2 "outside the vocabulary" "$PARE" run "$DEMO" --ids 1,99999 -n 1
expect_error 2 "no list of token ids" "$PARE" run "$DEMO" --ids one -n 1
expect_error 2 "temperature" "$PARE" run "$DEMO" -p x --temp -1
expect_error 2 "exclude each other" "$PARE" run "$DEMO" -p x --exact --fast
expect_error 2 "kv-dtype" "$PARE" run "$DEMO" -p x --kv-dtype i5
expect_error 2 "one of -p" "$PARE" run "$DEMO" -p x --ids 1
expect_error 1 "no such file" "$PARE" run nowhere -p x
expect_error 2 "context has" "$PARE" run "$DEMO" --ids 1,2,3,4 --ctx 3
expect_error 1 "chat" "$PARE" run "$DEMO" -p x --chat
expect_error 1 "cannot write" "$PARE" run "$DEMO" --ids 1 -n 1 --logits nowhere/x.npy
mkdir broken && cp "$DEMO/config.json" "$DEMO"/token* broken
head -c 4000000 "$DEMO/model.safetensors" >broken/model.safetensors
expect_error 1 "model.safetensors" "$PARE" run broken -p x
[ ! -e broken.npy ] || fail "something was left behind"
exit 0
