/* SPDX-License-Identifier: MIT */
/* The engine of requests: payloads, arguments, answers now and later, doors that leave. */
#include "bridge/requests/table.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct requests *requests;
    struct pending *held; /* by the handler of `backup` */
    unsigned answers;
    enum status status;
    bool unknown;
    char name[REQUEST_NAME_SIZE];
    json_t *answer;
    json_t *arguments; /* as a handler saw them */
};

static enum status on_now(void *context, struct pending *pending, struct error *error)
{
    struct world *world = context;
    (void)error;
    json_decref(world->arguments);
    world->arguments = json_deep_copy(pending_arguments(pending));
    pending_answer(pending, json_pack("{s:b}", "done", 1));
    return STATUS_OK;
}

static enum status on_later(void *context, struct pending *pending, struct error *error)
{
    struct world *world = context;
    if (world->held != NULL)
        return error_set(error, STATUS_FAILED, "One is running already.");
    world->held = pending;
    return STATUS_OK;
}

static enum status on_list(void *context, struct pending *pending, struct error *error)
{
    (void)context;
    (void)error;
    json_t *list = json_array();
    for (int i = 0; i < 100; i++)
        (void)json_array_append_new(list, json_integer(1000 + i));
    pending_answer(pending, list);
    return STATUS_OK;
}

static const struct request_handlers handlers = {
    .health_check = on_now,
    .log_level = on_now,
    .permit_join = on_now,
    .device_add = on_now,
    .device_energy_set = on_now,
    .device_rename = on_now,
    .backup = on_later,
    .history_energy = on_list,
};

static void on_answer(void *context, const struct request_answer *answer)
{
    struct world *world = context;
    world->answers++;
    world->status = answer->status;
    world->unknown = answer->unknown;
    (void)snprintf(world->name, sizeof world->name, "%s", answer->name);
    json_decref(world->answer);
    world->answer = json_loadb(answer->text, answer->length, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(world->answer);
}

static void begin(struct world *world)
{
    *world = (struct world){.held = NULL};
    const struct requests_options options = {
        .handlers = &handlers, .context = world, .http_address = "http://[::1]:1/api/v1"};
    world->requests = requests_create(&options);
}

static void end(struct world *world)
{
    requests_free(world->requests);
    json_decref(world->answer);
    json_decref(world->arguments);
}

static struct pending *ask(struct world *world, const char *name, const char *payload,
                           size_t answer_max)
{
    const struct request_door door = {
        .name = "test", .answer = on_answer, .context = world, .answer_max = answer_max};
    return requests_submit(world->requests, name, payload, strlen(payload), &door);
}

static const char *error_of(const struct world *world)
{
    const char *words = json_string_value(json_object_get(world->answer, "error"));
    return words != NULL ? words : "";
}

static void test_what_is_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *name, *payload, *arguments;
    } table[] = {
        {"health_check", "", "{}"},
        {"HEALTH_check", "anything at all", "{}"},
        {"health_check", "{\"extra\":1,\"transaction\":5}", "{}"},
        {"log_level", "debug", "{\"level\":\"debug\"}"},
        {"log_level", " \"Debug\" ", "{\"level\":\"debug\"}"},
        {"log_level", "{\"value\":\"info\"}", "{\"level\":\"info\"}"},
        {"log_level", "{\"level\":\"INFO\",\"surplus\":{\"a\":[]}}", "{\"level\":\"info\"}"},
        {"permit_join", "true", "{\"value\":true}"},
        {"permit_join", "254", "{\"value\":254}"},
        {"permit_join", "{\"value\":true,\"time\":254.0,\"device\":null}",
         "{\"value\":true,\"time\":254}"},
        {"device/add", "{\"id\":\"x\",\"driver\":\"simulator\",\"channels\":{\"a\":{}}}",
         "{\"id\":\"x\",\"driver\":\"simulator\",\"channels\":{\"a\":{}}}"},
        {"device/rename", "{\"from\":\"a\",\"to\":\"b\",\"homeassistant_rename\":true}",
         "{\"from\":\"a\",\"to\":\"b\",\"homeassistant_rename\":true}"},
    };
    struct world world;
    begin(&world);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        json_t *wanted = json_loads(table[i].arguments, 0, NULL);
        assert_null(ask(&world, table[i].name, table[i].payload, 0));
        if (world.status != STATUS_OK || !json_equal(world.arguments, wanted))
            fail_msg("%s %s: %s", table[i].name, table[i].payload, error_of(&world));
        json_decref(wanted);
    }
    assert_int_equal(world.answers, sizeof table / sizeof table[0]);
    end(&world);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *payload, *words;
    } table[] = {
        {"nonsense", "{}", "There is no request \"nonsense\""},
        {"no/such", "not JSON", "There is no request"},
        {"ill-named", "", "There is no request"},
        {"log_level", "", "needs the key \"level\""},
        {"log_level", "loud", "error|warning"},
        {"log_level", "{\"level\":5}", "must be one of"},
        {"log_level", "[\"debug\"]", "must be one of"},
        {"log_level", "{\"levle\":\"debug\"}", "\"level\" may be meant"},
        {"device/energy/set", "5", "must be a JSON object"},
        {"device/energy/set", "{\"id\":\"h\"}", "\"channel\""},
        {"device/energy/set", "{\"id\":\"h\",\"channel\":\"a\",\"energy\":-1}",
         "from 0 to 9000000"},
        {"device/energy/set", "{\"id\":\"h\",\"channel\":\"a\",\"energy\":\"5\"}", "a number"},
        {"device/energy/set", "{\"id\":\"\",\"channel\":\"a\"}", "\"id\" must be a text"},
        {"device/energy/set", "{\"id\":\"h\",\"id\":\"i\"}", "not valid JSON"},
        {"device/energy/set", "{\"transaction\":[]}", "transaction"},
        {"device/energy/set", "{", "not valid JSON"},
        {"restart", "", "does not offer"},
    };
    struct world world;
    begin(&world);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_null(ask(&world, table[i].name, table[i].payload, 0));
        assert_string_equal(world.name, table[i].name);
        if (world.status == STATUS_OK || strstr(error_of(&world), table[i].words) == NULL)
            fail_msg("%s %s: %s", table[i].name, table[i].payload, error_of(&world));
        assert_int_equal(world.unknown, i < 3);
    }
    end(&world);
}

static void test_transactions_are_echoed(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    (void)ask(&world, "health_check", "{\"transaction\":\"t-1\"}", 0);
    assert_string_equal(json_string_value(json_object_get(world.answer, "transaction")), "t-1");
    (void)ask(&world, "nonsense", "{\"transaction\":7}", 0);
    assert_int_equal(json_integer_value(json_object_get(world.answer, "transaction")), 7);
    (void)ask(&world, "health_check", "", 0);
    assert_null(json_object_get(world.answer, "transaction"));
    end(&world);
}

static void test_answers_later(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    assert_non_null(ask(&world, "backup", "{\"transaction\":1}", 0));
    assert_int_equal(world.answers, 0);
    assert_null(ask(&world, "backup", "{\"transaction\":2}", 0));
    assert_string_equal(error_of(&world), "One is running already.");
    pending_answer(world.held, json_pack("{s:s}", "path", "x"));
    assert_int_equal(world.answers, 2);
    assert_int_equal(json_integer_value(json_object_get(world.answer, "transaction")), 1);

    /* A door that left is not called any more. */
    world.held = NULL;
    requests_abandon(ask(&world, "backup", "", 0));
    pending_answer(world.held, NULL);
    assert_int_equal(world.answers, 2);

    /* What is still pending at the end is answered. */
    world.held = NULL;
    assert_non_null(ask(&world, "backup", "", 0));
    end(&world);
    assert_int_equal(world.answers, 3);
}

static void test_answers_that_are_too_long(void **state)
{
    (void)state;
    struct world world;
    begin(&world);
    (void)ask(&world, "history/energy", "{\"device\":\"h\",\"transaction\":9}", 0);
    assert_int_equal(json_array_size(json_object_get(world.answer, "data")), 100);
    (void)ask(&world, "history/energy", "{\"device\":\"h\",\"transaction\":9}", 200);
    assert_int_equal(world.status, STATUS_FAILED);
    assert_non_null(strstr(error_of(&world), "http://[::1]:1/api/v1/history/energy"));
    assert_int_equal(json_integer_value(json_object_get(world.answer, "transaction")), 9);
    end(&world);
}

/* The schema has every request, and every key of the table with its type. */
static void test_schema(void **state)
{
    (void)state;
    json_t *all = requests_schema();
    assert_int_equal(json_object_size(all), request_row_count);
    for (size_t i = 0; i < request_row_count; i++) {
        const struct request_row *row = &request_rows[i];
        const json_t *properties = json_object_get(json_object_get(all, row->name), "properties");
        assert_ptr_equal(request_row_find(row->name), row);
        for (const struct request_argument *argument = row->arguments;
             argument != NULL && argument->key != NULL; argument++)
            assert_non_null(json_object_get(properties, argument->key));
    }
    json_decref(all);
}

#define BEGIN_MARK "<!-- requests: made from bridge/requests/table.c -->\n"
#define END_MARK "<!-- /requests -->"

/* docs/mqtt.md has the table between two marks. UPDATE_DOCS=1 in the environment writes it there. */
static void test_documentation(void **state)
{
    (void)state;
    char *page memory_auto = NULL;
    char *wanted memory_auto = request_reference();
    size_t length = 0;
    struct error error = {""};
    if (file_read(SOURCE_DIR "/docs/mqtt.md", 1 << 20, &page, &length, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    char *begin = strstr(page, BEGIN_MARK), *end = strstr(page, END_MARK);
    assert_non_null(begin);
    assert_non_null(end);
    begin += strlen(BEGIN_MARK);
    size_t found = (size_t)(end - begin);
    if (found == strlen(wanted) && memcmp(begin, wanted, found) == 0)
        return;
    if (getenv("UPDATE_DOCS") == NULL)
        fail_msg("docs/mqtt.md is not in step with the table of requests; UPDATE_DOCS=1 %s",
                 "test_request_table writes it");
    char *text = memory_new(length + strlen(wanted) + 1, 1);
    (void)snprintf(text, length + strlen(wanted) + 1, "%.*s%s%s", (int)(begin - page), page, wanted,
                   end);
    assert_int_equal(file_replace(SOURCE_DIR "/docs/mqtt.md", text, strlen(text), 0644, &error),
                     STATUS_OK);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_accepted),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_transactions_are_echoed),
        cmocka_unit_test(test_answers_later),
        cmocka_unit_test(test_answers_that_are_too_long),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_documentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
