# SPDX-License-Identifier: Apache-2.0
# A Hub id is looked up in the local cache: HF_HUB_CACHE, HF_HOME, the default place; revisions; what is missing is said.
. "$SRC/tests/cli/lib.sh" || exit 1
repo=cache/models--someone--demo
mkdir -p $repo/refs $repo/snapshots/abc123
printf 'abc123' >$repo/refs/main
for f in "$DEMO"/*; do ln -s "$f" $repo/snapshots/abc123/; done
expect 0 env HF_HUB_CACHE="$PWD/cache" "$PARE" inspect someone/demo
grep -q LlamaForCausalLM stdout || fail "not found through HF_HUB_CACHE"
mkdir home && mv cache home/hub
expect 0 env -u HF_HUB_CACHE HF_HOME="$PWD/home" "$PARE" inspect someone/demo
expect 0 env HF_HUB_CACHE="$PWD/home/hub" "$PARE" quantize someone/demo -o out
expect 0 "$PARE" compare "$DEMO" out
expect 0 env HF_HUB_CACHE="$PWD/home/hub" "$PARE" estimate someone/demo
expect_error 1 "not in the Hub cache" env HF_HUB_CACHE="$PWD/home/hub" "$PARE" inspect someone/else
expect_error 1 "revision 'v2' has no snapshot" env HF_HUB_CACHE="$PWD/home/hub" "$PARE" inspect someone/demo@v2
expect_error 1 "no such file" env HF_HUB_CACHE="$PWD/home/hub" "$PARE" inspect ../nothing/here
