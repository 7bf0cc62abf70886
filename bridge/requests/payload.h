/* SPDX-License-Identifier: MIT */
/**
 * The bytes of a request, taken apart. Pure, and wary: they come from anyone who may publish on the broker
 * or reach the HTTP port. Whatever they are, the result is a payload or a sentence that says what is wrong.
 */
#ifndef BRIDGE_REQUESTS_PAYLOAD_H
#define BRIDGE_REQUESTS_PAYLOAD_H

#include "drivers/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct payload {
    json_t *body; /**< the object; NULL when the payload was no object */
    char *plain;  /**< the payload as text when it was no object ("" for an empty one), else NULL.
                              A JSON string comes without its quotes */
    json_t *transaction; /**< to be echoed: text or an integer; NULL none */
};

/** Fits X, "device/energy/set", into name in lower case. False: empty, too long, or other characters than
 *  letters, digits, _ and /. */
bool payload_name(const char *text, char *name, size_t size);

/**
 * Fills *payload, to be freed with payload_free also after an error, because a transaction that could be
 * read is echoed with the error. STATUS_USAGE when the payload is too long, nested too deeply, not UTF-8,
 * not JSON although it begins like an object, or has the same key twice.
 */
enum status payload_parse(const char *bytes, size_t length, struct payload *payload,
                          struct error *error);
void payload_free(struct payload *payload);

/**
 * The response as JSON text, to be freed: {"status":"ok","data":...} or {"status":"error","data":{},
 * "error":"..."}, and the transaction (borrowed, NULL: none). data: JSON text, NULL for {}; error is only
 * used when status is not STATUS_OK.
 */
char *payload_response(enum status status, const char *data, size_t data_length,
                       const struct error *error, const json_t *transaction);

#endif
