# SPDX-License-Identifier: Apache-2.0
# Lessons 10, 11, F3 and F4 on the demo model: the course's footprints to the byte, and the same steps on a model that is there.
. "$SRC/tests/cli/_lesson.sh"
TMPDIR=$PWD/temp
export TMPDIR
mkdir temp
whole() { # N: both ways, like lesson()
    N=$1
    expect 0 "$PARE" lesson "$N" --model "$DEMO" --json
    tr -d ' \n' <stdout >flat.json
    expect 0 "$PARE" lesson "$N" --model "$DEMO"
    tr -d ' \n' <stdout >flat.txt
    cp stdout text.txt
}
whole 10
says '797.310976 MB' '546.021376 MB' '166.524032 MB' '114.803840 MB' '51.720192 MB' 'the same text: yes'
json_says '"before": 797310976' '"after": 546021376' '"saved": 51720192' '"replaced_layers": 28'
whole 11
says '250478592' '165709824' '<All keys matched successfully>' '.int8_weights' '.scales' 'is missing in the checkpoint'
whole F4
says '307844608' '126828680' '1621336096' '561919272' '2.43' '2.89' 'the same text'
json_says '"modules_after"'
whole F3
says '989660400' '494832248' 'loaded with --dtype bf16'
json_says '"loaded_bf16"'
[ -z "$(ls temp)" ] || fail "a lesson left $(ls temp) behind"
exit 0
