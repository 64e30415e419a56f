# SPDX-License-Identifier: Apache-2.0
# Lessons F2 and F3: data types; a small model in two of them.
. "$SRC/tests/cli/_lesson.sh"

lesson F2
count 1 'iinfo(min=0, max=255, dtype=uint8)'
count 1 'iinfo(min=-128, max=127, dtype=int8)'
count 1 'iinfo(min=-32768, max=32767, dtype=int16)'
count 1 'iinfo(min=-2.14748e+09, max=2.14748e+09, dtype=int32)'
count 1 'iinfo(min=-9.22337e+18, max=9.22337e+18, dtype=int64)'
count 1 'finfo(resolution=0.01, min=-3.38953e+38, max=3.38953e+38, eps=0.0078125, tiny=1.17549e-38, dtype=bfloat16)'
count 1 'finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38, eps=1.19209e-07, tiny=1.17549e-38, dtype=float32)'
count 1 'finfo(resolution=0.001, min=-65504, max=65504, eps=0.000976562, tiny=6.10352e-05, dtype=float16)'
count 1 'finfo(resolution=1e-15, min=-1.79769e+308, max=1.79769e+308, eps=2.22045e-16, tiny=2.22507e-308, dtype=float64)'
count 1 'fp64  0.333333333333333314829616256247390992939472198486328125000000'
count 1 'fp32  0.333333343267440795898437500000000000000000000000000000000000'
count 1 'fp16  0.333251953125000000000000000000000000000000000000000000000000'
count 1 'bf16  0.333984375000000000000000000000000000000000000000000000000000'
says '[0.8965, 0.0866, 0.8151, 0.4033, 0.4577]' '[0.8945, 0.0864, 0.8164, 0.4043, 0.4570]'
says '[0.6766, 0.5800, 0.4885, 0.5088, 0.5963]' '[0.6758, 0.5781, 0.4883, 0.5078, 0.5977]'
says '[0.4261, 0.2806, 0.9343, 0.9788, 0.1577]' '[0.4258, 0.2812, 0.9336, 0.9805, 0.1582]'
grep -q '^fp32 0 01111101 01010101010101010101011 ' text.txt || fail "lesson F2: bits of 1/3"

lesson f3
[ "$(grep -c 'is loaded in torch.float32$' text.txt)" -eq 11 ] || fail "lesson F3: 11 parameters"
[ "$(grep -c 'is loaded in torch.bfloat16$' text.txt)" -eq 11 ] || fail "lesson F3: 11 parameters in bf16"
says '[[-0.6872, 0.7132], [-0.6872, 0.7132], [-0.6872, 0.7132], [-0.6872, 0.7132]]' '0.71484375'
count 1 'Mean diff: 0.000997886061668396 | Max diff: 0.0016907453536987305'
says '989660400' '494832248' 'relative: 0.5000020693967345'
exit 0
