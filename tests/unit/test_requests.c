/* SPDX-License-Identifier: MIT */
/* What strangers may send: payloads of requests and settings, and the form of the answers. */
#include "bridge/device/settings.h"
#include "bridge/mqtt/request_door.h"
#include "bridge/requests/payload.h"
#include "bridge/requests/requests.h"
#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *name;
    } table[] = {
        {"health_check", "health_check"},
        {"Device/Energy/SET", "device/energy/set"},
        {"", NULL},
        {"x y", NULL},
        {"x\xc3\xa4", NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char name[63] = "";
        bool good = payload_name(table[i].text, name, sizeof name);
        if (good != (table[i].name != NULL) || (good && strcmp(name, table[i].name) != 0))
            fail_msg("%s gave %d \"%s\"", table[i].text, good, name);
    }
}

static void test_device_orders(void **unused)
{
    (void)unused;
    static const struct {
        const char *rest;
        enum device_order order;
        const char *device, *key;
    } table[] = {
        {"house/set", DEVICE_ORDER_SET, "house", ""},
        {"house/set/report_interval", DEVICE_ORDER_SET, "house", "report_interval"},
        {"house/get", DEVICE_ORDER_GET, "house", ""},
        {"house", DEVICE_ORDER_NONE, NULL, NULL},
        {"/set", DEVICE_ORDER_NONE, NULL, NULL},
        {"house/set/", DEVICE_ORDER_NONE, NULL, NULL},
        {"house/set/a/b", DEVICE_ORDER_NONE, NULL, NULL},
        {"house/availability", DEVICE_ORDER_NONE, NULL, NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/set",
         DEVICE_ORDER_NONE, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char device[64], key[64];
        assert_int_equal(mqtt_door_device_order(table[i].rest, device, key), table[i].order);
        if (table[i].device != NULL) {
            assert_string_equal(device, table[i].device);
            assert_string_equal(key, table[i].key);
        }
    }
}

static enum status parse(const char *text, struct payload *payload, struct error *error)
{
    *error = (struct error){.text = ""};
    return payload_parse(text, strlen(text), payload, error);
}

static void test_plain(void **unused)
{
    (void)unused;
    struct payload request;
    struct error error;
    assert_int_equal(parse("", &request, &error), STATUS_OK);
    assert_string_equal(request.plain, "");
    payload_free(&request);
    assert_int_equal(parse(" house \n", &request, &error), STATUS_OK);
    assert_string_equal(request.plain, "house");
    assert_null(request.body);
    payload_free(&request);
    assert_int_equal(parse("[1,2]", &request, &error),
                     STATUS_OK); /* no object: text like any other */
    assert_string_equal(request.plain, "[1,2]");
    payload_free(&request);
    assert_int_equal(payload_parse("a\0b", 3, &request, &error), STATUS_USAGE);
    payload_free(&request);
    assert_int_equal(payload_parse("\xff\xfe", 2, &request, &error), STATUS_USAGE);
    payload_free(&request);
}

static void test_hostile(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "{",
        "{}}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":nan}",
        "{\"a\":1e999}",
        "{\"a\":99999999999999999999}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":'x'}",
        "{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
        "{\"transaction\":{\"a\":1}}",
        "{\"transaction\":1.5}",
        "{\"transaction\":true}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct payload request;
        struct error error;
        if (parse(bad[i], &request, &error) != STATUS_USAGE || error.text[0] == '\0')
            fail_msg("%s was accepted", bad[i]);
        char *response = payload_response(STATUS_USAGE, NULL, 0, &error, request.transaction);
        json_t *json = json_loads(response, JSON_REJECT_DUPLICATES, NULL);
        assert_string_equal(json_string_value(json_object_get(json, "status")), "error");
        assert_true(json_string_length(json_object_get(json, "error")) > 0);
        json_decref(json);
        free(response);
        payload_free(&request);
    }

    /* Deep and long inputs fail at once; brackets in a string are no depth. */
    struct payload request;
    struct error error;
    size_t length = 200000;
    char *deep memory_auto = memory_new(length + 1, 1);
    memset(deep, '[', length);
    deep[0] = '{';
    assert_int_equal(payload_parse(deep, length, &request, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "bytes"));
    payload_free(&request);
    assert_int_equal(payload_parse(deep, REQUEST_PAYLOAD_MAX, &request, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "deep"));
    payload_free(&request);
    assert_int_equal(parse("{\"a\":\"[[[[[[[[[[[[\\\"[[[[\"}", &request, &error), STATUS_OK);
    payload_free(&request);
}

static void test_responses(void **unused)
{
    (void)unused;
    struct payload request;
    struct error error;
    assert_int_equal(parse("{\"transaction\":\"t-1\"}", &request, &error), STATUS_OK);
    char *text = payload_response(STATUS_OK, "{\"value\":3}", 11, NULL, request.transaction);
    assert_string_equal(text, "{\"status\":\"ok\",\"data\":{\"value\":3},\"transaction\":\"t-1\"}");
    free(text);
    (void)error_set(&error, STATUS_FAILED, "No \"such\" device \xc3"); /* cut inside a character */
    text = payload_response(STATUS_FAILED, NULL, 0, &error, request.transaction);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "transaction")), "t-1");
    assert_true(json_string_length(json_object_get(json, "error")) > 0);
    json_decref(json);
    free(text);
    payload_free(&request);

    assert_int_equal(parse("{\"transaction\":42}", &request, &error), STATUS_OK);
    text = payload_response(STATUS_OK, NULL, 0, NULL, request.transaction);
    assert_string_equal(text, "{\"status\":\"ok\",\"data\":{},\"transaction\":42}");
    free(text);
    payload_free(&request);
}

static void test_settings(void **unused)
{
    (void)unused;
    static const struct {
        const char *payload;
        int64_t ms; /* -1: refused */
        const char *key;
    } table[] = {
        {"{\"report_interval\": 10 }", 10000, NULL},
        {"{\"report_interval\":10.0}", 10000, NULL},
        {"{\"update_frequency\":3600}", 3600000, NULL},
        {"{\"report_interval\":0}", -1, NULL},
        {"{\"report_interval\":3601}", -1, NULL},
        {"{\"report_interval\":1.5}", 1500, NULL},
        {"{\"report_interval\":0.1}", 100, NULL},
        {"{\"report_interval\":0.05}", -1, NULL},
        {"{\"report_interval\":1.0005}", -1, NULL},
        {"{\"report_interval\":1e300}", -1, NULL},
        {"{\"report_interval\":\"10\"}", -1, NULL},
        {"{\"report_interval\":null}", -1, NULL},
        {"{\"report_interval\":10,\"other\":1}", -1, NULL},
        {"{\"power\":10}", -1, NULL},
        {"{}", -1, NULL},
        {"10", -1, NULL},
        {"", -1, NULL},
        {"[]", -1, NULL},
        {"{\"report_interval\":5", -1, NULL},
        {"10", 10000, "report_interval"},
        {"0", -1, "report_interval"},
        {"x", -1, "report_interval"},
        {"10", -1, "power"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct settings settings;
        struct error error = {.text = ""};
        enum status status = settings_parse(table[i].key, table[i].payload,
                                            strlen(table[i].payload), &settings, &error);
        bool good = status == STATUS_OK;
        if (good != (table[i].ms >= 0) || settings.has_report_interval != good ||
            (good ? settings.report_interval_ms != table[i].ms : error.text[0] == '\0'))
            fail_msg("%s: status %d, %s", table[i].payload, status, error.text);
        if (good != (settings.options != NULL))
            fail_msg("%s: a piece of bridge.yaml goes with success, and only with it",
                     table[i].payload);
        json_decref(settings.options);
    }
}

/* What is to be written of each setting. */
static void test_settings_of_each_kind(void **unused)
{
    (void)unused;
    static const struct {
        const char *key, *payload, *written; /* NULL: refused */
    } table[] = {
        {NULL, "{\"report_interval\":0.25}", "{\"report_interval\":\"250ms\"}"},
        {NULL, "{\"min_interval\":2,\"max_interval\":86400}",
         "{\"max_interval\":\"86400s\",\"min_interval\":\"2s\"}"},
        {NULL, "{\"max_interval\":0.5}", NULL},
        {NULL, "{\"max_interval\":86401}", NULL},
        {NULL, "{\"output\":\"both\",\"retain\":true}", "{\"output\":\"both\",\"retain\":true}"},
        {NULL, "{\"output\":\"attributes\"}", "{\"output\":\"attributes\"}"},
        {NULL, "{\"output\":\"xml\"}", NULL},
        {NULL, "{\"output\":1}", NULL},
        {NULL, "{\"retain\":\"true\"}", NULL},
        {NULL, "{\"retain\":1}", NULL},
        {NULL, "{\"retain\":null}", NULL},
        {NULL, "{\"retain\":true,\"voltage\":1}", NULL},
        {"output", "both", "{\"output\":\"both\"}"},
        {"output", "\"json\"", "{\"output\":\"json\"}"},
        {"output", "", NULL},
        {"output", "\xff", NULL},
        {"retain", "false", "{\"retain\":false}"},
        {"retain", "no", NULL},
        {"min_interval", "0.1", "{\"min_interval\":\"100ms\"}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct settings settings;
        struct error error = {.text = ""};
        (void)settings_parse(table[i].key, table[i].payload, strlen(table[i].payload), &settings,
                             &error);
        char *written = settings.options == NULL
                            ? NULL
                            : json_dumps(settings.options, JSON_COMPACT | JSON_SORT_KEYS);
        bool same = table[i].written == NULL
                        ? written == NULL && error.text[0] != '\0'
                        : written != NULL && strcmp(written, table[i].written) == 0;
        if (!same)
            fail_msg("%s: %s %s", table[i].payload, written, error.text);
        free(written);
        json_decref(settings.options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_device_orders),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_settings_of_each_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
