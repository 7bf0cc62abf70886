/* SPDX-License-Identifier: MIT */
/* bridge/service/found and module_id: thousands of invented modules cost no more than their number. */
#include "bridge/service/found.h"
#include "bridge/service/module_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct taken {
    json_t *ids;
    unsigned questions;
};

static bool is_taken(void *context, const char *id)
{
    struct taken *taken = context;
    taken->questions++;
    return json_object_get(taken->ids, id) != NULL;
}

/* All with the same last word, which is what made the work quadratic. */
static void test_ids_are_made_in_linear_work(void **unused)
{
    (void)unused;
    enum { MODULES = 20000 };
    struct module_ids *ids = module_ids_create();
    struct taken taken = {.ids = json_object()};
    for (int i = 0; i < MODULES; i++) {
        char client[32], id[MODULE_ID_SIZE];
        (void)snprintf(client, sizeof client, "x/%d/m", i);
        module_ids_make(ids, client, is_taken, &taken, id);
        assert_null(json_object_get(taken.ids, id));
        json_object_set_new(taken.ids, id, json_true());
    }
    assert_int_equal(json_object_size(taken.ids), MODULES);
    assert_true(taken.questions < 3 * MODULES);
    json_decref(taken.ids);
    module_ids_free(ids);
}

static void test_the_word_itself_comes_first(void **unused)
{
    (void)unused;
    struct module_ids *ids = module_ids_create();
    struct taken taken = {.ids = json_pack("{s:b}", "sensor9", 1)};
    char id[MODULE_ID_SIZE];
    module_ids_make(ids, "utilities/Sensor9", is_taken, &taken, id);
    assert_string_equal(id, "sensor9_2");
    json_object_del(taken.ids, "sensor9"); /* it was removed, and comes back under its old id */
    module_ids_make(ids, "utilities/Sensor9", is_taken, &taken, id);
    assert_string_equal(id, "sensor9");
    module_ids_make(ids, "a/\xc3\xa9 ", is_taken, &taken, id);
    assert_string_equal(id, "___");
    json_decref(taken.ids);
    module_ids_free(ids);
}

static void test_the_list_is_bounded_and_new_modules_come_first(void **unused)
{
    (void)unused;
    struct openbeken_finder *finder = openbeken_finder_create("homeassistant");
    for (int i = 0; i < 1000; i++) {
        char topic[64];
        (void)snprintf(topic, sizeof topic, "x/%d/m/voltage/get", i);
        openbeken_finder_message(finder, topic, "230", 3, false);
    }
    struct config_problems problems = {0};
    static const char yaml[] = "{mqtt: {server: 'mqtt://h'}, devices: [{id: m, driver: openbeken, "
                               "topic: x/0/m, channels: {a: {}}}]}";
    struct config *config = config_parse("test", yaml, sizeof yaml - 1, NULL, &problems);
    assert_non_null(config);
    struct found_known *known = found_known_create(config);
    size_t left_out = 0;
    json_t *modules = found_modules(known, finder, 250, &left_out);
    assert_int_equal(json_array_size(modules), 250);
    assert_int_equal(left_out, 750);
    assert_string_equal(json_string_value(json_object_get(json_array_get(modules, 0), "topic")),
                        "x/1/m");
    assert_string_equal(json_string_value(json_object_get(json_array_get(modules, 0), "id")),
                        "m_2");
    json_decref(modules);
    found_known_free(known);

    known = found_known_create(config);
    modules = found_modules(known, finder, 0, &left_out);
    assert_int_equal(json_array_size(modules), 1000);
    assert_int_equal(left_out, 0);
    assert_true(json_is_true(json_object_get(json_array_get(modules, 999), "configured")));
    json_decref(modules);
    found_known_free(known);
    config_free(config);
    openbeken_finder_free(finder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_made_in_linear_work),
        cmocka_unit_test(test_the_word_itself_comes_first),
        cmocka_unit_test(test_the_list_is_bounded_and_new_modules_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
