# SPDX-License-Identifier: Apache-2.0
# A file system that is too small: one clear error, nothing under the final name, no remains.
. "$SRC/tests/cli/lib.sh" || exit 1
[ "$(id -u)" -eq 0 ] || skip "mounting a small file system needs root"
mkdir small
mount -t tmpfs -o size=2m tmpfs small 2>/dev/null || skip "mounting is not allowed here"
trap 'umount small 2>/dev/null; umount disk 2>/dev/null' EXIT
expect_error 1 "" "$PARE" quantize "$DEMO" -o small/out --scheme W8A16
grep -qiE 'disk|space' stderr || { cat stderr >&2; fail "the error does not speak of the disk"; }
[ -z "$(ls -A small)" ] || { ls -lA small; fail "remains on the full disk"; }
expect_error 1 "" "$PARE" convert "$DEMO" -o small/out --dtype f32
[ -z "$(ls -A small)" ] || fail "remains on the full disk"
umount small

# a real file system of 64 MiB, with direct I/O, filled up but for 3 MiB
dd if=/dev/zero of=image bs=1M count=64 status=none
if mkfs.ext4 -q image 2>/dev/null && mkdir disk && mount -o loop image disk 2>/dev/null; then
    rm -rf disk/lost+found
    free=$(df --output=avail -k disk | tail -n 1)
    dd if=/dev/zero of=disk/ballast bs=1K count=$((free - 3000)) status=none 2>/dev/null
    expect_error 1 "" "$PARE" quantize "$DEMO" -o disk/out --scheme W8A16
    grep -qiE 'disk|space' stderr || fail "ext4: the error does not speak of the disk"
    [ "$(ls -A disk)" = ballast ] || { ls -lA disk; fail "ext4: remains"; }
    rm disk/ballast
    expect 0 "$PARE" quantize "$DEMO" -o disk/out --scheme W8A16
    umount disk
else
    echo "no loop device: the ext4 half is left out"
fi
exit 0
