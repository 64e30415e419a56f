# SPDX-License-Identifier: Apache-2.0
# What libpare is built on; all of it comes from the distribution (tools/install_deps names the packages).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(XXHASH REQUIRED libxxhash>=0.8) # its header alone: nothing is linked
pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8>=10.40)      # regular expressions of tokenizers
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)         # Unicode normalization of tokenizers

set(PARE_PKGCONFIG_REQUIRES "jansson libcrypto zlib cairo libpcre2-8 libutf8proc")
set(PARE_LINK_LIBRARIES PkgConfig::JANSSON PkgConfig::CRYPTO PkgConfig::ZLIB PkgConfig::CAIRO PkgConfig::PCRE2 PkgConfig::UTF8PROC Threads::Threads m)

# Only the header directories matter for compiling.
foreach(dependency JANSSON CRYPTO ZLIB CAIRO PCRE2 UTF8PROC XXHASH)
  target_include_directories(pare_compile SYSTEM INTERFACE ${${dependency}_INCLUDE_DIRS})
endforeach()
