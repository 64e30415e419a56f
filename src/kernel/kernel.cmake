# SPDX-License-Identifier: Apache-2.0
# Compiles src/kernel/ref/*.c and level.c once per ISA level into pare_objects, and the hand-written x86/*_<level>.c once. A level is
# one line in isa.def and one flags variable here. Included by the top CMakeLists.txt after pare_objects exists.
include(CheckCCompilerFlag)

set(PARE_KERNEL_LEVELS ref)
set(PARE_KERNEL_FLAGS_ref "")
set(PARE_KERNEL_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(PARE_KERNEL_FLAGS_avx512 ${PARE_KERNEL_FLAGS_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx512bf16 -mavx512vbmi -mgfni
    -mprefer-vector-width=512)
set(PARE_KERNEL_FLAGS_amx ${PARE_KERNEL_FLAGS_avx512} -mamx-tile -mamx-bf16 -mamx-int8)
# Same bits at every level: no contraction into fma. The other two only free the vectorizer from errno and exception flags.
set(PARE_KERNEL_COMMON -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math)
# Fuzzers are for parsers. Unrolled kernels with sanitizers take clang 14 up to nine minutes a file; the tests run them with those of GCC.
if(PARE_FUZZ)
    list(APPEND PARE_KERNEL_COMMON -fno-sanitize=all)
endif()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    foreach(level avx2 avx512 amx)
        string(REPLACE ";" " " flags "${PARE_KERNEL_FLAGS_${level}}")
        check_c_compiler_flag("${flags}" PARE_COMPILER_HAS_${level})
        if(PARE_COMPILER_HAS_${level})
            list(APPEND PARE_KERNEL_LEVELS ${level})
        else()
            target_compile_definitions(pare_objects PRIVATE PARE_WITHOUT_${level})
        endif()
    endforeach()
endif()

file(GLOB PARE_KERNEL_REFS CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/ref/*.c)
list(APPEND PARE_KERNEL_REFS ${CMAKE_CURRENT_LIST_DIR}/level.c)
# level.c needs PARE_LEVEL: take it out of what a glob over src/kernel/*.c may have added, and add it per level below.
get_target_property(sources pare_objects SOURCES)
list(FILTER sources EXCLUDE REGEX "src/kernel/level\\.c$")
set_target_properties(pare_objects PROPERTIES SOURCES "${sources}")

foreach(level ${PARE_KERNEL_LEVELS})
    foreach(ref ${PARE_KERNEL_REFS})
        get_filename_component(name ${ref} NAME_WE)
        file(RELATIVE_PATH path ${CMAKE_CURRENT_LIST_DIR}/.. ${ref})
        set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/kernel/${level}/${name}_${level}.c)
        file(CONFIGURE OUTPUT ${wrapper} @ONLY
             CONTENT "/* Made by kernel.cmake: @path@ at level @level@. */\n#define PARE_LEVEL @level@\n#include \"@path@\"\n")
        set_source_files_properties(${wrapper} PROPERTIES COMPILE_OPTIONS "${PARE_KERNEL_COMMON};${PARE_KERNEL_FLAGS_${level}}")
        target_sources(pare_objects PRIVATE ${wrapper})
    endforeach()
    file(GLOB variants CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/x86/*_${level}.c)
    set_source_files_properties(${variants} PROPERTIES COMPILE_OPTIONS "${PARE_KERNEL_COMMON};${PARE_KERNEL_FLAGS_${level}}")
    target_sources(pare_objects PRIVATE ${variants})
endforeach()
