# SPDX-License-Identifier: Apache-2.0
# Compiler flags. pare_compile: the library and its tests; pare_compile_cli: programs that use the public headers only.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

set(PARE_WARNINGS -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings)

# GCC cannot know that pare_fail() never returns PARE_OK, so this one cries wolf after every early return. The sanitizer
# builds and clang's own analysis look for what it is meant to find.
if(CMAKE_C_COMPILER_ID STREQUAL GNU)
  list(APPEND PARE_WARNINGS -Wno-maybe-uninitialized)
endif()

# Same bits everywhere: no contraction into fma behind our back, no fast-math. What is switched off here are only errno and
# floating-point traps, which nobody looks at.
set(PARE_MATH -ffp-contract=off -fno-math-errno -fno-trapping-math)

add_library(pare_compile_cli INTERFACE)
target_compile_options(pare_compile_cli INTERFACE ${PARE_WARNINGS} ${PARE_MATH})
target_compile_definitions(pare_compile_cli INTERFACE _GNU_SOURCE)
target_include_directories(pare_compile_cli INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/include)

add_library(pare_compile INTERFACE)
target_compile_options(pare_compile INTERFACE ${PARE_WARNINGS} ${PARE_MATH} -fPIC -fvisibility=hidden)
target_compile_definitions(pare_compile INTERFACE _GNU_SOURCE PARE_BUILD_SHARED)
target_include_directories(pare_compile INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/include ${CMAKE_CURRENT_SOURCE_DIR}/src)

add_link_options(LINKER:--as-needed)

if(PARE_SANITIZE AND PARE_TSAN)
  message(FATAL_ERROR "PARE_SANITIZE and PARE_TSAN exclude each other")
endif()
if(PARE_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=address,undefined)
elseif(PARE_TSAN)
  add_compile_options(-fsanitize=thread -g)
  add_link_options(-fsanitize=thread)
endif()
if(PARE_COVERAGE)
  add_compile_options(--coverage -O1)
  add_link_options(--coverage)
endif()
if(PARE_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "PARE_FUZZ needs clang: cmake -DCMAKE_C_COMPILER=clang")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
