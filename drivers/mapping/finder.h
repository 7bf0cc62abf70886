/* SPDX-License-Identifier: MIT */
/**
 * Recognises meters on a broker that are no OpenBeken modules, by what they publish: ESPHome with
 * `bl0942` sensors, Tasmota, Zigbee2MQTT, Shelly. Pure; takes anything. What is recognised is what a
 * built-in mapping, or the driver esphome, can read.
 */
#ifndef DRIVERS_MAPPING_FINDER_H
#define DRIVERS_MAPPING_FINDER_H

#include "drivers/mapping/mapping.h"

#define METERS_FOUND_MAX 1024 /**< more are not remembered */
#define METER_TOPIC_MAX 100

struct meter_found {
    char topic[METER_TOPIC_MAX + 1]; /**< for bridge.yaml */
    const char *driver;              /**< "esphome" or "mqtt" */
    const char *mapping;             /**< of driver mqtt; "" otherwise */
    bool live;                       /**< a value came that the broker had not kept */
    size_t channel_count;
    char channels[MAPPING_CHANNELS_MAX][MAPPING_NAME_MAX + 1];
};

struct meter_finder;

struct meter_finder *meter_finder_create(void);
void meter_finder_free(struct meter_finder *finder);

/** Calls subscribe for each topic filter that brings what can be recognised. */
void meter_finder_filters(void (*subscribe)(void *context, const char *filter), void *context);

void meter_finder_message(struct meter_finder *finder, const char *topic, const char *payload,
                          size_t length, bool retained);

size_t meter_finder_count(const struct meter_finder *finder);
const struct meter_found *meter_finder_get(const struct meter_finder *finder, size_t index);

#endif
