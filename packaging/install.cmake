# What `cmake --install` puts where, and `--target uninstall` takes away again.
install(TARGETS bl2mqtt RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
file(GLOB man_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.1)
install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/docs/man/bridge.yaml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${PROJECT_SOURCE_DIR}/schema/bridge.schema.json ${PROJECT_SOURCE_DIR}/schema/profile.schema.json
  ${PROJECT_SOURCE_DIR}/schema/mapping.schema.json
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bl2mqtt)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/bl2mqtt.modules-load.conf
  DESTINATION lib/modules-load.d RENAME bl2mqtt.conf)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/60-bl2mqtt.rules DESTINATION lib/udev/rules.d)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/bl2mqtt.sysusers.conf
  DESTINATION lib/sysusers.d RENAME bl2mqtt.conf)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/bl2mqtt.bash-completion
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME bl2mqtt)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The example for an installed service: an absolute data_dir, and no made-up devices.
file(READ ${PROJECT_SOURCE_DIR}/bridge.yaml example)
string(REPLACE "  #data_dir: ./data               #" "  data_dir: /var/lib/bl2mqtt      #" example "${example}")
string(FIND "${example}" "\ndevices:\n" devices_at)
if(devices_at EQUAL -1 OR NOT example MATCHES "\n  data_dir: /var/lib/bl2mqtt")
  message(FATAL_ERROR "packaging/install.cmake no longer finds data_dir or devices in bridge.yaml")
endif()
string(SUBSTRING "${example}" 0 ${devices_at} before_devices)
file(READ ${PROJECT_SOURCE_DIR}/packaging/devices.yaml devices)
file(WRITE ${PROJECT_BINARY_DIR}/packaging/bridge.yaml "${before_devices}\n${devices}")
install(FILES ${PROJECT_BINARY_DIR}/packaging/bridge.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/bl2mqtt
  RENAME bridge.example.yaml)

# The unit names the binary by its path, which is known only when `cmake --install --prefix` says it.
set(BL2MQTT_BINDIR ${CMAKE_INSTALL_FULL_BINDIR})
configure_file(${PROJECT_SOURCE_DIR}/packaging/bl2mqtt.service.in ${PROJECT_BINARY_DIR}/packaging/bl2mqtt.service @ONLY)
install(CODE "
  set(BL2MQTT_BINDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  configure_file(\"${PROJECT_SOURCE_DIR}/packaging/bl2mqtt.service.in\"
    \"${PROJECT_BINARY_DIR}/packaging/install/bl2mqtt.service\" @ONLY)")
install(FILES ${PROJECT_BINARY_DIR}/packaging/install/bl2mqtt.service DESTINATION lib/systemd/system)

add_custom_target(uninstall
  COMMAND ${CMAKE_COMMAND} -DMANIFEST=${PROJECT_BINARY_DIR}/install_manifest.txt
    -P ${PROJECT_SOURCE_DIR}/cmake/uninstall.cmake
  COMMENT "Removes what cmake --install has installed; configuration and history stay")
