# SPDX-License-Identifier: Apache-2.0
# Killed at 50 moments and resumed: the same bytes every time. Also Ctrl-C, another recipe on resume, two processes at once.
. "$SRC/tests/cli/lib.sh" || exit 1
run() { "$PARE" quantize "$DEMO" -o "$@" --scheme W4A16:g64 --shard-size 300KB --quiet; }
run whole >/dev/null || fail "uninterrupted run"
rm -rf whole
begin=$(date +%s%N)
run whole >/dev/null || fail "uninterrupted run"
ms=$((($(date +%s%N) - begin) / 1000000 + 1)) # how long a run takes here: the kills are spread over it
want=$(tree_hash whole)
[ "$(ls whole/*.safetensors | wc -l)" -gt 8 ] || fail "expected many shards"

killed=0 resumed=0
for i in $(seq 1 50); do
    rm -rf out out.partial
    timeout -s KILL "$(awk -v i="$i" -v ms="$ms" 'BEGIN { printf "%.4f", (1 + (i * 37) % 50) / 50 * ms / 1000 }')" "$PARE" quantize "$DEMO" -o out --scheme W4A16:g64 --shard-size 300KB --quiet >/dev/null 2>&1
    if [ -e out ]; then
        same "$(tree_hash out)" "$want" "a finished run"
        continue
    fi
    killed=$((killed + 1))
    [ -e out.partial ] && resumed=$((resumed + 1))
    run out --resume >/dev/null || fail "resume after kill $i"
    same "$(tree_hash out)" "$want" "resumed after kill $i"
    [ ! -e out.partial ] || fail "out.partial was left"
done
echo "killed $killed of 50, $resumed of them with work done"

# resuming with other options is refused and keeps what is there
rm -rf out out.partial
for ms in 020 030 040 050 010 005; do
    timeout -s KILL "0.$ms" "$PARE" quantize "$DEMO" -o out --scheme W4A16:g64 --shard-size 300KB --quiet >/dev/null 2>&1
    [ -s out.partial/.pare-journal ] && break
    rm -rf out out.partial
done
if [ -s out.partial/.pare-journal ]; then
    expect_error 1 "other options" "$PARE" quantize "$DEMO" -o out --scheme W8A16 --resume
    [ -e out.partial ] || fail "a refused resume removed the work"
    run out --resume >/dev/null || fail "resume"
    same "$(tree_hash out)" "$want" "resumed"
fi

# resuming what is finished changes nothing and is no error; with other options it is one
rm -rf out out.partial
run out >/dev/null || fail "run"
run out --resume >/dev/null || fail "resume of a finished run"
same "$(tree_hash out)" "$want" "resume of a finished run"
"$PARE" quantize "$DEMO" -o out --scheme W4A16:g64 --shard-size 300KB --resume --json | grep -q '"sqnr_db": 19' || fail "its figures"
expect_error 1 "exists already" "$PARE" quantize "$DEMO" -o out --scheme W8A16 --resume
rm out/config.json
expect_error 1 "exists already" "$PARE" quantize "$DEMO" -o out --scheme W4A16:g64 --shard-size 300KB --resume
cp whole/config.json out/

# an interrupted --overwrite goes on with both flags, and the old folder stays until then
"$PARE" quantize "$DEMO" -o out --scheme W8A16 --overwrite --quiet
timeout -s KILL 0.02 "$PARE" quantize "$DEMO" -o out --scheme W4A16:g64 --shard-size 300KB --quiet --overwrite >/dev/null 2>&1
if [ -e out.partial ]; then
    [ -f out/model.safetensors ] || fail "the old folder went too early"
    expect_error 1 "exists already" "$PARE" quantize "$DEMO" -o out --scheme W4A16:g64 --shard-size 300KB --resume
fi
run out --resume --overwrite >/dev/null || fail "resume of an overwriting run"
same "$(tree_hash out)" "$want" "resume of an overwriting run"

# what a run left that died while it finished is not carried along
rm -rf out out.partial
cp -r whole out.partial
echo half >out.partial/config.json.123.tmp
run out --resume >/dev/null || fail "resume over a finish that died"
same "$(tree_hash out)" "$want" "resumed over a finish that died"

# without --resume an interrupted run's remains are replaced
rm -rf out out.partial
mkdir out.partial && echo junk >out.partial/junk
run out >/dev/null || fail "fresh run over remains"
same "$(tree_hash out)" "$want" "fresh run"
