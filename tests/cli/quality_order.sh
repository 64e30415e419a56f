# SPDX-License-Identifier: Apache-2.0
# The order of methods on every trained model at hand, by KL divergence to the float model: gptq < awq, hqq < rtn with range search < rtn at 4, 3 and 2 bits, in groups
# and per channel; fewer bits lose more. hqq with float zero points (its own layout): with whole ones it is the range search. Calibrated on one half of a text, measured on the other.
. "$SRC/tests/cli/lib.sh" || exit 1
sanitized && skip "quality is measured with a build that is made to compute; the sanitized one takes minutes"
[ -d "$MODELS" ] || skip "no folder of test models (PARE_MODELS)"
TEXT=$MODELS/text/tinystories_200.txt
[ -f "$TEXT" ] || skip "text/tinystories_200.txt is not there"
bytes=$(wc -c <"$TEXT")
head -c $((bytes / 2)) "$TEXT" >calibration.txt
tail -c +$((bytes / 2 + 1)) "$TEXT" >rest.txt

# kl SCHEME METHOD OPTIONS: of $model
kl() {
    scheme=$1 method=$2
    shift 2
    "$PARE" quantize "$model" -o q --overwrite --quiet --scheme "$scheme" --method "$method" "$@" >stdout 2>stderr || fail "$name $scheme $method: $(cat stderr)"
    "$PARE" eval q --text rest.txt --ctx 256 --windows 24 --against "$model" --json --quiet >stdout 2>stderr || fail "$name $scheme $method: $(cat stderr)"
    json stdout kl_mean
}
data="--calibration calibration.txt --samples 32 --seq-len 256"
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a < b) }' || fail "$3: $1 is not below $2"; }
order() {
    model=$1 name=$2
    shift 2
    [ -e "$model/config.json" ] || { echo "skipped: $name is not there"; return; }
    eight=$(kl W8A16 rtn)
    for kind in "$@"; do
        last=$eight
        for bits in 4 3 2; do
            s=W$bits$kind
            # shellcheck disable=SC2086  # words on purpose
            { gptq=$(kl $s gptq $data) && awq=$(kl $s awq $data); } || exit 1
            search=$(kl $s rtn --set clip=mse) plain=$(kl $s rtn)
            below "$gptq" "$awq" "$name $s: gptq against awq"
            below "$awq" "$search" "$name $s: awq against rtn with range search"
            below "$search" "$plain" "$name $s: rtn with range search against rtn"
            below "$last" "$gptq" "$name $s: fewer bits lose more"
            last=$gptq hqq=
            case $s in
            *_ASYM*)
                hqq=$(kl $s hqq --format hqq)
                below "$gptq" "$hqq" "$name $s: gptq against hqq"
                below "$hqq" "$search" "$name $s: hqq against rtn with range search"
                ;;
            esac
            echo "$name $s: gptq $gptq, awq $awq, hqq ${hqq:--}, rtn with range search $search, rtn $plain"
        done
    done
}
mkdir small && cp "$MODELS"/stories260k/hf/* "$MODELS/stories260k/tok512.bin" small
order small stories260k A16_ASYM:g32 A16:channel
order "$MODELS/tinystories-656k" tinystories-656k A16_ASYM:g128 A16:channel
order "$MODELS/stories3m" stories3m A16_ASYM:g64
