/* SPDX-License-Identifier: MIT */
/** What a configuration says about the broker, beyond its spelling: the TLS files, and the broker itself. */
#ifndef BRIDGE_COMMANDS_CHECK_BROKER_H
#define BRIDGE_COMMANDS_CHECK_BROKER_H

#include "bridge/config/config.h"
#include "drivers/base/status.h"

/** STATUS_USAGE if mqtt.ca, mqtt.cert or mqtt.key cannot be read or is no PEM file. */
enum status check_tls_files(const struct config_mqtt *mqtt, struct error *error);

/** Connects. STATUS_NO_ANSWER: the broker is not there, or refuses; error has the reason.
 *  STATUS_USAGE: another bridge publishes on the same base_topic. */
enum status check_broker(const struct config *config, struct error *error);

#endif
