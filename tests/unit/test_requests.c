/* SPDX-License-Identifier: MIT */
/* bridge/mqtt/requests: what strangers may send, and the answers. */
#include "bridge/mqtt/requests.h"
#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_topics(void **unused)
{
    (void)unused;
    static const struct {
        const char *topic, *name;
    } table[] = {
        {"a/b/bridge/request/health_check", "health_check"},
        {"a/b/bridge/request/Device/Energy/SET", "device/energy/set"},
        {"a/b/bridge/request/", NULL},
        {"a/b/bridge/request", NULL},
        {"a/b/bridge/response/x", NULL},
        {"a/bridge/request/x", NULL},
        {"a/bx/bridge/request/x", NULL},
        {"a/b/bridge/request/x y", NULL},
        {"a/b/bridge/request/x\xc3\xa4", NULL},
        {"a/b/bridge/request/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char name[REQUEST_NAME_SIZE] = "";
        bool good = request_topic("a/b", table[i].topic, name);
        if (good != (table[i].name != NULL) || (good && strcmp(name, table[i].name) != 0))
            fail_msg("%s gave %d \"%s\"", table[i].topic, good, name);
    }
}

static enum status parse(const char *payload, struct request *request, struct error *error)
{
    *error = (struct error){.text = ""};
    return request_parse("x", payload, strlen(payload), request, error);
}

static void test_plain(void **unused)
{
    (void)unused;
    struct request request;
    struct error error;
    assert_int_equal(parse("", &request, &error), STATUS_OK);
    assert_string_equal(request.plain, "");
    request_free(&request);
    assert_int_equal(parse(" house \n", &request, &error), STATUS_OK);
    assert_string_equal(request.plain, "house");
    assert_null(request.body);
    request_free(&request);
    assert_int_equal(parse("[1,2]", &request, &error),
                     STATUS_OK); /* no object: text like any other */
    assert_string_equal(request.plain, "[1,2]");
    request_free(&request);
    assert_int_equal(request_parse("x", "a\0b", 3, &request, &error), STATUS_USAGE);
    request_free(&request);
    assert_int_equal(request_parse("x", "\xff\xfe", 2, &request, &error), STATUS_USAGE);
    request_free(&request);
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
        "{\"a\":[[[[[[[[1]]]]]]]]}",
        "{\"transaction\":{\"a\":1}}",
        "{\"transaction\":1.5}",
        "{\"transaction\":true}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct request request;
        struct error error;
        if (parse(bad[i], &request, &error) != STATUS_USAGE || error.text[0] == '\0')
            fail_msg("%s was accepted", bad[i]);
        char *response = response_format(&request, STATUS_USAGE, NULL, &error);
        json_t *json = json_loads(response, JSON_REJECT_DUPLICATES, NULL);
        assert_string_equal(json_string_value(json_object_get(json, "status")), "error");
        assert_true(json_string_length(json_object_get(json, "error")) > 0);
        json_decref(json);
        free(response);
        request_free(&request);
    }

    /* Deep and long inputs fail at once; brackets in a string are no depth. */
    struct request request;
    struct error error;
    size_t length = 200000;
    char *deep memory_auto = memory_new(length + 1, 1);
    memset(deep, '[', length);
    deep[0] = '{';
    assert_int_equal(request_parse("x", deep, length, &request, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "bytes"));
    request_free(&request);
    assert_int_equal(request_parse("x", deep, REQUEST_PAYLOAD_MAX, &request, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "deep"));
    request_free(&request);
    assert_int_equal(parse("{\"a\":\"[[[[[[[[[[[[\\\"[[[[\"}", &request, &error), STATUS_OK);
    request_free(&request);
}

static void test_values(void **unused)
{
    (void)unused;
    struct request request;
    struct error error;
    assert_int_equal(parse("{\"i\":5,\"r\":2.5,\"t\":\"text\",\"n\":null}", &request, &error),
                     STATUS_OK);
    double real = -1;
    char text[5];
    assert_int_equal(request_number(&request, "r", 0, 10, &real, &error), STATUS_OK);
    assert_true(real > 2.49 && real < 2.51);
    assert_int_equal(request_number(&request, "r", 3, 10, &real, &error), STATUS_USAGE);
    assert_int_equal(request_number(&request, "t", 0, 10, &real, &error), STATUS_USAGE);
    assert_int_equal(request_number(&request, "n", 0, 10, &real, &error), STATUS_USAGE);
    assert_int_equal(request_number(&request, "missing", 0, 10, &real, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "missing"));
    assert_true(real > 2.49 && real < 2.51);
    assert_int_equal(request_number(&request, "i", 0, 10, &real, &error), STATUS_OK);
    assert_true(real > 4.99 && real < 5.01);
    assert_int_equal(request_text(&request, "t", text, sizeof text, &error), STATUS_OK);
    assert_string_equal(text, "text");
    assert_int_equal(request_text(&request, "t", text, 4, &error), STATUS_USAGE);
    assert_int_equal(request_text(&request, "i", text, sizeof text, &error), STATUS_USAGE);
    request_free(&request);

    assert_int_equal(parse("plain", &request, &error), STATUS_OK);
    assert_int_equal(request_number(&request, "i", 0, 10, &real, &error), STATUS_USAGE);
    request_free(&request);
}

static void test_responses(void **unused)
{
    (void)unused;
    struct request request;
    struct error error;
    assert_int_equal(parse("{\"transaction\":\"t-1\"}", &request, &error), STATUS_OK);
    json_t *data = json_pack("{s:i}", "value", 3);
    char *text = response_format(&request, STATUS_OK, data, NULL);
    assert_string_equal(text, "{\"status\":\"ok\",\"data\":{\"value\":3},\"transaction\":\"t-1\"}");
    free(text);
    (void)error_set(&error, STATUS_FAILED, "No \"such\" device \xc3"); /* cut inside a character */
    text = response_format(&request, STATUS_FAILED, NULL, &error);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "transaction")), "t-1");
    assert_true(json_string_length(json_object_get(json, "error")) > 0);
    json_decref(json);
    free(text);
    json_decref(data);
    request_free(&request);

    assert_int_equal(parse("{\"transaction\":42}", &request, &error), STATUS_OK);
    text = response_format(&request, STATUS_OK, NULL, NULL);
    assert_string_equal(text, "{\"status\":\"ok\",\"data\":{},\"transaction\":42}");
    free(text);
    request_free(&request);
}

static void test_settings(void **unused)
{
    (void)unused;
    static const struct {
        const char *payload;
        int64_t ms; /* -1: refused */
    } table[] = {
        {"{\"report_interval\": 10 }", 10000},
        {"{\"report_interval\":10.0}", 10000},
        {"{\"update_frequency\":3600}", 3600000},
        {"{\"report_interval\":0}", -1},
        {"{\"report_interval\":3601}", -1},
        {"{\"report_interval\":1.5}", -1},
        {"{\"report_interval\":\"10\"}", -1},
        {"{\"report_interval\":null}", -1},
        {"{\"report_interval\":10,\"other\":1}", -1},
        {"{\"power\":10}", -1},
        {"{}", -1},
        {"10", -1},
        {"", -1},
        {"[]", -1},
        {"{\"report_interval\":5", -1},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct settings settings;
        struct error error = {.text = ""};
        enum status status =
            settings_parse(table[i].payload, strlen(table[i].payload), &settings, &error);
        bool good = status == STATUS_OK;
        if (good != (table[i].ms >= 0) || settings.has_report_interval != good ||
            (good ? settings.report_interval_ms != table[i].ms : error.text[0] == '\0'))
            fail_msg("%s: status %d, %s", table[i].payload, status, error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),    cmocka_unit_test(test_plain),
        cmocka_unit_test(test_hostile),   cmocka_unit_test(test_values),
        cmocka_unit_test(test_responses), cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
