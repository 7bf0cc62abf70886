/* SPDX-License-Identifier: MIT */
/* Everything that reads what others send over MQTT: the first byte chooses what the rest is. */
#include "bridge/mqtt/announced.h"
#include "bridge/mqtt/discovery.h"
#include "bridge/mqtt/requests.h"
#include "drivers/base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever came in, the answer is one JSON object with a status. */
static void check_response(const struct request *request, enum status status,
                           const struct error *error)
{
    char *response = response_format(request, status, NULL, error);
    json_t *json = json_loads(response, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_string(json_object_get(json, "status")))
        abort();
    json_decref(json);
    free(response);
}

static void fuzz_request(const char *bytes, size_t length)
{
    struct request request;
    struct error error = {.text = ""};
    enum status status = request_parse("x", bytes, length, &request, &error);
    if (status == STATUS_OK ? (request.body == NULL) == (request.plain == NULL)
                            : error.text[0] == '\0')
        abort();
    check_response(&request, status, &error);

    double real = 0;
    char text[16];
    if (request_number(&request, "n", -5, 5, &real, &error) == STATUS_OK &&
        !(real >= -5 && real <= 5))
        abort();
    if (request_text(&request, "t", text, sizeof text, &error) == STATUS_OK &&
        strlen(text) >= sizeof text)
        abort();
    request_free(&request);
}

static void fuzz_settings(const char *bytes, size_t length)
{
    struct settings settings;
    struct error error = {.text = ""};
    bool good = settings_parse(bytes, length, &settings, &error) == STATUS_OK;
    if (good != settings.has_report_interval || (!good && error.text[0] == '\0'))
        abort();
    if (good && (settings.report_interval_ms < 1000 || settings.report_interval_ms > 3600000))
        abort();
}

static void fuzz_topics(const char *bytes, size_t length)
{
    static const struct discovery_context contexts[] = {
        {.base_topic = "b", .bridge_id = "h", .prefix = "p", .version = "1", .device_mode = true},
        {.base_topic = "b", .bridge_id = "h", .prefix = "p", .version = "1"},
    };
    char *topic memory_auto = memory_new(length + 1, 1);
    memcpy(topic, bytes, length);
    char name[REQUEST_NAME_SIZE];
    if (request_topic("b", topic, name) && (name[0] == '\0' || strlen(name) >= sizeof name))
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
