# The fuzz targets: fuzz_NAME for each fuzz/fuzz_NAME.c, for the engine that COW_FUZZ names. `any` is whichever the environment is set up
# for, as OSS-Fuzz does: $CC, $CFLAGS and so on instrument, $LIB_FUZZING_ENGINE is what a target is linked with, and it is C++.
set(cow_engine -fsanitize=fuzzer)
if(COW_FUZZ STREQUAL any)
    if("$ENV{LIB_FUZZING_ENGINE}" STREQUAL "")
        message(FATAL_ERROR "COW_FUZZ=any links with $LIB_FUZZING_ENGINE, which is not set: see .clusterfuzzlite/build.sh")
    endif()
    enable_language(CXX)
    separate_arguments(cow_engine UNIX_COMMAND "$ENV{LIB_FUZZING_ENGINE}")
endif()

# What is instrumented for coverage steers the fuzzer; the rest would be noise. clang instruments what it is told to,
# afl-clang-fast, and who finds the flags in the environment, everything that it is not told to leave alone.
function(cow_steering yes_or_no)
    foreach(target IN LISTS ARGN)
        if(COW_FUZZ STREQUAL libfuzzer AND yes_or_no)
            target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
        elseif(NOT COW_FUZZ STREQUAL libfuzzer AND NOT yes_or_no)
            target_compile_options(${target} PRIVATE $<$<STREQUAL:${COW_FUZZ},any>:-fno-sanitize=fuzzer-no-link>)
            set_property(TARGET ${target} PROPERTY C_COMPILER_LAUNCHER
                ${CMAKE_COMMAND} -E env AFL_NOOPT=1 ${CMAKE_C_COMPILER_LAUNCHER})
        endif()
    endforeach()
endfunction()

# What makes mutants for AFL++ (libFuzzer finds the same functions in fuzz_program itself).
set(rig_mutator_sources afl_mutator mutate tweak gen gen_kernel program program_binary record)
list(TRANSFORM rig_mutator_sources REPLACE "(.+)" "fuzz/\\1.c")
if(COW_FUZZ STREQUAL afl)
    add_library(rig_mutator MODULE ${rig_mutator_sources})
    # Whoever loads it, afl-fuzz, is not sanitized; the last word counts.
    add_library(cow_unsanitized INTERFACE)
    target_compile_options(cow_unsanitized INTERFACE -fno-sanitize=all)
    target_link_options(cow_unsanitized INTERFACE -fno-sanitize=all)
    target_link_libraries(rig_mutator PRIVATE cow_build_flags cow_unsanitized)
    target_include_directories(rig_mutator PRIVATE impl/include)
    set_target_properties(rig_mutator PROPERTIES PREFIX "")
    cow_steering(NO rig_mutator)
endif()

# The pool steers; of fuzz_text, in which the pool does nothing, the forms of programs.
file(GLOB cow_forms_sources CONFIGURE_DEPENDS fuzz/program*.c fuzz/op_text.c fuzz/record.c fuzz/scan.c)
add_library(cow_forms STATIC ${cow_forms_sources})
target_include_directories(cow_forms PRIVATE fuzz reference impl/include)
target_link_libraries(cow_forms PRIVATE cow_build_flags)
cow_steering(YES cow_impl cow_forms)
# The checker is asked about pages that are not resident, and which those are depends on the kernel: it would be noise. So here it
# is a library of its own.
get_target_property(cow_steering_sources cow_impl SOURCES)
list(FILTER cow_steering_sources EXCLUDE REGEX "/impl/check\\.c$")
set_property(TARGET cow_impl PROPERTY SOURCES ${cow_steering_sources})
add_library(cow_check STATIC impl/check.c)
target_link_libraries(cow_check PUBLIC cow_impl PRIVATE cow_build_flags)
target_include_directories(cow_check PRIVATE impl)
target_link_libraries(cow_rig PUBLIC cow_check)
cow_steering(NO cow_rig cow_reference cow_check)

foreach(source IN LISTS cow_fuzz_sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    cow_steering(NO ${name})
    if(name STREQUAL fuzz_text)
        target_link_libraries(${name} PRIVATE cow_forms) # before cow_rig, which has them too
    endif()
    target_link_libraries(${name} PRIVATE cow_rig cow_build_flags ${cow_engine})
    if(COW_FUZZ STREQUAL any)
        set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
    endif()
endforeach()
if(TARGET rig_mutator)
    add_dependencies(fuzz_program rig_mutator) # whoever builds the one will run it with the other
endif()
