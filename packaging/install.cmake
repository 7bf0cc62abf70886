# What `cmake --install` puts where.
install(TARGETS bl2mqtt RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
file(GLOB man_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.1)
install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/docs/man/bridge.yaml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${PROJECT_SOURCE_DIR}/schema/bridge.schema.json ${PROJECT_SOURCE_DIR}/schema/profile.schema.json
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bl2mqtt)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/bl2mqtt.service DESTINATION lib/systemd/system)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/bl2mqtt.modules-load.conf
  DESTINATION lib/modules-load.d RENAME bl2mqtt.conf)
install(FILES ${PROJECT_SOURCE_DIR}/bridge.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/bl2mqtt
  RENAME bridge.example.yaml)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/bl2mqtt.sysusers.conf
  DESTINATION lib/sysusers.d RENAME bl2mqtt.conf)
