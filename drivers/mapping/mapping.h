/* SPDX-License-Identifier: MIT */
/**
 * How the messages of one kind of MQTT meter become readings: a mapping file (schema/mappings) in
 * memory. All texts are owned by the mapping. bridge/config/mapping_file.h reads the files.
 */
#ifndef DRIVERS_MAPPING_MAPPING_H
#define DRIVERS_MAPPING_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPPING_VALUES_MAX 64
#define MAPPING_CHANNELS_MAX 8
#define MAPPING_TOPICS_MAX 4
#define MAPPING_TESTS_MAX 32
#define MAPPING_NAME_MAX 8       /**< of a channel */
#define MAPPING_TOPIC_MAX 200    /**< with {base} replaced */
#define MAPPING_PAYLOAD_MAX 8192 /**< longer messages are nobody's */

enum mapping_quantity {
    MAPPING_VOLTAGE,
    MAPPING_CURRENT,
    MAPPING_POWER,
    MAPPING_FREQUENCY,
    MAPPING_ENERGY,          /**< what was drawn, or all if nothing else is counted */
    MAPPING_ENERGY_PRODUCED, /**< what was fed back */
    MAPPING_QUANTITY_COUNT,
};

/** One value in one message. */
struct mapping_value {
    char *topic; /**< with {base} */
    char *at;    /**< JSON pointer (RFC 6901); NULL: the payload is a plain number */
    int element; /**< of the array found there; -1: it is no array */
    bool shared; /**< where an array was expected, one number serves all channels */
    enum mapping_quantity quantity;
    char channel[MAPPING_NAME_MAX + 1]; /**< "": all */
    double scale;                       /**< to V, A, W, Hz, kWh; negative turns the sign */
    char *sign_at;                      /**< power: a text that says the direction; NULL: none */
    char *sign_negative;                /**< ... this one: fed back */
    char *sign_signed;                  /**< ... this one: the number has its sign; NULL: none */
};

/** A channel's values in a message count only if what stands there is newer than the last. */
struct mapping_fresh {
    char channel[MAPPING_NAME_MAX + 1];
    char *at; /**< JSON pointer to a time: ISO 8601, or a number */
};

struct mapping_availability {
    char *topic;
    char *at; /**< NULL: the payload itself */
    char *online, *offline;
};

/** A message and what must come of it; run by the tests and `bl2mqtt mapping test`. */
struct mapping_test {
    char *topic, *payload;
    bool retained;
    size_t expected_count; /**< 0: no reading */
    struct {
        char channel[MAPPING_NAME_MAX + 1];
        enum mapping_quantity quantity;
        double value;
    } expected[MAPPING_VALUES_MAX];
};

struct mapping {
    char *file;      /**< what it was loaded by */
    uint64_t digest; /**< of the file's bytes */
    char *name, *title;
    char *cannot;      /**< what this kind of meter cannot tell, in whole sentences; may be "" */
    bool retained;     /**< retained values count as well */
    int64_t group_ms;  /**< values of a channel this close are one reading; 0: one message is */
    int64_t stale_ms;  /**< without a value the channel is offline */
    double resolution; /**< of energy, in kWh */
    char *reset_at;    /**< a text that changes when the counters were reset on purpose; NULL */
    size_t channel_count;
    char channels[MAPPING_CHANNELS_MAX][MAPPING_NAME_MAX + 1];
    size_t value_count;
    struct mapping_value values[MAPPING_VALUES_MAX];
    size_t fresh_count;
    struct mapping_fresh fresh[MAPPING_CHANNELS_MAX];
    size_t availability_count;
    struct mapping_availability availability[MAPPING_TOPICS_MAX];
    size_t test_count;
    struct mapping_test tests[MAPPING_TESTS_MAX];
};

/** "voltage", "energy_produced", ... */
const char *mapping_quantity_name(enum mapping_quantity quantity);
/** False if there is no such quantity. */
bool mapping_quantity_find(const char *name, enum mapping_quantity *quantity);

/** Replaces {base}. False if the result does not fit. */
bool mapping_topic(const char *pattern, const char *base, char topic[MAPPING_TOPIC_MAX]);

/** Whether the mapping has a value of that channel and quantity. */
bool mapping_has(const struct mapping *mapping, const char *channel,
                 enum mapping_quantity quantity);

/** Loaded from the same file with the same contents. */
bool mapping_equal(const struct mapping *one, const struct mapping *other);

/** NULL is allowed. */
void mapping_free(struct mapping *mapping);

#endif
