# The presets that need clang: `clang`, or the newest clang-N that is installed.
find_program(BL2MQTT_CLANG
  NAMES clang clang-24 clang-23 clang-22 clang-21 clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
if(NOT BL2MQTT_CLANG)
  message(FATAL_ERROR "This preset needs clang, which is not installed; scripts/install-dependencies test installs it.")
endif()
set(CMAKE_C_COMPILER ${BL2MQTT_CLANG})
