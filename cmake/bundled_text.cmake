# SPDX-License-Identifier: Apache-2.0
# calibration/*.txt become a source of the library, so that calibration works wherever the command is installed.
file(GLOB calibration_texts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/calibration/*.txt)
list(SORT calibration_texts)
add_executable(pare_embed_text tools/embed_text.c)
target_link_libraries(pare_embed_text PRIVATE PkgConfig::ZLIB)
set(PARE_BUNDLED_TEXT ${CMAKE_CURRENT_BINARY_DIR}/generated/bundled_text.c)
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/generated)
add_custom_command(
  OUTPUT ${PARE_BUNDLED_TEXT}
  COMMAND pare_embed_text ${PARE_BUNDLED_TEXT} ${calibration_texts}
  DEPENDS pare_embed_text ${calibration_texts}
  COMMENT "Bundled calibration text"
  VERBATIM)
list(APPEND library_sources ${PARE_BUNDLED_TEXT})
