/* SPDX-License-Identifier: MIT */
#include "bridge/service/broker.h"

struct publisher_options broker_options(const struct config_mqtt *mqtt)
{
    return (struct publisher_options){
        .server = mqtt->server,
        .user = mqtt->user,
        .password = mqtt->password,
        .keepalive_ms = mqtt->keepalive_ms,
        .version = mqtt->version,
        .ca = mqtt->ca,
        .cert = mqtt->cert,
        .key = mqtt->key,
        .insecure = mqtt->insecure,
        .no_retain = !mqtt->retain,
    };
}
