# SPDX-License-Identifier: Apache-2.0
# Trained models through run and eval: perplexity as transformers (float32) and llama-perplexity computed it elsewhere, sensible text, logits under a limit.
# The figures of transformers are those that tests/interop/check_run.py computes anew.
. "$SRC/tests/cli/lib.sh" || exit 1

# perplexity MODEL TEXT EXPECTED RELATIVE FLAGS...
perplexity() {
    model=$1; text=$2; want=$3; relative=$4; shift 4
    expect 0 "$PARE" eval "$model" --text "$text" --json "$@"
    awk -v a="$(json stdout perplexity)" -v b="$want" -v r="$relative" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a != "" && d <= r * b) }' ||
        fail "$model $*: perplexity $(json stdout perplexity), expected $want"
}

# The demo model's tokenizer adds no BOS: windows of llama.cpp's protocol begin with the text's own token.
perplexity "$DEMO" "$DEMO/heldout.txt" 21.8302 1e-5 --ctx 512 --windows 6
perplexity "$DEMO" "$DEMO/heldout.txt" 22.2616 1e-5 --ctx 512 --windows 6 --protocol llamacpp

[ -d "$MODELS" ] || skip "no folder of test models (PARE_MODELS)"
TEXT=$MODELS/text/tinystories_200.txt
[ -f "$TEXT" ] || skip "text/tinystories_200.txt is not there"

# check MODEL NAME PERPLEXITY LLAMACPP WORDS FAST: 6 windows of 256, what a greedy story goes on with, and the KL divergence that 8-bit activations may
# cost: inputs rounded to 8 bits a token in torch cost 7.5e-4, 5.4e-3 and 1.3e-3 nats on these three.
check() {
    model=$1; name=$2
    [ -e "$model/config.json" ] || { echo "skipped: $name is not there"; return; }
    perplexity "$model" "$TEXT" "$3" 1e-5 --ctx 256 --windows 6
    perplexity "$model" "$TEXT" "$4" 1e-5 --ctx 256 --windows 6 --protocol llamacpp
    expect 0 "$PARE" run "$model" -p "Once upon a time" -n 40 --quiet
    grep -qF -- "$5" stdout || fail "$name writes: $(cat stdout)"

    # less than the model: the same logits, streamed
    kib=$(($(wc -c <"$model/model.safetensors") * 9 / 10240))
    expect 0 "$PARE" run "$model" --ids 1,15,7,40 -n 2 --ignore-eos --ctx 32 --logits all.npy --quiet
    expect 0 "$PARE" run "$model" --ids 1,15,7,40 -n 2 --ignore-eos --ctx 32 --logits few.npy --memory ${kib}KiB
    grep -q "from the file again" stderr || fail "$name is not streamed with $kib KiB"
    cmp -s all.npy few.npy || fail "$name: streaming changes the logits"

    # fewer bits predict worse, and --fast is near --exact
    last=0
    for scheme in W8A16 W4A16:g32 W2A16:g32; do
        expect 0 "$PARE" quantize "$model" -o q --overwrite --scheme $scheme --quiet
        expect 0 "$PARE" eval q --text "$TEXT" --ctx 256 --windows 2 --against "$model" --json
        kl=$(json stdout kl_mean)
        awk -v a="$kl" -v b="$last" 'BEGIN { exit !(a > b) }' || fail "$name $scheme: KL $kl is not above $last"
        last=$kl
        [ $scheme != W2A16:g32 ] || continue # of such a model nothing is left: tiny errors are amplified
        expect 0 "$PARE" eval q --fast --text "$TEXT" --ctx 256 --windows 2 --against q --json
        awk -v k="$(json stdout kl_mean)" -v most="$6" 'BEGIN { exit !(k > 0 && k < most) }' || fail "$name $scheme: --fast is $(json stdout kl_mean) nats from --exact"
        echo "$name $scheme: KL $kl, --fast $(json stdout kl_mean)"
    done
}
mkdir small && cp "$MODELS"/stories260k/hf/* "$MODELS/stories260k/tok512.bin" small
check small stories260k 4.50825 4.28101 "there was a little girl named Lily" 1.5e-3
check "$MODELS/stories3m" stories3m 5.25259 4.74811 "there was a little girl named Lily" 5.4e-3
check "$MODELS/tinystories-656k" tinystories-656k 32.68491 31.91517 "a little girl named Lily" 1.5e-3

# llama-perplexity --ctx-size 256 --chunks 40 on the same weights as GGUF
[ ! -e "$MODELS/stories3m/config.json" ] || perplexity "$MODELS/stories3m" "$TEXT" 5.1311 1e-4 --protocol llamacpp --ctx 256 --windows 40
exit 0
