# SPDX-License-Identifier: Apache-2.0
# Lessons 12 and 13: 2-bit codes in bytes and back.
. "$SRC/tests/cli/_lesson.sh"

lesson 12
says 'codes [1, 0, 3, 2] packed bytes [177]' 'codes [1, 0, 3, 2, 3, 3, 3, 3] packed bytes [177, 255]'
says 'codes [1, 0, 3, 2, 15, 8] packed bytes [1, 35, 143]' 'codes [1, 0, 1, 1, 0, 0, 0, 1] packed bytes [141]'
says 'packed bytes [253, 248]' 'now 1' 'now 49' 'now 177' 'code 4 at'
grep -q '^byte *10 *11 *00 *01 ' text.txt || fail "lesson 12: the byte's bits"

lesson 13
says 'packed bytes [177, 255]' 'codes [1, 0, 3, 2, 3, 3, 3, 3]'
for bits in '101100 01' '001011 00' '000010 11' '000000 *10'; do grep -q "$bits" text.txt || fail "lesson 13: $bits"; done
exit 0
