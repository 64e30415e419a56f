# SPDX-License-Identifier: Apache-2.0
# Ctrl-C while commands that do several things are at work: exit status 1 and one error, within a second; no temporary folder, nothing half-written.
. "$SRC/tests/cli/lib.sh" || exit 1
TEXT=$DEMO/heldout.txt
TMPDIR=$PWD/tmp && mkdir tmp && export TMPDIR

# interrupt SECONDS COMMAND...: status in $status, 130 etc. when the process died of it
interrupt() {
    after=$1
    shift
    "$@" >stdout 2>stderr &
    pid=$!
    sleep "$after"
    sent=$(date +%s%N)
    kill -INT $pid 2>/dev/null
    wait $pid
    status=$?
    took=$((($(date +%s%N) - sent) / 1000000))
}
stopped() { # WHAT
    [ "$status" = 0 ] && return
    interrupted=$((interrupted + 1))
    same "$status" 1 "$1: exit status"
    same "$(grep -c '^pare: error: ' stderr)" 1 "$1: errors"
    grep -q '^pare: error: .*cancelled' stderr || { cat stderr; fail "$1: another error"; }
    same "$(ls tmp)" "" "$1: left in TMPDIR"
    sanitized || [ "$took" -lt 3000 ] || fail "$1: took $took ms to stop" # a second, and what a busy machine may do to it
}

interrupted=0
for after in 0.1 0.4 0.8; do
    interrupt $after "$PARE" compare-methods "$DEMO" --text "$TEXT" --ctx 256 --methods gptq,rtn --bits 4,3 --group-size 64 --samples 8 --seq-len 128 --no-speed
    stopped "compare-methods after $after s"
    interrupt $after "$PARE" analyze "$DEMO" --bits 3 --measure --text "$TEXT" --ctx 256 --samples 8 --seq-len 128
    stopped "analyze --measure after $after s"
    rm -rf out out.partial
    interrupt $after "$PARE" quantize "$DEMO" -o out --scheme W4A16:g64 --evaluate "$TEXT" --ctx 256
    stopped "quantize --evaluate after $after s"
    # a model that was not evaluated any more is whole all the same
    [ ! -e out ] || "$PARE" inspect out --quiet >/dev/null 2>&1 || fail "quantize --evaluate left a folder that is none"
    [ ! -e out ] || [ ! -e out.partial ] || fail "out and out.partial"
done
[ "$interrupted" -ge 5 ] || fail "only $interrupted of 9 runs were interrupted"

# with -o the finished ways stay, and the unfinished one does not
for after in 0.5 1 2; do
    rm -rf kept
    interrupt $after "$PARE" compare-methods "$DEMO" --text "$TEXT" --ctx 256 --windows 20 --methods rtn,gptq --bits 4,3 --group-size 64 --samples 8 --seq-len 128 --no-speed -o kept
    for folder in kept/*; do
        case $folder in
        *.partial | *.replaced) fail "$folder was left" ;;
        kept/\*) ;;
        *) "$PARE" inspect "$folder" --quiet >/dev/null 2>&1 || fail "$folder is half-written" ;;
        esac
    done
done
