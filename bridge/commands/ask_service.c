/* SPDX-License-Identifier: MIT */
#include "bridge/commands/ask_service.h"

#include "bridge/mqtt/ask.h"
#include "bridge/service/broker.h"

enum status ask_service(const struct config *config, const char *request, json_t *body,
                        int64_t timeout_ms, json_t **data, struct error *error)
{
    const struct publisher_options connection = broker_options(&config->mqtt);
    /* A broker that options name has whichever bridge is there. */
    const char *bridge_id = config->bridge.id[0] != '\0' ? config->bridge.id : NULL;
    enum status status = bridge_ask(&connection, config->mqtt.base_topic, bridge_id, request, body,
                                    timeout_ms, data, error);
    json_decref(body);
    return status;
}
