/* SPDX-License-Identifier: MIT */
/**
 * Does what others ask for on <base>/bridge/request/X and <base>/<device>/set, and answers. Each
 * request is one row of the table in requests.c; docs/mqtt.md describes them.
 */
#ifndef BRIDGE_SERVICE_REQUESTS_H
#define BRIDGE_SERVICE_REQUESTS_H

#include "bridge/mqtt/publisher.h"
#include "bridge/mqtt/requests.h"
#include "bridge/service/adoption.h"
#include "bridge/service/service_device.h"
#include "bridge/service/updates.h"

struct service_requests {
    const char *base_topic;
    struct publisher *publisher;
    struct log *log;
    struct adoption *adoption;
    struct updates *updates; /**< NULL: no folder of firmware is configured */
    struct service_device **devices;
    size_t device_count;
    /** Checks the configuration; if it is good, the service will end and begin again with it. */
    enum status (*reload)(void *context, struct error *error);
    /** Something in bridge/info has changed. */
    void (*changed)(void *context);
    /** Looks for OpenBeken modules, removing the announcements of clear_client unless it is NULL, and
     *  answers the request when it is done; takes the request over if STATUS_OK. */
    enum status (*search)(void *context, const struct request *request, int64_t duration_ms,
                          const char *clear_client, struct error *error);
    /** Copies the history, and answers the request when that is done; takes the request over if
     *  STATUS_OK. */
    enum status (*backup)(void *context, const struct request *request, struct error *error);
    /** Corrects the history of a channel, and answers the request when it is done; takes the request
     *  over if STATUS_OK. */
    enum status (*recalibrate)(void *context, const struct request *request, struct error *error);
    void *context;
};

/** Publishes the answer to a request. data is borrowed, NULL for {}. */
void service_respond(const char *base_topic, struct publisher *publisher,
                     const struct request *request, enum status status, const json_t *data,
                     const struct error *error);

void service_request(const struct service_requests *requests,
                     const struct publisher_incoming *message);

#endif
