# How the code is compiled: warnings for all, sanitizers and coverage by preset (CMakePresets.json).
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)

option(BL2MQTT_TESTS "Build unit tests" ON)
option(BL2MQTT_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(BL2MQTT_COVERAGE "Compile with gcov counters" OFF)
# Off unless a preset for development or CI asks: a newer compiler's new warning must not stop a user's build.
option(BL2MQTT_WERROR "Treat warnings as errors" OFF)
set(BL2MQTT_SANITIZE "" CACHE STRING "Sanitizers, comma separated: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

add_library(project_options INTERFACE)
target_include_directories(project_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(project_options INTERFACE _GNU_SOURCE)
target_compile_options(project_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
  -fno-common $<$<BOOL:${BL2MQTT_WERROR}>:-Werror>)

# On 32-bit machines: files over 2 GiB, inode numbers of 64 bits and years after 2038.
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  target_compile_definitions(project_options INTERFACE _FILE_OFFSET_BITS=64 _TIME_BITS=64)
endif()

# hardening_flag(FLAG): adds the flag where the compiler has it for this processor.
function(hardening_flag flag)
  string(MAKE_C_IDENTIFIER "HAVE${flag}" variable)
  set(CMAKE_REQUIRED_FLAGS -Werror)
  check_c_compiler_flag(${flag} ${variable})
  if(${variable})
    target_compile_options(project_options INTERFACE ${flag})
  endif()
endfunction()

# Packagers build with None and flags of their own, which may lack some of these; FORTIFY wants optimisation.
if(CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$" OR CMAKE_C_FLAGS MATCHES "-O[123s]")
  set(BL2MQTT_OPTIMISED ON)
endif()
if(BL2MQTT_OPTIMISED AND NOT BL2MQTT_SANITIZE)
  # glibc warns where it would take level 3 for level 2.
  set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
  check_c_source_compiles("#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }" HAVE_FORTIFY_3)
  unset(CMAKE_REQUIRED_FLAGS)
  target_compile_options(project_options INTERFACE -U_FORTIFY_SOURCE
    -D_FORTIFY_SOURCE=$<IF:$<BOOL:${HAVE_FORTIFY_3}>,3,2> -fPIE)
  hardening_flag(-fstack-protector-strong)
  hardening_flag(-fstack-clash-protection)
  hardening_flag(-fcf-protection=full)         # x86
  hardening_flag(-mbranch-protection=standard) # arm64
  target_link_options(project_options INTERFACE -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
endif()

if(BL2MQTT_SANITIZE)
  target_compile_options(project_options INTERFACE
    -fsanitize=${BL2MQTT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(project_options INTERFACE -fsanitize=${BL2MQTT_SANITIZE})
endif()

if(BL2MQTT_FUZZ)
  target_compile_options(project_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  target_link_options(project_options INTERFACE -fsanitize=address,undefined)
endif()

if(BL2MQTT_COVERAGE)
  target_compile_options(project_options INTERFACE --coverage)
  target_link_options(project_options INTERFACE --coverage)
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(SERIALPORT REQUIRED IMPORTED_TARGET libserialport)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.37)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.14)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.71)
pkg_check_modules(CURL REQUIRED libcurl>=7.85)
pkg_check_modules(WEBSOCKETS REQUIRED libwebsockets>=4.1)
find_library(WEBSOCKETS_LIBRARY websockets REQUIRED)
get_filename_component(WEBSOCKETS_LIBRARY_FILE "${WEBSOCKETS_LIBRARY}" REALPATH)
get_filename_component(WEBSOCKETS_LIBRARY_FILE "${WEBSOCKETS_LIBRARY_FILE}" NAME) # with its version, as it is loaded
# Debian's paho-mqtt3as is 1.3.12 but calls itself 1.3.11, so no version is asked for.
find_package(OpenSSL REQUIRED) # its exported target names OpenSSL but does not look for it
find_package(eclipse-paho-mqtt-c REQUIRED)
find_package(Threads REQUIRED)
