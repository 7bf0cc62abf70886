# bl2mqtt_module(NAME SOURCES a.c b.c LINKS base PkgConfig::UV): one folder of the house as a static library.
# LINKS is the module's whole list of what it may stand on; scripts/lint checks who includes whom.
function(bl2mqtt_module name)
  cmake_parse_arguments(MODULE "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${MODULE_SOURCES})
  target_link_libraries(${name} PUBLIC project_options ${MODULE_LINKS})
  set_property(GLOBAL APPEND PROPERTY BL2MQTT_MODULES ${name})
endfunction()
