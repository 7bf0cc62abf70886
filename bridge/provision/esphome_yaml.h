/* SPDX-License-Identifier: MIT */
/**
 * The ESPHome configuration for a module that a profile describes, so that the bridge reads all of its
 * chips: as registers over MQTT (driver: esphome), or its UARTs over TCP (driver: bl0942).
 */
#ifndef BRIDGE_PROVISION_ESPHOME_YAML_H
#define BRIDGE_PROVISION_ESPHOME_YAML_H

#include "bridge/provision/profile.h"

enum esphome_road { ESPHOME_MQTT, ESPHOME_TCP };

#define ESPHOME_NODE_MAX 31

/** True for 1 to 31 of a-z, 0-9 and -, as ESPHome wants names. */
bool esphome_node_is_good(const char *node);

/**
 * Appends the whole file, with the lines for bridge.yaml in a comment. Wi-Fi and broker come from
 * ESPHome's own secrets.yaml. STATUS_USAGE if the profile is of no module.
 */
enum status esphome_yaml_append(const struct profile *profile, const char *node,
                                enum esphome_road road, struct text *text, struct error *error);

/** The lines for bridge.yaml with which driver esphome reads a module that runs this file. name "" none. */
void esphome_bridge_append(const struct profile *profile, const char *node, const char *name,
                           struct text *text);

#endif
