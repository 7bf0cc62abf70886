/* SPDX-License-Identifier: MIT */
#include "bridge/hub/messages.h"

#include "bridge/device/exposes.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

static json_t *time_json(int64_t wall_ms)
{
    if (wall_ms <= 0)
        return json_null();
    char buffer[40];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append_time(&text, wall_ms, false);
    return json_string(buffer);
}

/* Log lines and error texts may be cut in the middle of a UTF-8 character; the rest of the message is
 * worth more than that character. */
static json_t *text_json(const char *text)
{
    if (text == NULL)
        return json_null();
    size_t length = strlen(text);
    for (size_t cut = 0; cut < 4 && cut <= length; cut++) {
        json_t *json = json_stringn(text, length - cut);
        if (json != NULL)
            return json;
    }
    return json_string("(not UTF-8)");
}

static json_t *count_json(uint64_t count)
{
    return json_integer((json_int_t)(count > INT64_MAX ? INT64_MAX : count));
}

static char *dump(json_t *message)
{
    char *text = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    return text != NULL ? text : memory_copy_text("{}");
}

static bool names_secret(const char *key)
{
    static const char *const words[] = {"password", "secret", "token", "passphrase"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasestr(key, words[i]) != NULL)
            return true;
    return strcmp(key, "user") == 0;
}

/* The caller leaves secrets out; what goes to every client of the broker is worth a second look. The
 * configuration's depth is bounded by its parser. */
static void mask_secrets(json_t *json)
{
    const char *key;
    json_t *value;
    size_t index;
    void *next;
    json_object_foreach_safe(json, next, key, value)
    {
        if (names_secret(key) && !json_is_object(value))
            json_object_set_new(json, key, json_string("***"));
        else
            mask_secrets(value);
    }
    json_array_foreach(json, index, value)
    {
        mask_secrets(value);
    }
}

/* ---- lists of devices ---- */

/* With thousands of devices the tree of a message takes tens of megabytes; so it is turned into text one
 * device at a time. */
struct stream {
    FILE *out;
    char *text;
    size_t size;
};

static void stream_open(struct stream *stream)
{
    *stream = (struct stream){.out = NULL};
    stream->out = open_memstream(&stream->text, &stream->size);
}

/* Takes the item. */
static void stream_item(struct stream *stream, json_t *item, bool first)
{
    if (stream->out != NULL && !first)
        (void)fputc(',', stream->out);
    if (stream->out != NULL)
        (void)json_dumpf(item, stream->out, JSON_COMPACT);
    json_decref(item);
}

static void stream_words(struct stream *stream, const char *words, size_t length)
{
    if (stream->out != NULL)
        (void)fwrite(words, 1, length, stream->out);
}

/* NULL only if there was no memory. */
static char *stream_close(struct stream *stream)
{
    bool good = stream->out != NULL && ferror(stream->out) == 0;
    if (stream->out != NULL && fclose(stream->out) == 0 && good)
        return stream->text;
    free(stream->text);
    return NULL;
}

/* Borrowed by the message only until it is text. */
static json_t *schema_json(const json_t *schema)
{
    return schema != NULL ? json_incref((json_t *)schema) : json_object();
}

static json_t *info_without_devices(const struct message_info *info)
{
    json_t *config = info->config != NULL ? json_copy((json_t *)info->config) : json_object();
    (void)json_object_del(config, "devices");
    json_t *own = json_deep_copy(config);
    json_decref(config);
    mask_secrets(own);
    return json_pack("{s:s,s:s,s:o,s:o,s:s,s:b,s:b,s:o,s:o,s:o}", "version", info->version,
                     "bridge_id", info->bridge_id, "started", time_json(info->started_wall_ms),
                     "time", time_json(info->now_wall_ms), "log_level",
                     log_level_name(info->log_level), "restart_required", info->restart_required,
                     "permit_join", info->permit_join, "config_schema",
                     schema_json(info->config_schema), "request_schema",
                     schema_json(info->request_schema), "config", own);
}

char *message_bridge_info(const struct message_info *info)
{
    const json_t *devices = json_object_get(info->config, "devices");
    char *rest memory_auto = dump(info_without_devices(info));
    if (!json_is_array(devices))
        return memory_copy_text(rest);
    /* "config" comes last; its own brace and the message's are the last two characters. */
    size_t head = strlen(rest) - 2;
    struct stream stream;
    size_t index;
    json_t *device;
    stream_open(&stream);
    stream_words(&stream, rest, head);
    const char *list = rest[head - 1] == '{' ? "\"devices\":[" : ",\"devices\":[";
    stream_words(&stream, list, strlen(list));
    json_array_foreach(devices, index, device)
    {
        json_t *copy = json_deep_copy(device);
        mask_secrets(copy);
        stream_item(&stream, copy, index == 0);
    }
    stream_words(&stream, "]}}", 3);
    return stream_close(&stream);
}

static json_t *device_json(const struct message_device *listed)
{
    const struct device_description *device = listed->description;
    json_t *channels = json_array();
    for (size_t i = 0; i < device->channel_count; i++)
        json_array_append_new(channels, json_string(device->channel_names[i]));
    return json_pack("{s:s,s:o,s:s,s:o,s:o,s:o,s:b,s:b,s:b,s:o}", "id", device->id, "friendly_name",
                     text_json(device->name), "driver", device->driver, "manufacturer",
                     text_json(device->manufacturer), "model", text_json(device->model), "channels",
                     channels, "retain", device->retain, "homeassistant", device->homeassistant,
                     "disabled", listed->disabled, "exposes", exposes_list(device));
}

char *message_bridge_devices(const struct message_device *devices, size_t count)
{
    struct stream stream;
    stream_open(&stream);
    stream_words(&stream, "[", 1);
    for (size_t i = 0; i < count; i++)
        stream_item(&stream, device_json(&devices[i]), i == 0);
    stream_words(&stream, "]", 1);
    return stream_close(&stream);
}

static json_t *problem_names(unsigned problems)
{
    json_t *names = json_array();
    for (unsigned bit = 0; bit < 16; bit++)
        if ((problems & (1U << bit)) != 0)
            json_array_append_new(names,
                                  json_string(meter_problem_name((enum meter_problem)(1U << bit))));
    return names;
}

char *message_bridge_health(const struct message_health *health)
{
    json_t *problems = json_array();
    for (size_t i = 0; i < health->problem_count; i++)
        json_array_append_new(problems, text_json(health->problems[i]));

    json_t *devices = json_object();
    for (size_t i = 0; i < health->device_count; i++) {
        const struct message_device_health *device = &health->devices[i];
        json_object_set_new(devices, device->id,
                            json_pack("{s:b,s:o,s:o,s:o,s:o}", "online", device->online, "readings",
                                      count_json(device->readings), "frame_errors",
                                      count_json(device->frame_errors), "last_seen",
                                      time_json(device->last_seen_wall_ms), "problems",
                                      problem_names(device->problems)));
    }

    json_t *mqtt =
        json_pack("{s:b,s:o,s:o,s:o,s:o}", "connected", health->mqtt_connected, "published",
                  count_json(health->mqtt_published), "received", count_json(health->mqtt_received),
                  "dropped", count_json(health->mqtt_dropped), "reconnects",
                  count_json(health->mqtt_reconnects));
    bool copied = health->backup_wall_ms > 0;
    json_t *backup = json_pack("{s:o,s:o,s:o}", "last", time_json(health->backup_wall_ms), "file",
                               text_json(copied ? health->backup_file : NULL), "bytes",
                               copied ? json_integer(health->backup_bytes) : json_null());
    json_t *history = json_pack("{s:I,s:o,s:I}", "queued", (json_int_t)health->history_queued,
                                "dropped", count_json(health->history_dropped), "late_s",
                                (json_int_t)(health->history_late_ms / 1000));
    return dump(json_pack("{s:o,s:b,s:o,s:{s:I,s:I},s:o,s:o,s:o,s:o}", "time",
                          time_json(health->now_wall_ms), "problem", health->problem_count > 0,
                          "problems", problems, "process", "uptime_s",
                          (json_int_t)(health->uptime_ms / 1000), "memory_kb",
                          (json_int_t)(health->memory_bytes / 1024), "mqtt", mqtt, "history",
                          history, "backup", backup, "devices", devices));
}

char *message_bridge_event(const struct message_event *event)
{
    return dump(json_pack("{s:s,s:o,s:o,s:o,s:o,s:o}", "type", event->type, "time",
                          time_json(event->wall_ms), "device", text_json(event->device), "channel",
                          text_json(event->channel), "message", text_json(event->message), "data",
                          event->data != NULL ? json_deep_copy(event->data) : json_object()));
}

char *message_bridge_logging(enum log_level level, const char *message)
{
    return dump(
        json_pack("{s:s,s:o}", "level", log_level_name(level), "message", text_json(message)));
}
