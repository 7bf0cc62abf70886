/* SPDX-License-Identifier: MIT */
/** What a text in bridge.yaml may look like, beyond being a text. Pure. */
#ifndef BRIDGE_CONFIG_TEXT_RULES_H
#define BRIDGE_CONFIG_TEXT_RULES_H

#include "drivers/base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum text_rule {
    TEXT_ANY,       /**< printable; may be empty */
    TEXT_NAME,      /**< printable and not empty */
    TEXT_ID,        /**< a-z 0-9 _ - */
    TEXT_TOPIC,     /**< an MQTT topic to publish to: no wildcards, no empty level, no leading $ */
    TEXT_SERVER,    /**< mqtt://host[:port] or mqtts://host[:port] */
    TEXT_LISTEN,    /**< "off" or host:port */
    TEXT_BASE_PATH, /**< the path of a URL: /meter */
    TEXT_PATH,      /**< a file or folder; not empty */
    TEXT_URL,       /**< http:// or https://; the / at its end is taken away */
    TEXT_ZONE,      /**< "system", or a time zone that this machine knows */
    TEXT_DEVICE,    /**< an absolute path: /dev/... */
    TEXT_CLOCK_OR_OFF, /**< a time of day, "03:30", or "off" */
    TEXT_DATE,         /**< "2026-01-01" */
    TEXT_CURRENCY,     /**< three capital letters */
    TEXT_QUARTER,      /**< a time of day with 00, 15, 30 or 45 minutes, or 24:00 */
    TEXT_DAYS,         /**< "mon-fri", "sat,sun" */
    TEXT_ICON,         /**< set:name, as Home Assistant wants it */
    TEXT_MEMBER,       /**< "house/a" or "-house/a" */
    TEXT_MONTHS,       /**< "oct-mar", "jul" */
};

/** For messages and the reference: "a text of a-z, 0-9, _ and -". */
const char *text_rule_expectation(enum text_rule rule);

/** The rule as a regular expression for JSON Schema (ECMA 262), or NULL. It may be more lenient. */
const char *text_rule_pattern(enum text_rule rule);

/**
 * Checks text (NUL-terminated, at most `longest` characters). False and a sentence in reason if it
 * does not do. normal (of normal_size bytes, enough for text and 8 more) receives it as it is kept:
 * a server gets its default port and loses a trailing slash.
 */
bool text_rule_check(enum text_rule rule, const char *text, size_t longest, char *normal,
                     size_t normal_size, struct text *reason);

#endif
