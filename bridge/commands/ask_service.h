/* SPDX-License-Identifier: MIT */
/** A request of a command to the service that runs with the same configuration. */
#ifndef BRIDGE_COMMANDS_ASK_SERVICE_H
#define BRIDGE_COMMANDS_ASK_SERVICE_H

#include "bridge/config/config.h"
#include "drivers/base/status.h"

#include <jansson.h>
#include <stdint.h>

/** As bridge_ask (bridge/mqtt/ask.h), over that configuration's broker; takes body. */
enum status ask_service(const struct config *config, const char *request, json_t *body,
                        int64_t timeout_ms, json_t **data, struct error *error);

#endif
