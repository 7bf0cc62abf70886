/* SPDX-License-Identifier: MIT */
/**
 * A request to a running bridge and its answer, for commands: connects, asks on
 * <base>/bridge/request/X, waits for the response with the same transaction.
 */
#ifndef BRIDGE_MQTT_ASK_H
#define BRIDGE_MQTT_ASK_H

#include "bridge/mqtt/publisher.h"
#include "drivers/base/status.h"

#include <jansson.h>
#include <stdint.h>

/**
 * bridge_id: whose answer is wanted; if the retained <base>/bridge/info is another bridge's, nothing is
 * asked (STATUS_REFUSED), and a refusal waits a second for the answer of the one that is meant. NULL:
 * whoever answers. connection: server, user, TLS and so on; client id, will, log and wake are chosen here. body is
 * borrowed and gets the transaction. *data (json_decref) is the response's. STATUS_NO_ANSWER: no
 * broker, or no bridge that answers; STATUS_FAILED: the bridge refused, with its sentence.
 */
enum status bridge_ask(const struct publisher_options *connection, const char *base_topic,
                       const char *bridge_id, const char *request, json_t *body, int64_t timeout_ms,
                       json_t **data, struct error *error);

#endif
