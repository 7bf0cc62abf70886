/* SPDX-License-Identifier: MIT */
/**
 * Does what others ask for on <base>/bridge/request/X and <base>/<device>/set, and answers. Each
 * request is one row of the table in requests.c; docs/mqtt.md describes them.
 */
#ifndef BRIDGE_SERVICE_REQUESTS_H
#define BRIDGE_SERVICE_REQUESTS_H

#include "bridge/mqtt/publisher.h"
#include "bridge/service/service_device.h"

struct service_requests {
    const char *base_topic;
    struct publisher *publisher;
    struct log *log;
    struct service_device **devices;
    size_t device_count;
};

/** What the caller still has to do. */
enum request_outcome { REQUEST_DONE, REQUEST_LOG_LEVEL, REQUEST_RESTART };

enum request_outcome service_request(const struct service_requests *requests,
                                     const struct publisher_incoming *message);

#endif
