# SPDX-License-Identifier: Apache-2.0
# pare lesson itself: the list, lessons of later versions, pictures, quiet errors.
. "$SRC/tests/cli/_lesson.sh"

expect 0 "$PARE" lesson
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 F2 F3 F4; do grep -q "^$n  *[A-Z]" stdout || fail "the list lacks lesson $n"; done
expect 0 "$PARE" lesson --json
head -c 1 stdout | grep -q '\[' || fail "the list as JSON"
expect_error 1 "lesson 10: works on a model" "$PARE" lesson 10
expect_error 2 "there is no lesson '14'" "$PARE" lesson 14
expect_error 2 "unknown flag --polt" "$PARE" lesson 1 --polt x
grep -q -- '--plot' stderr || fail "nearest flag"

# a folder, and files of every kind
expect 0 "$PARE" lesson 5 --plot pictures
for name in granularity rows columns; do [ -s "pictures/lesson-5-$name.svg" ] || fail "no picture $name"; done
grep -q '>728.60<' pictures/lesson-5-rows.svg || fail "the picture lacks its numbers"
expect 0 "$PARE" lesson 1 --plot one.png --json
[ "$(head -c 4 one.png | tail -c 3)" = PNG ] || fail "one.png is no PNG"
[ -s one-number-line.png ] || fail "the second picture is missing"
head -c 1 stdout | grep -q '{' || fail "--json with --plot"
expect 0 "$PARE" lesson F3 --plot sizes.pdf --quiet
[ "$(head -c 4 sizes.pdf)" = %PDF ] || fail "sizes.pdf is no PDF"
expect 0 "$PARE" lesson 2 --plot plain.svg --like-course
grep -q '>-23.00<' plain.svg || fail "--like-course prints codes with two decimals"
expect_error 1 "nowhere" "$PARE" lesson 1 --plot nowhere/deep/x.svg
expect_error 1 "cannot make the folder" "$PARE" lesson 1 --plot nowhere/deep

# no colour and no pictures of characters in a pipe
expect 0 "$PARE" lesson 4
! grep -q "$(printf '\033')" stdout || fail "escapes in a pipe"
exit 0
