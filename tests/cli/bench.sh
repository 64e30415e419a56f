# SPDX-License-Identifier: Apache-2.0
# pare bench: keys and sane numbers. Speed itself is measured by `make bench`, never asserted here.
. "$SRC/tests/cli/lib.sh" || exit 1
expect 0 "$PARE" bench "$DEMO" --prompt 32 -n 8 --repeat 1 --json
for key in prefill_tokens_per_s decode_tokens_per_s bytes_per_token read_bandwidth_bytes_per_s roofline_fraction ops_per_token prefill_of_f32 prefill_of_int8; do
    awk -v v="$(json stdout $key)" 'BEGIN { exit !(v > 0) }' || fail "$key: '$(json stdout $key)'"
done
for key in read_bandwidth_bytes_per_s f32_flops int8_ops bf16_flops int8_tile_ops bf16_tile_flops; do
    grep -q "\"$key\": \[" stdout || fail "machine: no $key"
done
grep -q '"mode": "exact"' stdout || fail "both modes"
# 4 layers of 256 x (256 + 128 + 128 + 256) and 3 x 256 x 768, twice
[ "$(json stdout ops_per_token)" = 6291456 ] || fail "operations of a token: $(json stdout ops_per_token)"
expect 0 "$PARE" bench "$DEMO" --prompt 16 -n 4 --repeat 1 --exact
grep -q "read bandwidth" stdout || fail "the machine is not shown"
expect_error 2 "positions" "$PARE" bench "$DEMO" --prompt 100000 --repeat 1
expect_error 2 "leaves no position" "$PARE" bench "$DEMO" --depth 512 --repeat 1
expect_error 2 "--repeat" "$PARE" bench "$DEMO" --repeat 0
expect 0 "$PARE" bench "$DEMO" --prompt 8 -n 4 --depth 100 --repeat 1 --exact --json
grep -q '"depth_seconds": ' stdout || fail "what depth costs"
expect 0 "$PARE" bench "$DEMO" --prompt 8 -n 4 --depth 100 --repeat 1 --exact
grep -q "a token at depth 100" stdout || fail "what depth costs is not shown"
expect 0 "$PARE" bench "$DEMO" --prompt 8 -n 4 --depth 16 --repeat 1 --exact --json
grep -q '"depth_seconds": ' stdout && fail "there is no depth"
exit 0
