# Catch2 v2 is one large header: it and its main are compiled once, and every test program reuses both.
add_library(sluice_catch_main OBJECT "${PROJECT_SOURCE_DIR}/tests/catch_main.cc")
target_link_libraries(sluice_catch_main PUBLIC Catch2::Catch2 PRIVATE sluice_build_options)
# g++ 12 with AddressSanitizer finds std::regex, which Catch2's main uses, not initialised: not our code, not true.
set(SLUICE_CATCH_MAIN_OPTIONS $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_compile_options(sluice_catch_main PRIVATE ${SLUICE_CATCH_MAIN_OPTIONS})

add_executable(sluice_catch_pch "${PROJECT_SOURCE_DIR}/tests/catch_pch.cc")
target_link_libraries(sluice_catch_pch PRIVATE sluice_build_options Catch2::Catch2)
target_precompile_headers(sluice_catch_pch PRIVATE <catch2/catch.hpp>)

# One test program; each TEST_CASE becomes a ctest of its own, so that they run in parallel.
#   sluice_add_test_program(NAME SOURCES a_test.cc ... LIBRARIES lib... [LABELS label...] [TIMEOUT_S n])
function(sluice_add_test_program name)
  cmake_parse_arguments(ARG "" "TIMEOUT_S" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT_S)
    set(ARG_TIMEOUT_S 120)
  endif()
  add_executable(${name} ${ARG_SOURCES} $<TARGET_OBJECTS:sluice_catch_main>)
  target_link_libraries(${name} PRIVATE sluice_build_options Catch2::Catch2 ${ARG_LIBRARIES})
  target_precompile_headers(${name} REUSE_FROM sluice_catch_pch)
  catch_discover_tests(${name} TEST_PREFIX "${name}: "
    PROPERTIES TIMEOUT ${ARG_TIMEOUT_S} LABELS "${ARG_LABELS}")
endfunction()
