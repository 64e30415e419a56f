# SPDX-License-Identifier: Apache-2.0
# pare tensor: literals, files, given scales, all kinds of output.
. "$SRC/tests/cli/_lesson.sh"
T='[[191.6,-13.5,728.6],[92.14,295.5,-184],[0,684.6,245.5]]'

flat() { tr -d ' \n' <stdout >flat.txt; }
N=tensor
expect 0 "$PARE" tensor "$T" --course --granularity tensor --asymmetric --json
flat
says '"codes": [[-23, -81, 127], [-51, 6, -128], [-77, 114, -8]]' '"zero_points": [-77]' '"shape": [3, 3]' '"mse": 1.57297'
expect 0 "$PARE" tensor "$T" --course --scale 3.5 --zero-point -70 --json
flat
says '"codes": [[-15, -74, 127], [-44, 14, -123], [-70, 126, 0]]' '"dequantized": [[192.5, -14, 689.5], [91, 294, -185.5], [0, 686, 245]]'
expect 0 "$PARE" tensor "$T" --course --granularity channel --axis 1 --json
flat
says '"codes": [[127, -3, 127], [61, 55, -32], [0, 127, 43]]' '"scales": [1.50866150856'
expect 0 "$PARE" tensor '[[191.6,-13.5,728.6,92.14,295.5,-184],[0,684.6,245.5,1.5,-0.25,3]]' --course --group-size 3 --json
flat
says '"codes": [[33, -2, 127, 40, 127, -79], [0, 127, 46, 64, -11, 127]]'
expect 0 "$PARE" tensor "$T"
grep -q 'Original Tensor' stdout && grep -q '8-bit Linear Quantized Tensor' stdout && grep -q 'Quantization Error Tensor' stdout || fail "titles"
grep -q 'bits per weight' stdout || fail "statistics"
expect 0 "$PARE" tensor "$T" --bits 4 --group-size 2 --scale 100,60,110,90,200,50 --json
flat
says '"scales": [100, 60, 110, 90, 200, 50]'
expect 0 "$PARE" tensor '[1, 2, 3, -4]' --json
flat
says '"granularity": "tensor"' '"codes": [32, 64, 95, -127]'
expect 0 "$PARE" tensor "$T" --bits 3 --clip mse --json
expect 0 "$PARE" tensor '[[[1,2],[3,4]],[[5,6],[7,8]]]' --json
flat
says '"original": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]'

# pictures
expect 0 "$PARE" tensor "$T" --asymmetric --granularity tensor --plot four.svg
for number in 191.60 -23 193.26 1.66; do grep -q ">$number<" four.svg || fail "the picture lacks $number"; done
expect 0 "$PARE" tensor "$T" --plot four.png --like-course
[ "$(head -c 4 four.png | tail -c 3)" = PNG ] || fail "four.png is no PNG"

# files
if [ -e "$DEMO/model.safetensors" ]; then
    expect 0 "$PARE" tensor "$DEMO:model.layers.0.mlp.down_proj.weight" --scheme W4A16:g32
    grep -q 'each cell the mean of' stdout || fail "a large tensor is shown in means"
    expect_error 2 "name one" "$PARE" tensor "$DEMO"
    grep -q 'hint: for example' stderr || fail "no example of a name"
    expect_error 1 "has no tensor 'nothing'" "$PARE" tensor "$DEMO:nothing"
fi

# refusals
expect_error 2 "expected ',' or ']'" "$PARE" tensor '[1,2'
expect_error 2 "lists of different lengths" "$PARE" tensor '[[1,2],[3]]'
expect_error 2 "numbers at different depths" "$PARE" tensor '[[1],2]'
expect_error 2 "an empty list" "$PARE" tensor '[[]]'
expect_error 2 "more than 8 dimensions" "$PARE" tensor '[[[[[[[[[1]]]]]]]]]'
expect_error 1 "NaN or infinite" "$PARE" tensor '[1,nan]'
expect_error 2 "--zero-point needs --scale" "$PARE" tensor "$T" --zero-point 3
expect_error 2 "not a code of 4 bits" "$PARE" tensor "$T" --bits 4 --scale 100 --zero-point 8
expect_error 2 "--scale: needs one number, or 3 of them" "$PARE" tensor "$T" --granularity channel --scale 1,2
expect_error 2 "--clip" "$PARE" tensor "$T" --clip hard
expect_error 1 "no such file" "$PARE" tensor nowhere.safetensors:x
expect_error 2 ".png, .svg or .pdf" "$PARE" tensor "$T" --plot four.gif
[ ! -e four.gif ] || fail "a refused picture was written"
exit 0
