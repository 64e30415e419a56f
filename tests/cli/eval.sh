# SPDX-License-Identifier: Apache-2.0
# pare eval on the demo model: perplexity as transformers computed it (models/demo/perplexity.json), KL, references, states, choices.
. "$SRC/tests/cli/lib.sh" || exit 1
TEXT=$DEMO/heldout.txt
# within FILE KEY VALUE RELATIVE
within() { awk -v a="$(json "$1" "$2")" -v b="$3" -v r="$4" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a != "" && d <= r * b) }' || fail "$2 is $(json "$1" "$2"), expected $3"; }

expect 0 "$PARE" eval "$DEMO" --text "$TEXT" --ctx 512 --json
cp stdout full.json
within full.json perplexity "$(json "$DEMO/perplexity.json" perplexity)" 0.001
same "$(json full.json tokens)" "$(json "$DEMO/perplexity.json" tokens)" "scored tokens"
expect 0 "$PARE" eval "$DEMO" --text "$TEXT" --ctx 512 --json --threads 1
same "$(json stdout nll)" "$(json full.json nll)" "nll with one thread"

# the other protocol: second halves, so fewer tokens and a lower number
expect 0 "$PARE" eval "$DEMO" --text "$TEXT" --protocol llamacpp --windows 4 --json
same "$(json stdout tokens)" $((4 * 255)) "scored tokens of llamacpp"

# a model against itself
expect 0 "$PARE" eval "$DEMO" --text "$TEXT" --ctx 256 --windows 3 --against "$DEMO" --json
awk -v k="$(json stdout kl_mean)" 'BEGIN { exit !(k >= 0 && k < 1e-9) }' || fail "KL to itself is $(json stdout kl_mean)"
same "$(json stdout top1_agreement)" 1 "agreement with itself"
same "$(json stdout perplexity)" "$(json stdout perplexity_ref)" "perplexity of itself"

# fewer bits, larger KL; fast mode is near exact mode
last=0
for scheme in W8A16 W4A16:g64 W2A16:g32; do
    rm -rf "q"
    "$PARE" quantize "$DEMO" -o q --scheme $scheme --quiet >/dev/null 2>&1 || fail "quantize $scheme"
    expect 0 "$PARE" eval q --text "$TEXT" --ctx 512 --windows 6 --against "$DEMO" --json
    kl=$(json stdout kl_mean)
    awk -v a="$kl" -v b="$last" 'BEGIN { exit !(a > b) }' || fail "$scheme: KL $kl is not above $last"
    last=$kl
    [ $scheme = W4A16:g64 ] || continue
    cp stdout exact.json
    expect 0 "$PARE" eval q --fast --text "$TEXT" --ctx 512 --windows 6 --against q --json
    awk -v k="$(json stdout kl_mean)" 'BEGIN { exit !(k < 1e-3) }' || fail "fast mode is $(json stdout kl_mean) nats from exact mode"

    # a saved reference gives the same answer as the model itself
    expect 0 "$PARE" eval "$DEMO" --text "$TEXT" --ctx 512 --windows 6 --save-reference ref
    expect 0 "$PARE" eval q --text "$TEXT" --ctx 512 --windows 6 --against ref --json
    within stdout kl_mean "$kl" 0.01
    within stdout perplexity_ref "$(json exact.json perplexity_ref)" 1e-5
    expect_error 1 "another text" "$PARE" eval q --text "$TEXT" --ctx 256 --windows 6 --against ref

    # an interrupted run goes on
    expect 0 "$PARE" eval q --text "$TEXT" --ctx 512 --windows 6 --state state --json
    cp stdout once.json
    head -c $(($(wc -c <state) * 2 / 3)) state >half && mv half state
    expect 0 "$PARE" eval q --text "$TEXT" --ctx 512 --windows 6 --state state --json
    same "$(json stdout nll)" "$(json once.json nll)" "nll of a continued run"
    expect_error 1 "another evaluation" "$PARE" eval "$DEMO" --text "$TEXT" --ctx 512 --windows 6 --state state
done

printf '%s\n' '{"question": "In the beginning God created the", "choices": ["heaven and the earth.", "qzx vw kk jjj 17"], "answer": 0}' \
    '{"question": "And the LORD said unto", "choices": ["@@## %%", "Moses, saying,"], "answer": 1}' >choices.jsonl
expect 0 "$PARE" eval "$DEMO" --choices choices.jsonl --json
same "$(json stdout questions)" 2 "questions"
same "$(json stdout accuracy)" 1 "accuracy"
echo '{"question": "x"}' >bad.jsonl
expect_error 1 "bad.jsonl:1" "$PARE" eval "$DEMO" --choices bad.jsonl

expect_error 2 "what to evaluate" "$PARE" eval "$DEMO"
expect_error 1 "cannot open" "$PARE" eval "$DEMO" --text nowhere
expect_error 2 "no protocol" "$PARE" eval "$DEMO" --text "$TEXT" --protocol x
expect 0 "$PARE" eval "$DEMO" --text "$TEXT" --ctx 600 --windows 1
grep -q "made for 512" stderr || fail "no word about a context beyond the model"
expect_error 2 "whole number from 2" "$PARE" eval "$DEMO" --text "$TEXT" --ctx 1
: >empty
expect_error 1 "nothing to predict" "$PARE" eval "$DEMO" --text empty
exit 0
