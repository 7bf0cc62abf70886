/* SPDX-License-Identifier: MIT */
/**
 * The one table of everything that can stand in bridge.yaml. The reader (config.c), the
 * environment's overrides, `bl2mqtt check --print-defaults` and `--print-schema`, config_to_json
 * and through them schema/bridge.schema.json, docs/configuration.md and bridge.yaml(5) are all
 * derived from it.
 *
 * There are scopes, each with a struct of its own: the file as a whole (struct config), one device
 * (struct config_device), one channel (struct config_channel), and the elements of lists. A field's
 * path is relative to its scope and uses dots for steps down: "history.keep.raw", "mains.voltage".
 */
#ifndef BRIDGE_CONFIG_FIELDS_H
#define BRIDGE_CONFIG_FIELDS_H

#include "bridge/config/config.h"
#include "bridge/config/diff.h"
#include "bridge/config/text_rules.h"
#include "drivers/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_scope {
    SCOPE_FILE,
    SCOPE_DEVICE,
    SCOPE_CHANNEL,
    SCOPE_TARIFF,
    SCOPE_WINDOW,
    SCOPE_SINK,
    SCOPE_ALARM,
    SCOPE_ENTITY
};
#define SCOPE_COUNT 8

enum field_type {
    FIELD_GROUP,    /**< keys below it; no value of its own, unless it has a shorthand */
    FIELD_DEVICES,  /**< the list of devices */
    FIELD_CHANNELS, /**< the channels of a device, by name */
    FIELD_SINKS,    /**< the list of sinks */
    FIELD_LIST,     /**< a list of groups, each of the scope item_scope */
    FIELD_TEXT,     /**< char * */
    FIELD_BOOL,     /**< bool: true, false; or int, -1 for absent */
    FIELD_INTEGER,  /**< int64_t */
    FIELD_NUMBER,   /**< double */
    FIELD_MILLI,    /**< int64_t in thousandths of what is written */
    FIELD_MICRO,    /**< int64_t in millionths of what is written, INT64_MIN for absent */
    FIELD_DURATION, /**< int64_t in milliseconds, -1 for "forever" */
    FIELD_CHOICE,   /**< int, an enum, int64_t or bool: one of a few words or numbers */
    FIELD_WORD,     /**< char *: one of a few words, kept as a text */
    FIELD_TEXTS,    /**< char *: a list of texts, kept with commas between them */
    FIELD_SET,      /**< int64_t: a list of some of a few words, their values or'ed */
};

struct field_choice {
    const char *name;
    int64_t value;
};

#define CONFIG_CHANNELS_MAX 26
#define CHANNEL_NAME_MAX 8 /**< of a-z and 0-9 */

/** With such a name a channel's property would be called like another one, as power_factor; ended
 * by NULL. */
extern const char *const channel_names_reserved[];

/** Bits for `drivers` and `required`. */
#define FOR_BL0942 (1u << DRIVER_BL0942)
#define FOR_OPENBEKEN (1u << DRIVER_OPENBEKEN)
#define FOR_SIMULATOR (1u << DRIVER_SIMULATOR)
#define FOR_VIRTUAL (1u << DRIVER_VIRTUAL)
#define FOR_ESPHOME (1u << DRIVER_ESPHOME)
#define FOR_MQTT (1u << DRIVER_MQTT)
/** All that read something. */
#define FOR_READ (FOR_BL0942 | FOR_OPENBEKEN | FOR_SIMULATOR | FOR_ESPHOME | FOR_MQTT)
#define FOR_ALL (FOR_READ | FOR_VIRTUAL)

struct field {
    enum field_scope scope;
    enum field_type type;
    const char *path;
    size_t offset, size;   /**< of the member in the scope's struct */
    const char *initial;   /**< default as one would write it; NULL: none (the member is "", -1 or
                              what the reader derives) */
    const char *otherwise; /**< what holds without value and default, in words; NULL: nothing */
    const char *example;   /**< for required and optional fields without a default */
    double low, high;      /**< of the value as written (durations: ms); texts: high = characters */
    enum text_rule rule;
    const struct field_choice *choices; /**< ended by a NULL name */
    const char
        *shorthand; /**< groups: path of the key that a value in the group's place is; NULL: none */
    const char *unit;               /**< of numbers, for people; NULL: none */
    unsigned drivers;               /**< with which it may be used */
    unsigned required;              /**< with which it must be there */
    enum field_scope item_scope;    /**< lists: what an element is; offset is of the pointer */
    size_t item_size, count_offset; /**< lists: of an element; of the size_t with their number */
    size_t item_limit;              /**< lists: so many at most */
    bool forever;                   /**< the duration may be "forever" */
    bool secret;                    /**< never shown */
    enum config_reach reach;        /**< of a change while the service runs */
    const char *meaning;            /**< whole sentences */
};

extern const struct field fields[];
extern const size_t field_count;

/** The field's bit in a set of fields of its scope, of which there are at most 64. */
uint64_t field_bit(const struct field *field);

/** The last step of the path: "raw" for "history.keep.raw". */
const char *field_key(const struct field *field);

/** The field of a scope that stands below prefix ("" or "history.keep") under that key; NULL if
 *  there is none. */
const struct field *field_find(enum field_scope scope, const char *prefix, const char *key);

/** By its whole path; NULL if there is none. */
const struct field *field_by_path(enum field_scope scope, const char *path);

/** True if field stands directly below prefix in that scope. */
bool field_is_child(const struct field *field, enum field_scope scope, const char *prefix);

/** The elements of a list that a scope's struct has, and their number. */
void *field_items(const struct field *field, const void *target, size_t *count);

/** Gives the list that many elements with their defaults; it must have none. */
void field_make_items(const struct field *field, void *target, size_t count);

/** False for groups, lists, the lists of devices and sinks, and the channels. */
bool field_has_value(const struct field *field);

/** The choice with that value, NULL if there is none. */
const struct field_choice *field_choice_of(const struct field *field, int64_t value);

/** True if all choices are numbers, so that they are written without quotes. */
bool field_choices_are_numbers(const struct field *field);

/**
 * Converts text (NUL-terminated) and stores it into target, the struct of the field's scope; what
 * was there is freed. quoted: it stood in quotes, so it is no number. On failure the target is
 * unchanged and hint may get a sentence on how to repair it.
 */
bool field_store(const struct field *field, const char *text, bool quoted, void *target,
                 struct text *hint);

/** Sets every member of a scope's struct (zeroed by the caller) to its default. */
void fields_initialise(enum field_scope scope, void *target);

/** Frees the texts and lists of a scope's struct. */
void fields_release(enum field_scope scope, void *target);

/** Adds a word to a set's value. False if it is none of the choices, or in it already; hint as with
 *  field_store. */
bool field_set_add(const struct field *field, const char *word, int64_t *value, struct text *hint);

/** Appends what the value must be: "a whole number from 0 to 3". */
void field_append_kind(const struct field *field, struct text *out);

/** The same with an example: "a whole number from 0 to 3, for example 0". */
void field_append_expectation(const struct field *field, struct text *out);

/** Appends a duration in the largest unit that divides it: "90s", "2y", "forever" for -1. */
void append_duration(struct text *out, int64_t ms);

/** Appends a number without an exponent or trailing zeros: "0.5", "15883.34". */
void append_number(struct text *out, double value);

/** Reads the stored value back. Integers, milli, durations, choices, bools. */
int64_t field_load_integer(const struct field *field, const void *target);
double field_load_number(const struct field *field, const void *target);
const char *field_load_text(const struct field *field, const void *target);

#endif
