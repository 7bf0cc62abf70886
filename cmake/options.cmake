# How the code is compiled: warnings for all, sanitizers and coverage by preset (CMakePresets.json).
option(BL2MQTT_TESTS "Build unit tests" ON)
option(BL2MQTT_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(BL2MQTT_COVERAGE "Compile with gcov counters" OFF)
option(BL2MQTT_WERROR "Treat warnings as errors" ON)
set(BL2MQTT_SANITIZE "" CACHE STRING "Sanitizers, comma separated: address,undefined or thread")

add_library(project_options INTERFACE)
target_include_directories(project_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(project_options INTERFACE _GNU_SOURCE BL2MQTT_VERSION="${PROJECT_VERSION}")
target_compile_options(project_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
  -fno-common $<$<BOOL:${BL2MQTT_WERROR}>:-Werror>)

if(CMAKE_BUILD_TYPE MATCHES "Release|RelWithDebInfo" AND NOT BL2MQTT_SANITIZE)
  target_compile_options(project_options INTERFACE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE)
  target_link_options(project_options INTERFACE -pie -Wl,-z,relro,-z,now -Wl,--as-needed)
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
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
# Debian's paho-mqtt3as is 1.3.12 but calls itself 1.3.11, so no version is asked for.
find_package(OpenSSL REQUIRED) # its exported target names OpenSSL but does not look for it
find_package(eclipse-paho-mqtt-c REQUIRED)
find_package(Threads REQUIRED)
