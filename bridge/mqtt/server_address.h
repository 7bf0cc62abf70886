/* SPDX-License-Identifier: MIT */
/**
 * The broker's address as configured, and the plain words for why it cannot be reached.
 */
#ifndef BRIDGE_MQTT_SERVER_ADDRESS_H
#define BRIDGE_MQTT_SERVER_ADDRESS_H

#include "drivers/base/status.h"
#include "drivers/base/text.h"

#include <stdbool.h>
#include <stdint.h>

struct server_address {
    char uri[300]; /**< complete, with the port */
    char host[256];
    int port;
    bool tls;
};

/** mqtt://host[:port] or mqtts://host[:port]; default ports 1883 and 8883; IPv6 in brackets.
 *  STATUS_USAGE with the reason. */
enum status server_address_parse(const char *server, struct server_address *address,
                                 struct error *error);

/**
 * Tries on its own to look the host up and to open a TCP connection, and appends what stood in the
 * way as a clause: "the host name ... is not known; check mqtt.server". If nothing does, otherwise is
 * appended. Takes at most about timeout_ms. A lookup that takes longer goes on in the background
 * and is left to itself.
 */
void server_address_explain(const struct server_address *address, int64_t timeout_ms,
                            const char *otherwise, struct text *text);

#endif
