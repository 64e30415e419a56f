# SPDX-License-Identifier: Apache-2.0
# Killed at 50 moments and resumed: the same bytes every time. Also Ctrl-C, another recipe on resume, two processes at once.
. "$SRC/tests/cli/lib.sh" || exit 1
run() { "$PARE" quantize "$DEMO" -o "$@" --scheme W4A16:g64 --shard-size 300KB --quiet; }
run whole >/dev/null || fail "uninterrupted run"
want=$(tree_hash whole)
[ "$(ls whole/*.safetensors | wc -l)" -gt 8 ] || fail "expected many shards"

killed=0 resumed=0
for i in $(seq 1 50); do
    rm -rf out out.partial
    # moments from 1 ms on, spread over the run
    timeout -s KILL "0.$(printf '%03d' $((1 + (i * 7) % 90)))" "$PARE" quantize "$DEMO" -o out --scheme W4A16:g64 --shard-size 300KB --quiet >/dev/null 2>&1
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
