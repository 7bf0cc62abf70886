/* SPDX-License-Identifier: MIT */
/**
 * The MQTT door to the requests: takes <base>/bridge/request/X in and publishes the answer on
 * <base>/bridge/response/X; takes <base>/<device>/set, set/<key> and get, which have no answer. Retained
 * messages are ignored: they would be carried out again at every start. Loop thread only.
 */
#ifndef BRIDGE_MQTT_REQUEST_DOOR_H
#define BRIDGE_MQTT_REQUEST_DOOR_H

#include "bridge/mqtt/publisher.h"
#include "bridge/requests/requests.h"
#include "drivers/base/log.h"

#define REQUEST_DOOR_ANSWER_MAX 262144 /**< bytes; longer answers are refused, naming HTTP */

struct request_door_options {
    struct requests *requests;
    struct publisher *publisher;
    const char *base_topic; /**< copied */
    struct log *log;
    /** <device>/set, with key NULL, or <device>/set/<key>. False: there is no such device. */
    bool (*set)(void *context, const char *device, const char *key, const char *payload,
                size_t length);
    /** <device>/get: the state is to be published now. False: there is no such device. */
    bool (*get)(void *context, const char *device);
    void *context;
};

struct mqtt_door;

/** Tells the publisher to subscribe. */
struct mqtt_door *mqtt_door_create(const struct request_door_options *options);
/** After requests_free, before publisher_close. NULL is allowed. */
void mqtt_door_free(struct mqtt_door *door);

/** True if the message was for this door. */
bool mqtt_door_incoming(struct mqtt_door *door, const struct publisher_incoming *incoming);

/** Takes "<device>/set", "<device>/set/<key>" or "<device>/get" apart: the parts are copied, key "" if there
 *  is none. False if it is none of them, or a part is too long. Pure. */
enum device_order { DEVICE_ORDER_NONE, DEVICE_ORDER_SET, DEVICE_ORDER_GET };
enum device_order mqtt_door_device_order(const char *rest, char device[64], char key[64]);

#endif
