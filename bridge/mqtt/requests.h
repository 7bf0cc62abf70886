/* SPDX-License-Identifier: MIT */
/**
 * What others send to the bridge, and the answers: <base>/bridge/request/X with its response, and
 * <base>/<device>/set. Pure, and wary: the bytes come from anyone who may publish on the broker.
 * Whatever they are, the result is a request or a sentence saying what is wrong with them.
 */
#ifndef BRIDGE_MQTT_REQUESTS_H
#define BRIDGE_MQTT_REQUESTS_H

#include "drivers/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_NAME_SIZE 64
#define REQUEST_PAYLOAD_MAX 16384   /**< bytes */
#define REQUEST_DEPTH_MAX 8         /**< nested objects and arrays */
#define REQUEST_TRANSACTION_MAX 128 /**< bytes of a transaction that is text */

struct request {
    char name[REQUEST_NAME_SIZE]; /**< X in lower case: "health_check", "device/energy/set" */
    json_t *body;        /**< the payload's object; NULL when the payload was not an object */
    char *plain;         /**< the payload as text when it was not an object ("" for an empty one),
                              else NULL */
    json_t *transaction; /**< to be echoed: text or an integer; NULL none */
};

/** True if topic is <base>/bridge/request/X with a well-formed X (letters, digits, _ and /). */
bool request_topic(const char *base_topic, const char *topic, char name[REQUEST_NAME_SIZE]);

/**
 * Fills *request, to be freed with request_free also after an error, because a transaction that could
 * be read is echoed with the error. STATUS_USAGE when the payload is too long, nested too deeply, not
 * UTF-8, not JSON although it begins like an object, or has the same key twice.
 */
enum status request_parse(const char *name, const char *payload, size_t length,
                          struct request *request, struct error *error);
void request_free(struct request *request);

/** Strict access to the body: STATUS_USAGE if the key is missing, of another type, or outside the
 *  bounds (for text: longer than size - 1 bytes). */
enum status request_number(const struct request *request, const char *key, double low, double high,
                           double *value, struct error *error);
enum status request_text(const struct request *request, const char *key, char *text, size_t size,
                         struct error *error);

/**
 * The response as JSON text, to be freed: {"status":"ok","data":{...}} or
 * {"status":"error","data":{},"error":"..."}, and the transaction if there was one. data is borrowed,
 * NULL for {}; error is only used when status is not STATUS_OK.
 */
char *response_format(const struct request *request, enum status status, const json_t *data,
                      const struct error *error);

/** What <base>/<device>/set asks for. */
struct settings {
    bool has_report_interval;
    int64_t report_interval_ms;
};

/** {"report_interval": 10}; update_frequency is accepted as Zigbee2MQTT's name for the same. At least
 *  one setting, no unknown ones. STATUS_USAGE with the reason otherwise. */
enum status settings_parse(const char *payload, size_t length, struct settings *settings,
                           struct error *error);

#endif
