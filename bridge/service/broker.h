/* SPDX-License-Identifier: MIT */
/** How to reach the broker that bridge.yaml names. */
#ifndef BRIDGE_SERVICE_BROKER_H
#define BRIDGE_SERVICE_BROKER_H

#include "bridge/config/config.h"
#include "bridge/mqtt/publisher.h"

/** Server, user, TLS and so on, borrowed from mqtt; client id, will, log and wake are the caller's. */
struct publisher_options broker_options(const struct config_mqtt *mqtt);

#endif
