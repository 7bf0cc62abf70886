/* SPDX-License-Identifier: MIT */
/* bridge/config: a device's block `homeassistant`. */
#include "bridge/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct config_problems problems; /* large; each test fills it anew */

static struct config *must_parse(const char *yaml, char *const *environment)
{
    struct config *config = config_parse("t.yaml", yaml, strlen(yaml), environment, &problems);
    if (config == NULL) {
        config_problems_print(&problems, stdout);
        fail_msg("refused:\n%s", yaml);
    }
    return config;
}

/* Exactly one problem, at that place of the second line, with those words. */
static void must_refuse(const char *yaml, int column, const char *words)
{
    struct config *config = config_parse("t.yaml", yaml, strlen(yaml), NULL, &problems);
    const struct config_problem *first = &problems.list[0];
    bool good = config == NULL && problems.count == 1 && first->line == 2 &&
                first->column == column && strstr(first->message, words) != NULL;
    config_free(config);
    if (good)
        return;
    config_problems_print(&problems, stdout);
    fail_msg("wanted one error 2:%d \"%s\" for:\n%s", column, words, yaml);
}

/* ---- a device in Home Assistant ---- */

#define TWO "- {id: house, driver: simulator, channels: {a: , b: }, homeassistant: "

static void test_entities(void **unused)
{
    (void)unused;
    struct config *config =
        must_parse("devices:\n" TWO "{exclude: [power_factor_a, energy, reset_energy_b], name: Box,"
                   " entities: [{property: power_b, name: Pump, icon: 'mdi:heat-pump',"
                   " enabled: false, precision: 0}, {property: voltage_a}]}}\n",
                   NULL);
    const struct config_device_homeassistant *there = &config->devices[0].homeassistant;
    assert_true(there->enabled);
    assert_string_equal(there->name, "Box");
    assert_string_equal(there->exclude, "power_factor_a,energy,reset_energy_b");
    assert_int_equal(there->entity_count, 2);
    assert_string_equal(there->entities[0].icon, "mdi:heat-pump");
    assert_int_equal(there->entities[0].enabled, 0);
    assert_int_equal(there->entities[0].precision, 0);
    assert_int_equal(there->entities[1].enabled, -1);
    assert_int_equal(there->entities[1].precision, -1);
    assert_string_equal(there->entities[1].name, "");
    config_free(config);

    /* A value stands for the group. */
    config = must_parse("devices:\n" TWO "false}\n", NULL);
    assert_false(config->devices[0].homeassistant.enabled);
    config_free(config);
    must_refuse("devices:\n" TWO "perhaps}\n", 71, "true or false");
    must_refuse("devices:\n" TWO "[a]}\n", 71, "a group");

    static const struct {
        const char *block;
        int column; /* behind TWO */
        const char *words;
    } wrong[] = {
        {"{exclude: [power_a, powre_b]}}\n", 21, "Did you mean power_b?"},
        {"{exclude: [colour]}}\n", 12, "no property colour"},
        {"{exclude: []}}\n", 11, "empty"},
        {"{entities: [{property: power_c}]}}\n", 24, "Did you mean power_"},
        {"{entities: [{property: alarm_x}]}}\n", 24, "no property alarm_x"},
        {"{entities: [{property: power}, {property: power}]}}\n", 43, "twice"},
        {"{entities: [{property: power, icon: flash}]}}\n", 37, "mdi:flash"},
        {"{entities: [{property: power, precision: 7}]}}\n", 42, "from 0 to 6"},
        {"{entities: [{property: power, colour: red}]}}\n", 31, "The keys here are property"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char yaml[300];
        (void)snprintf(yaml, sizeof yaml, "devices:\n" TWO "%s", wrong[i].block);
        must_refuse(yaml, 70 + wrong[i].column, wrong[i].words);
    }
    /* What hangs on other keys, and an alarm's own. */
    config = must_parse(
        "devices:\n- {id: house, driver: simulator, channels: {a: }, alarms: [{name: x, when: "
        "'power > 1'}], homeassistant: {exclude: [alarm_x, power, power_a, cost_month]}}\n",
        NULL);
    config_free(config);
}

/* The environment may have either form, and so may the file. */
static void test_entities_environment(void **unused)
{
    (void)unused;
    char *const off[] = {"BL2MQTT_DEVICES__HOUSE__HOMEASSISTANT=false", NULL};
    char *const name[] = {"BL2MQTT_DEVICES__HOUSE__HOMEASSISTANT__NAME=Box", NULL};
    struct config *config = must_parse("devices:\n" TWO "{name: Old}}\n", off);
    assert_false(config->devices[0].homeassistant.enabled);
    assert_string_equal(config->devices[0].homeassistant.name, "Old");
    config_free(config);
    config = must_parse("devices:\n" TWO "true}\n", off);
    assert_false(config->devices[0].homeassistant.enabled);
    config_free(config);
    config = must_parse("devices:\n" TWO "false}\n", name);
    assert_false(config->devices[0].homeassistant.enabled);
    assert_string_equal(config->devices[0].homeassistant.name, "Box");
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entities),
        cmocka_unit_test(test_entities_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
