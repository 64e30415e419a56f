# SPDX-License-Identifier: Apache-2.0
# The memory figures of the two courses, to the byte, from configs alone.
. "$SRC/tests/cli/lib.sh" || exit 1
C=$SRC/tests/data/configs

# total ROW CONFIG FLAGS...
total() { row=$1; config=$2; shift 2; "$PARE" estimate "$C/$config.json" --json "$@" | awk -v row="\"$row\"," '$2 == row {f=1} f && $1 == "\"total\":" {print $2; exit}'; }

same "$(total 16-bit codegen-350M-mono)" 797310976 "codegen bf16"
same "$(total int8 codegen-350M-mono --dtype bf16)" 546021376 "codegen W8A16"
same "$(total fp32 detr-resnet-50)" 166524032 "detr fp32"
same "$(total int8 detr-resnet-50 --dtype f32 --ignore 'bbox_predictor.*')" 114803840 "detr W8A16"
same "$(total int8 detr-resnet-50 --dtype f16 --ignore 'bbox_predictor.*')" 66052672 "detr W8A16 after half()"
same "$(total 16-bit opt-125m)" 250478592 "opt bf16"
same "$(total int8 opt-125m --dtype bf16)" 165709824 "opt W8A16"
same "$(total fp32 flan-t5-small)" 307844608 "t5 fp32"
same "$(total int8 flan-t5-small --dtype f32 --all-layers --format quanto)" 126828680 "t5 quanto int8"
same "$(total fp32 pythia-410m)" 1621336096 "pythia fp32"
same "$(total int8 pythia-410m --dtype f32 --all-layers --format quanto)" 561919272 "pythia quanto int8"
same "$(total fp32 blip-image-captioning-base)" 989660400 "blip fp32"
same "$(total 16-bit blip-image-captioning-base)" 494832248 "blip bf16"

# "7B = 28 / 14 / 7 / 3.5 / 1.75 GB"
"$PARE" estimate 7B --json >seven.json || fail "7B"
same "$(grep '"total"' seven.json | tr -dc '0-9\n' | tr '\n' ' ')" "28000000000 14000000000 7000000000 3500000000 1750000000 " "7B"
"$PARE" estimate 7B --train --json | grep -q '84000000000' || fail "training: gradients, AdamW (56 GB extra) and weights"
# KV cache of the demo model: 2 (k, v) x 4 layers x 2 heads x 64 x 2 bytes x 512
"$PARE" estimate "$DEMO" --ctx 512 --json | grep -q '"total": 1048576' || fail "KV cache"
"$PARE" estimate "$DEMO" --ctx 512 --kv-dtype f32 --json | grep -q '"total": 2097152' || fail "KV cache in f32"
"$PARE" estimate "$DEMO" --ctx 512 --kv-dtype fp8 --json | grep -q '"total": 524288' || fail "KV cache in fp8"
"$PARE" estimate "$DEMO" --ctx 512 --kv-dtype i8 | grep -q 'KV cache, 512 tokens, i8' || fail "KV cache in int8"
"$PARE" estimate "$DEMO" --ctx 512 --kv-dtype f64 >out 2>&1 && fail "KV cache in f64"
grep -q 'a KV cache is f32' out || fail "KV cache in f64: $(cat out)"

printf '{"model_type": "nothing"}' >config.json
expect_error 1 "model_type 'nothing'" "$PARE" estimate config.json
printf '{"model_type": "llama", "hidden_size": -4}' >config.json
expect_error 1 "'hidden_size' is -4" "$PARE" estimate config.json
printf '{"model_type": "llama"}' >config.json
expect_error 1 "'hidden_size' is missing" "$PARE" estimate config.json
expect_error 1 "no such file or folder" "$PARE" estimate nowhere
