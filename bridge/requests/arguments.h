/* SPDX-License-Identifier: MIT */
/**
 * The arguments of a request as rows: key, type, bounds, whether it is required, meaning. From the rows
 * come the checks, the JSON Schema and the reference. Pure.
 */
#ifndef BRIDGE_REQUESTS_ARGUMENTS_H
#define BRIDGE_REQUESTS_ARGUMENTS_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <jansson.h>
#include <stdbool.h>

enum request_type {
    REQUEST_TEXT,    /**< low..high: bytes; high 0: at most 255 */
    REQUEST_DEVICE,  /**< a text: the id of a device, or its name; the handler gets the id */
    REQUEST_CHOICE,  /**< one of `words`, without regard to case */
    REQUEST_NUMBER,  /**< low..high */
    REQUEST_INTEGER, /**< low..high; 10.0 is accepted as 10 */
    REQUEST_FLAG,    /**< true or false */
    REQUEST_LIST,    /**< of texts; low..high: how many */
    REQUEST_OBJECT,  /**< the handler knows its keys */
    REQUEST_ANY,     /**< the handler judges it */
};

struct request_argument {
    const char *key;
    enum request_type type;
    double low, high; /**< bounds, both inclusive; both 0: none (texts: 255 bytes at most) */
    bool required;
    const char *words; /**< of a REQUEST_CHOICE: "hour|day|month" */
    const char *also;  /**< another key for the same, as Zigbee2MQTT calls it; NULL: none */
    const char *help;  /**< for the reference: a phrase, with the default and the unit */
};

/**
 * Checks body (an object) against the rows (ended by a key of NULL; NULL: no arguments) and returns the
 * arguments it has under the rows' keys, as a new reference; NULL with *error filled if a required one is
 * missing or one is out of bounds. null counts as absent.
 *
 * A key that no row has is ignored with a warning in the log, as other programs send more than they need
 * to; but one that looks like a misspelt key of this request is an error. `transaction` is always allowed.
 * open: unknown keys belong to the handler, and are kept.
 */
json_t *arguments_take(const struct request_argument *rows, const char *request, const json_t *body,
                       bool open, struct log *log, struct error *error);

/** JSON Schema (draft-07) of an object with these arguments. New reference. */
json_t *arguments_schema(const struct request_argument *rows);

#endif
