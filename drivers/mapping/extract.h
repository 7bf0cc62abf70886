/* SPDX-License-Identifier: MIT */
/**
 * Values out of messages, as a mapping says. Pure; takes any bytes. Missing keys, null, "", text,
 * nan and inf are no values, and never 0.
 */
#ifndef DRIVERS_MAPPING_EXTRACT_H
#define DRIVERS_MAPPING_EXTRACT_H

#include "drivers/mapping/mapping.h"

struct mapping_payload;

/** NULL if it is too long. Text that is no JSON is a plain text. */
struct mapping_payload *mapping_payload_read(const char *bytes, size_t length);
void mapping_payload_free(struct mapping_payload *payload);

enum mapping_verdict {
    MAPPING_GOOD,
    MAPPING_ABSENT,  /**< nothing there, or unknown to the source */
    MAPPING_BAD,     /**< no number, or one that no meter can have */
    MAPPING_REFUSED, /**< one number where each channel has its own: a sum, most likely */
};

/**
 * The value in V, A, W, Hz or kWh. Ranges: 0..2000 V, 0..10000 A, +-2 MW, 0..1000 Hz, 0..10^7 kWh;
 * *number is only set when good.
 */
enum mapping_verdict mapping_value_extract(const struct mapping_value *value,
                                           const struct mapping_payload *payload, double *number);

/** A text or number as text; false if there is none, or it does not fit. at NULL: the payload. */
bool mapping_text_extract(const struct mapping_payload *payload, const char *at, char *text,
                          size_t size);

/** True if `now` is newer than `before`, as numbers if both are, else as text (ISO 8601 in UTC). */
bool mapping_is_newer(const char *before, const char *now);

#endif
