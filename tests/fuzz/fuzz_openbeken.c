/* SPDX-License-Identifier: MIT */
/*
 * OpenBeken's topics and payloads on arbitrary bytes: the topic up to the first newline, the payload
 * behind it. What comes out is within its bounds, points into its topic, and reading the payload of a
 * good value again gives the same number.
 */
#include "drivers/openbeken/discovery.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_topic(const char *topic)
{
    struct openbeken_topic found[OPENBEKEN_CANDIDATES];
    size_t count = openbeken_topic_read(topic, found);
    require(count <= OPENBEKEN_CANDIDATES);
    for (size_t i = 0; i < count; i++) {
        require(found[i].client >= topic && found[i].client_length > 0);
        require(found[i].client_length <= OPENBEKEN_CLIENT_MAX);
        require(found[i].client + found[i].client_length <= topic + strlen(topic));
        require(found[i].chip < OPENBEKEN_CHIPS && found[i].quantity < OPENBEKEN_QUANTITY_COUNT);
    }
    require(count < 2 || found[0].client_length >= found[1].client_length);
}

static void check_energy(const char *payload, size_t length)
{
    struct openbeken_energy energy;
    if (openbeken_sensor_json(payload, length, &energy) != OPENBEKEN_GOOD)
        return;
    require(energy.present != 0 && (energy.present & ~(unsigned)READING_ALL) == 0);
    require(energy.milli[OPENBEKEN_VOLTAGE] >= 0 && energy.milli[OPENBEKEN_VOLTAGE] <= 2000000);
    require(energy.milli[OPENBEKEN_ENERGY] >= 0);
}

static void check_payload(const char *payload, size_t length)
{
    struct openbeken_discovery discovery;
    int64_t value;
    bool online;
    for (unsigned i = 0; i < OPENBEKEN_QUANTITY_COUNT; i++)
        if (openbeken_value(i, payload, length, &value) == OPENBEKEN_GOOD)
            require(i == OPENBEKEN_POWER || value >= 0);
    (void)openbeken_connected(payload, length, &online);
    (void)openbeken_uptime(payload, length, &value);
    check_energy(payload, length);
    if (openbeken_discovery(payload, length, &discovery))
        require(discovery.client[0] != '\0' && discovery.long_name[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size == 0 ? NULL : memchr(data, '\n', size);
    size_t topic_length = newline == NULL ? size : (size_t)(newline - data);
    char *topic = calloc(topic_length + 1, 1);
    require(topic != NULL);
    if (topic_length > 0)
        memcpy(topic, data, topic_length);
    check_topic(topic);
    (void)openbeken_discovery_topic("homeassistant", topic);
    (void)openbeken_discovery_of_total(topic);
    free(topic);
    if (newline == NULL)
        return 0;
    /* A copy of its own size, so that a read beyond its end is seen. */
    size_t length = size - topic_length - 1;
    char *payload = malloc(length == 0 ? 1 : length);
    require(payload != NULL);
    memcpy(payload, newline + 1, length);
    check_payload(payload, length);
    free(payload);
    return 0;
}
