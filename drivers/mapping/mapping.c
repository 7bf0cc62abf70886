/* SPDX-License-Identifier: MIT */
#include "drivers/mapping/mapping.h"

#include "drivers/base/text.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[MAPPING_QUANTITY_COUNT] = {
    [MAPPING_VOLTAGE] = "voltage", [MAPPING_CURRENT] = "current",
    [MAPPING_POWER] = "power",     [MAPPING_FREQUENCY] = "frequency",
    [MAPPING_ENERGY] = "energy",   [MAPPING_ENERGY_PRODUCED] = "energy_produced",
};

const char *mapping_quantity_name(enum mapping_quantity quantity)
{
    return names[quantity];
}

bool mapping_quantity_find(const char *name, enum mapping_quantity *quantity)
{
    for (unsigned i = 0; i < MAPPING_QUANTITY_COUNT; i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *quantity = (enum mapping_quantity)i;
        return true;
    }
    return false;
}

bool mapping_topic(const char *pattern, const char *base, char topic[MAPPING_TOPIC_MAX])
{
    static const char mark[] = "{base}";
    struct text text;
    text_init(&text, topic, MAPPING_TOPIC_MAX);
    const char *at = strstr(pattern, mark);
    if (at == NULL)
        text_append(&text, "%s", pattern);
    else
        text_append(&text, "%.*s%s%s", (int)(at - pattern), pattern, base, at + sizeof mark - 1);
    return !text.cut;
}

bool mapping_has(const struct mapping *mapping, const char *channel, enum mapping_quantity quantity)
{
    for (size_t i = 0; i < mapping->value_count; i++) {
        const struct mapping_value *value = &mapping->values[i];
        bool concerns = value->channel[0] == '\0' || strcmp(value->channel, channel) == 0;
        if (value->quantity == quantity && concerns)
            return true;
    }
    return false;
}

bool mapping_equal(const struct mapping *one, const struct mapping *other)
{
    return one->digest == other->digest && strcmp(one->file, other->file) == 0;
}

void mapping_free(struct mapping *mapping)
{
    if (mapping == NULL)
        return;
    free(mapping->file);
    free(mapping->name);
    free(mapping->title);
    free(mapping->cannot);
    free(mapping->reset_at);
    for (size_t i = 0; i < mapping->value_count; i++) {
        free(mapping->values[i].topic);
        free(mapping->values[i].at);
        free(mapping->values[i].sign_at);
        free(mapping->values[i].sign_negative);
        free(mapping->values[i].sign_signed);
    }
    for (size_t i = 0; i < mapping->fresh_count; i++)
        free(mapping->fresh[i].at);
    for (size_t i = 0; i < mapping->availability_count; i++) {
        free(mapping->availability[i].topic);
        free(mapping->availability[i].at);
        free(mapping->availability[i].online);
        free(mapping->availability[i].offline);
    }
    for (size_t i = 0; i < mapping->test_count; i++) {
        free(mapping->tests[i].topic);
        free(mapping->tests[i].payload);
    }
    free(mapping);
}
