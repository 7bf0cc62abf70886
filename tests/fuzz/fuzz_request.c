/* SPDX-License-Identifier: MIT */
/* Everything that reads what others send over MQTT: the first byte chooses what the rest is. */
#include "bridge/device/settings.h"
#include "bridge/mqtt/announced.h"
#include "bridge/mqtt/discovery.h"
#include "bridge/mqtt/request_door.h"
#include "bridge/requests/table.h"
#include "drivers/base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever came in, there is one answer: a JSON object with a status. */
static void on_answer(void *context, const struct request_answer *answer)
{
    unsigned *answers = context;
    json_t *json = json_loadb(answer->text, answer->length, JSON_REJECT_DUPLICATES, NULL);
    const char *status = json_string_value(json_object_get(json, "status"));
    if (status == NULL || (strcmp(status, "ok") == 0) != (answer->status == STATUS_OK))
        abort();
    json_decref(json);
    (*answers)++;
}

static enum status on_request(void *context, struct pending *pending, struct error *error)
{
    (void)context;
    (void)error;
    pending_answer(pending, json_deep_copy(pending_arguments(pending)));
    return STATUS_OK;
}

/* The first line is the request, what follows its payload. */
static void fuzz_request(const char *bytes, size_t length)
{
    static struct request_handlers handlers = {
        .log_level = on_request,
        .options = on_request,
        .permit_join = on_request,
        .device_add = on_request,
        .device_adopt = on_request,
        .device_rename = on_request,
        .history_energy = on_request,
        .device_energy_set = on_request,
    };
    const char *end = memchr(bytes, '\n', length);
    size_t head = end == NULL ? length : (size_t)(end - bytes);
    char *name memory_auto = memory_new(head + 1, 1);
    memcpy(name, bytes, head);
    unsigned answers = 0;
    const struct requests_options options = {.handlers = &handlers};
    const struct request_door door = {
        .name = "fuzz", .answer = on_answer, .context = &answers, .answer_max = 4096};
    struct requests *requests = requests_create(&options);
    const char *payload = end == NULL ? "" : end + 1;
    (void)requests_submit(requests, name, payload, end == NULL ? 0 : length - head - 1, &door);
    requests_free(requests);
    if (answers != 1)
        abort();
}

static void fuzz_settings(const char *bytes, size_t length)
{
    struct settings settings;
    struct error error = {.text = ""};
    bool good = settings_parse(NULL, bytes, length, &settings, &error) == STATUS_OK;
    if ((!good && settings.has_report_interval) || (!good && error.text[0] == '\0'))
        abort();
    if (settings.has_report_interval &&
        (settings.report_interval_ms < 100 || settings.report_interval_ms > 3600000))
        abort();
    if (good != (json_object_size(settings.options) > 0))
        abort();
    json_decref(settings.options);
}

static void fuzz_topics(const char *bytes, size_t length)
{
    static const struct discovery_context contexts[] = {
        {.base_topic = "b", .bridge_id = "h", .prefix = "p", .version = "1", .device_mode = true},
        {.base_topic = "b", .bridge_id = "h", .prefix = "p", .version = "1"},
    };
    char *topic memory_auto = memory_new(length + 1, 1);
    memcpy(topic, bytes, length);
    char device[64], order_key[64];
    if (mqtt_door_device_order(topic, device, order_key) != DEVICE_ORDER_NONE && device[0] == '\0')
        abort();
    char key[PROPERTY_KEY_SIZE];
    for (size_t i = 0; i < 2; i++)
        if (discovery_topic_matches(&contexts[i], "d", topic, key, sizeof key) &&
            strlen(key) >= sizeof key)
            abort();
}

/* A retained discovery message on our own topic may be anyone's. What is believed of it becomes
 * topics to clear, so it must be plain words. */
static void fuzz_discovery(const char *bytes, size_t length)
{
    json_t *announced = announced_in_message(bytes, length);
    const char *key;
    json_t *platform;
    json_object_foreach(announced, key, platform)
    {
        const char *name = json_string_value(platform);
        if (name == NULL || strpbrk(key, "/+#") != NULL || strpbrk(name, "/+#") != NULL)
            abort();
    }
    json_decref(announced);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t length = size - 1;
    switch (data[0]) {
    case 's':
        fuzz_settings(bytes, length);
        break;
    case 't':
        fuzz_topics(bytes, length);
        break;
    case 'd':
        fuzz_discovery(bytes, length);
        break;
    default:
        fuzz_request(bytes, length);
        break;
    }
    return 0;
}
