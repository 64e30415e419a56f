# SPDX-License-Identifier: Apache-2.0
# Recipes: pattern -> scheme, method, keep, dtype.
. "$SRC/tests/cli/lib.sh" || exit 1
cat >recipe.json <<'R'
{"default": {"scheme": "W4A16:g64"},
 "rules": [{"match": "model.layers.0.*", "scheme": "W8A16"}, {"match": "re:.*down_proj", "keep": true},
           {"match": "model.embed_tokens", "dtype": "f32"}]}
R
expect 0 "$PARE" quantize "$DEMO" -o out --recipe recipe.json --json
same "$(json stdout quantized_tensors)" 25 "quantized (layer 0 whole, down_proj of the others kept)"
"$PARE" inspect out --tensors >tensors
grep 'layers.0.mlp.down_proj.weight' tensors | grep -q W8A16 || fail "first rule wins"
grep 'layers.1.mlp.down_proj.weight' tensors | grep -q bf16 || fail "keep"
grep 'layers.1.mlp.up_proj.weight' tensors | grep -q 'W4A16:g64' || fail "default"
grep 'embed_tokens.weight' tensors | grep -q f32 || fail "dtype"
grep -q mixed-precision out/config.json || grep -q '"group_1"' out/config.json || fail "two config groups"
expect 0 "$PARE" compare "$DEMO" out
bad() { printf '%s' "$1" >bad.json; expect_error "$2" "$3" "$PARE" quantize "$DEMO" -o x --recipe bad.json; [ ! -e x ] || fail "wrote"; }
bad '{"rules": [{"scheme": "W4A16"}]}' 1 "has no 'match'"
bad '{"rules": [{"match": "a", "keep": true, "scheme": "W4A16"}]}' 1 "exclude each other"
bad '{"rules": [{"match": "a", "colour": "red"}]}' 1 "unknown key 'colour'"
bad '{"rules": [{"match": "a", "scheme": "W99"}]}' 2 "rule 1"
bad '{"rules": [{"match": "a", "method": "magic"}]}' 2 "unknown method 'magic'"
bad '{"rules": [{"match": "a"}]}' 1 "says nothing"
bad '{"rules": [{"match": "re:(", "keep": true}]}' 2 "rule 1"
bad '{"rulez": []}' 1 "unknown key 'rulez'"
bad '[]' 1 "a recipe is a JSON object"
bad '{"rules": [' 1 "bad.json"
expect_error 1 "none.json" "$PARE" quantize "$DEMO" -o x --recipe none.json
