/* SPDX-License-Identifier: MIT */
/**
 * Eclipse Paho, loaded on demand. Debian has it twice, with and without TLS; the one with TLS brings OpenSSL along, two
 * megabytes of memory that a broker in the house has no use for. Only for connection.c.
 */
#ifndef BRIDGE_MQTT_PAHO_H
#define BRIDGE_MQTT_PAHO_H

#include "drivers/base/status.h"

#include <MQTTAsync.h>
#include <stdbool.h>

/** The functions used, under their names without MQTTAsync_ and MQTT. */
struct paho {
    __typeof__(&MQTTAsync_connect) connect;
    __typeof__(&MQTTAsync_create) create;
    __typeof__(&MQTTAsync_createWithOptions) create_with_options;
    __typeof__(&MQTTAsync_destroy) destroy;
    __typeof__(&MQTTAsync_disconnect) disconnect;
    __typeof__(&MQTTAsync_free) free;
    __typeof__(&MQTTAsync_freeMessage) free_message;
    __typeof__(&MQTTAsync_getVersionInfo) version_info;
    __typeof__(&MQTTAsync_global_init) global_init;
    __typeof__(&MQTTAsync_send) send;
    __typeof__(&MQTTAsync_setCallbacks) set_callbacks;
    __typeof__(&MQTTAsync_setDisconnected) set_disconnected;
    __typeof__(&MQTTAsync_strerror) strerror;
    __typeof__(&MQTTAsync_subscribe) subscribe;
    __typeof__(&MQTTProperties_add) properties_add;
    __typeof__(&MQTTProperties_free) properties_free;
    __typeof__(&MQTTProperties_getNumericValue) numeric_property;
    __typeof__(&MQTTProperties_hasProperty) has_property;
};

/** The one with or without TLS; the same table each time. NULL if it is not installed. From any thread. */
const struct paho *paho_load(bool tls, struct error *error);

#endif
