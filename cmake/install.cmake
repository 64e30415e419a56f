# SPDX-License-Identifier: Apache-2.0
# cmake --install: headers, both libraries, the command, pkg-config and CMake package files, manual page, completions.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pare)

install(DIRECTORY include/pare DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS pare_static EXPORT pare_static_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT pare_static_targets NAMESPACE pare:: DESTINATION ${package_dir})
if(PARE_SHARED)
  install(TARGETS pare_shared EXPORT pare_targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT pare_targets NAMESPACE pare:: DESTINATION ${package_dir})
endif()
if(TARGET pare)
  install(TARGETS pare RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES ${PARE_GENERATED}/pare.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)
  install(FILES ${PARE_GENERATED}/pare.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME pare OPTIONAL)
  install(FILES ${PARE_GENERATED}/_pare DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions OPTIONAL)
  install(FILES ${PARE_GENERATED}/pare.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d OPTIONAL)
endif()
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples OPTIONAL FILES_MATCHING PATTERN "*.c" PATTERN "*.md" PATTERN "CMakeLists.txt")
install(FILES LICENSE NOTICE THIRD_PARTY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The prefix is found from where the file lies, so that `cmake --install --prefix` and moved trees work.
file(RELATIVE_PATH PARE_PREFIX_FROM_PC /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" PARE_PREFIX_FROM_PC "${PARE_PREFIX_FROM_PC}")
configure_file(cmake/pare.pc.in pare.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pare.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/pare-config.cmake.in pare-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(pare-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pare-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/pare-config-version.cmake DESTINATION ${package_dir})
