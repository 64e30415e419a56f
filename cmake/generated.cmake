# SPDX-License-Identifier: Apache-2.0
# Manual page and shell completions: the command writes them itself, from the tables that its help comes from.
set(PARE_GENERATED ${CMAKE_CURRENT_BINARY_DIR}/generated)
add_custom_command(
  OUTPUT ${PARE_GENERATED}/stamp
  COMMAND ${CMAKE_COMMAND} -DPARE=$<TARGET_FILE:pare> -DOUT=${PARE_GENERATED} -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/generate.cmake
  DEPENDS pare ${CMAKE_CURRENT_SOURCE_DIR}/cmake/generate.cmake
  COMMENT "Manual page and shell completions"
  VERBATIM)
add_custom_target(pare_generated ALL DEPENDS ${PARE_GENERATED}/stamp)
