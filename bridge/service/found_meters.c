/* SPDX-License-Identifier: MIT */
#include "bridge/service/found_meters.h"

#include "drivers/base/text.h"

#include <ctype.h>
#include <string.h>

#define ID_MAX 32

json_t *found_meters_known(const struct config *config)
{
    json_t *ids = json_object(), *topics = json_object();
    for (size_t i = 0; i < config->device_count; i++) {
        const struct config_device *device = &config->devices[i];
        (void)json_object_set_new(ids, device->id, json_true());
        if (device->driver == DRIVER_ESPHOME || device->driver == DRIVER_MQTT)
            (void)json_object_set_new(topics, device->topic, json_true());
    }
    return json_pack("{s:o, s:o}", "ids", ids, "topics", topics);
}

/* The topic's last word, made to fit, with a number behind it if it is taken. */
static void propose_id(json_t *ids, const char *topic, char id[ID_MAX + 1])
{
    const char *slash = strrchr(topic, '/');
    const char *word = slash != NULL && slash[1] != '\0' ? slash + 1 : topic;
    char base[ID_MAX - 4];
    size_t length = 0;
    for (; *word != '\0' && length + 1 < sizeof base; word++) {
        unsigned char c = (unsigned char)*word;
        base[length++] = (char)(c < 0x80 && isalnum(c) ? tolower(c) : '_');
    }
    base[length] = '\0';
    struct text text;
    for (unsigned n = 1; n < 10000; n++) {
        text_init(&text, id, ID_MAX + 1);
        text_append(&text, n == 1 ? "%s" : "%s_%u", base, n);
        if (json_object_get(ids, id) == NULL)
            break;
    }
    (void)json_object_set_new(ids, id, json_true());
}

/* JSON's text is also YAML's. */
static void append_quoted(struct text *text, const char *value)
{
    json_t *json = json_string(value);
    char *quoted = json != NULL ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
    text_append(text, "%s", quoted != NULL ? quoted : "\"\"");
    free(quoted);
    json_decref(json);
}

static json_t *lines_of(const struct meter_found *found, const char *id)
{
    char lines[800];
    struct text text;
    text_init(&text, lines, sizeof lines);
    text_append(&text, "  - id: %s\n    driver: %s\n", id, found->driver);
    if (found->mapping[0] != '\0')
        text_append(&text, "    mapping: %s\n", found->mapping);
    text_append(&text, "    topic: ");
    append_quoted(&text, found->topic);
    text_append(&text, "\n    channels: {");
    for (size_t i = 0; i < found->channel_count; i++)
        text_append(&text, "%s%s: {}", i > 0 ? ", " : "", found->channels[i]);
    text_append(&text, "}\n");
    return json_string(lines);
}

static json_t *device_of(const struct meter_found *found, const char *id)
{
    json_t *channels = json_object();
    for (size_t i = 0; i < found->channel_count; i++)
        (void)json_object_set_new(channels, found->channels[i], json_object());
    json_t *device = json_pack("{s:s, s:s, s:s, s:o}", "id", id, "driver", found->driver, "topic",
                               found->topic, "channels", channels);
    if (found->mapping[0] != '\0')
        (void)json_object_set_new(device, "mapping", json_string(found->mapping));
    return device;
}

static json_t *meter_of(json_t *known, const struct meter_found *found, bool configured)
{
    char id[ID_MAX + 1] = "";
    json_t *channels = json_array(), *notes = json_array();
    if (!configured)
        propose_id(json_object_get(known, "ids"), found->topic, id);
    for (size_t i = 0; i < found->channel_count; i++)
        (void)json_array_append_new(channels, json_string(found->channels[i]));
    if (!found->live)
        (void)json_array_append_new(notes, json_string("Only values that the broker kept were "
                                                       "received: it may be long gone."));
    json_t *meter =
        json_pack("{s:s, s:s, s:s, s:o, s:b, s:b, s:o}", "topic", found->topic, "driver",
                  found->driver, "mapping", found->mapping, "channels", channels, "configured",
                  configured, "live", found->live, "notes", notes);
    if (meter == NULL) /* a topic that is no UTF-8 */
        return NULL;
    if (!configured) {
        (void)json_object_set_new(meter, "config", lines_of(found, id));
        (void)json_object_set_new(meter, "device", device_of(found, id));
    }
    return meter;
}

void found_meters(json_t *known, const struct meter_finder *finder, size_t room, json_t *list)
{
    for (int configured = 0; configured <= 1; configured++)
        for (size_t i = 0; i < meter_finder_count(finder) && room > 0; i++) {
            const struct meter_found *found = meter_finder_get(finder, i);
            bool is = json_object_get(json_object_get(known, "topics"), found->topic) != NULL;
            json_t *meter = is == (configured == 1) && found->channel_count > 0
                                ? meter_of(known, found, is)
                                : NULL;
            if (meter == NULL)
                continue;
            (void)json_array_append_new(list, meter);
            room--;
        }
}
