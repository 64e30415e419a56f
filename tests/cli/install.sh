# SPDX-License-Identifier: Apache-2.0
# Installs into an empty place and builds the five examples against what is there: pkg-config, CMake package, shared and static.
. "$SRC/tests/cli/lib.sh" || exit 1
BUILD=$(dirname "$PARE")
[ -f "$BUILD/cmake_install.cmake" ] || skip "not a CMake build folder: $BUILD"
sanitized && skip "the sanitized build is not for installing"
ls "$BUILD"/libpare.so >/dev/null 2>&1 || skip "no shared library in this build"
cmake --install "$BUILD" --prefix "$PWD/prefix" >install.log 2>&1 || { cat install.log; fail "install"; }
for f in bin/pare include/pare/pare.h include/pare/report.h share/man/man1/pare.1; do
    find prefix/"$f"* >/dev/null 2>&1 || fail "$f is not installed"
done
find prefix -name 'libpare.a' | grep -q . || fail "no static library"
find prefix -name 'pareConfig.cmake' -o -name 'pare-config.cmake' | grep -q . || fail "no CMake package"
find prefix -path '*completion*' -name '*pare*' | grep -q . || fail "no completions"
PKG_CONFIG_PATH=$(dirname "$(find "$PWD/prefix" -name pare.pc)")
export PKG_CONFIG_PATH
LIBDIR=$(dirname "$(find "$PWD/prefix" -name libpare.so)")
same "$(pkg-config --modversion pare)" "$("$PARE" --version | cut -d' ' -f2)" "version in pare.pc"
CC=${CC:-cc}
for e in "$SRC"/examples/*.c; do
    name=$(basename "$e" .c)
    # shellcheck disable=SC2046
    $CC -std=c11 -Wall -Wextra -Werror -o "$name" "$e" $(pkg-config --cflags --libs pare) -lm || fail "$name does not build"
done
export LD_LIBRARY_PATH=$LIBDIR
./01_quantize_array | grep -q 'bits per weight' || fail "01"
./02_pack_bits | grep -q 'packed: 177 255' || fail "02"
./03_inspect_checkpoint "$DEMO" | grep -q 'LlamaForCausalLM' || fail "03"
./04_quantize_model "$DEMO" quantized 2>/dev/null | grep -q 'bits per quantized weight' || fail "04"
./05_sweep_and_plot "$DEMO" sweep.svg | grep -q 'channel' || fail "05"
grep -q '<svg' sweep.svg || fail "05 drew nothing"
# static, and through the CMake package
$CC -std=c11 -o static_example "$SRC/examples/02_pack_bits.c" $(pkg-config --cflags pare) "$LIBDIR/libpare.a" $(pkg-config --static --libs-only-l pare | sed 's/-lpare//') || fail "static"
./static_example | grep -q 177 || fail "static"
mkdir app && cp "$SRC/examples/02_pack_bits.c" app/main.c && cat >app/CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.22)
project(app LANGUAGES C)
find_package(pare REQUIRED)
add_executable(app main.c)
target_link_libraries(app PRIVATE pare::pare)
C
cmake -S app -B app/build -DCMAKE_PREFIX_PATH="$PWD/prefix" >cmake.log 2>&1 && cmake --build app/build >>cmake.log 2>&1 || { cat cmake.log; fail "find_package(pare)"; }
app/build/app | grep -q 177 || fail "CMake package"
