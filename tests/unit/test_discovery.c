/* SPDX-License-Identifier: MIT */
/* bridge/mqtt/discovery and the memory of what was announced. The rules of Home Assistant themselves
 * are checked by tests/integration/discovery_rules.py on what really goes over the wire. */
#include "bridge/mqtt/announced.h"
#include "bridge/mqtt/discovery.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const names[] = {"a", "b"};
static const struct device_description device = {.id = "House-1",
                                                 .name = "House meter",
                                                 .driver = "bl0942",
                                                 .manufacturer = "Shanghai Belling",
                                                 .model = "BL0942",
                                                 .channel_count = 2,
                                                 .channel_names = names,
                                                 .homeassistant = true};
static const struct discovery_context device_mode = {.base_topic = "power/bl2mqtt",
                                                     .bridge_id = "home",
                                                     .prefix = "ha/discovery",
                                                     .version = "1.2.3",
                                                     .device_mode = true};

struct emitted {
    size_t count, empty;
    json_t *messages; /* topic -> payload or null */
};

static void collect(void *context, const char *topic, const char *payload)
{
    struct emitted *emitted = context;
    emitted->count++;
    assert_null(json_object_get(emitted->messages, topic));
    if (*payload == '\0') {
        emitted->empty++;
        json_object_set_new(emitted->messages, topic, json_null());
        return;
    }
    json_t *json = json_loads(payload, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    json_object_set_new(emitted->messages, topic, json);
}

static struct emitted start(void)
{
    return (struct emitted){.messages = json_object()};
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "(none)";
}

static void test_device_mode(void **unused)
{
    (void)unused;
    struct emitted emitted = start();
    discovery_device(&device_mode, &device, NULL, collect, &emitted);
    assert_int_equal(emitted.count, 1);
    json_t *root =
        json_object_get(emitted.messages, "ha/discovery/device/bl2mqtt_home_House-1/config");
    assert_non_null(root);

    static const char *const allowed[] = {
        "device", "origin",      "availability", "availability_mode",
        "qos",    "state_topic", "components"};
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        bool good = false;
        for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
            good = good || strcmp(key, allowed[i]) == 0;
        if (!good)
            fail_msg("Home Assistant would refuse the whole device for \"%s\"", key);
    }

    json_t *components = json_object_get(root, "components");
    json_t *announced = discovery_announced(&device);
    assert_int_equal(json_object_size(components), json_object_size(announced));
    json_object_foreach(components, key, value)
    {
        assert_string_equal(text_at(value, "platform"), text_at(announced, key));
    }
    json_decref(announced);

    json_t *power = json_object_get(components, "power_a");
    assert_string_equal(text_at(power, "unique_id"), "bl2mqtt_home_House-1_power_a");
    assert_string_equal(text_at(power, "default_entity_id"), "sensor.house_1_power_a");
    assert_string_equal(text_at(power, "object_id"), "house_1_power_a");
    assert_string_equal(text_at(power, "value_template"), "{{ value_json['power_a'] }}");
    assert_string_equal(text_at(power, "name"), "Power A");
    json_t *interval = json_object_get(components, "report_interval");
    assert_string_equal(text_at(interval, "command_topic"), "power/bl2mqtt/House-1/set");
    assert_string_equal(text_at(interval, "command_template"),
                        "{\"report_interval\": {{ value }} }");
    assert_string_equal(text_at(interval, "entity_category"), "config");
    json_decref(emitted.messages);
}

/* Only where there is firmware to be had; "Install" is a request to the bridge. */
static void test_update(void **unused)
{
    (void)unused;
    struct device_description updatable = device;
    updatable.updatable = true;
    struct emitted emitted = start();
    discovery_device(&device_mode, &updatable, NULL, collect, &emitted);
    json_t *root = json_object_iter_value(json_object_iter(emitted.messages));
    json_t *update = json_object_get(json_object_get(root, "components"), "update");
    assert_string_equal(text_at(update, "platform"), "update");
    assert_string_equal(text_at(update, "command_topic"),
                        "power/bl2mqtt/bridge/request/device/update");
    assert_string_equal(text_at(update, "payload_install"), "{\"id\": \"House-1\"}");
    assert_string_equal(text_at(update, "value_template"), "{{ value_json['update'] | tojson }}");
    assert_string_equal(text_at(update, "device_class"), "firmware");
    json_decref(emitted.messages);
}

/* Renaming a device must not change anything that Home Assistant remembers it by. */
static void test_name_is_only_a_name(void **unused)
{
    (void)unused;
    struct device_description renamed = device;
    renamed.name = "Something else \xc3\xa4 \"quoted\"";
    struct emitted before = start();
    struct emitted after = start();
    discovery_device(&device_mode, &device, NULL, collect, &before);
    discovery_device(&device_mode, &renamed, NULL, collect, &after);
    json_t *a = json_object_iter_value(json_object_iter(before.messages));
    json_t *b = json_object_iter_value(json_object_iter(after.messages));
    assert_string_equal(text_at(json_object_get(b, "device"), "name"), renamed.name);
    json_object_del(json_object_get(a, "device"), "name");
    json_object_del(json_object_get(b, "device"), "name");
    assert_true(json_equal(before.messages, after.messages));
    json_decref(before.messages);
    json_decref(after.messages);
}

static void test_overrides(void **unused)
{
    (void)unused;
    const struct device_entity entities[] = {
        {"power_a", "Pump", "mdi:heat-pump", 0, 3},
        {"power_reactive_a", "", "", 1, -1},
        {"energy_flow_a", "", "", 1, 2}, /* no number, so no precision */
    };
    struct device_description other = device;
    other.homeassistant_name = "Box";
    other.excluded = "voltage_a,power,energy_b";
    other.entities = entities;
    other.entity_count = 3;
    for (int mode = 0; mode < 2; mode++) {
        struct discovery_context context = device_mode;
        context.device_mode = mode == 0;
        struct emitted emitted = start();
        discovery_device(&context, &other, NULL, collect, &emitted);
        json_t *announced = discovery_announced(&other);
        json_t *all = discovery_announced(&device);
        assert_int_equal(json_object_size(announced) + 3, json_object_size(all));
        assert_null(json_object_get(announced, "voltage_a"));
        assert_non_null(json_object_get(announced, "voltage_b"));
        json_t *root =
            json_object_get(emitted.messages,
                            mode == 0 ? "ha/discovery/device/bl2mqtt_home_House-1/config"
                                      : "ha/discovery/sensor/bl2mqtt_home_House-1/power_a/config");
        assert_string_equal(text_at(json_object_get(root, "device"), "name"), "Box");
        assert_int_equal(emitted.count, mode == 0 ? 1 : json_object_size(announced));
        json_t *power =
            mode == 0 ? json_object_get(json_object_get(root, "components"), "power_a") : root;
        assert_string_equal(text_at(power, "name"), "Pump");
        assert_string_equal(text_at(power, "icon"), "mdi:heat-pump");
        assert_string_equal(text_at(power, "unique_id"), "bl2mqtt_home_House-1_power_a");
        assert_true(json_is_false(json_object_get(power, "enabled_by_default")));
        assert_int_equal(json_integer_value(json_object_get(power, "suggested_display_precision")),
                         3);
        if (mode == 0) {
            json_t *components = json_object_get(root, "components");
            json_t *reactive = json_object_get(components, "power_reactive_a");
            assert_null(json_object_get(reactive, "enabled_by_default"));
            assert_string_equal(text_at(reactive, "name"), "Reactive power A");
            assert_null(json_object_get(json_object_get(components, "energy_flow_a"),
                                        "suggested_display_precision"));
            assert_int_equal(json_object_size(components), json_object_size(announced));
        }
        json_decref(all);
        json_decref(announced);
        json_decref(emitted.messages);
    }
}

static void test_removed_component(void **unused)
{
    (void)unused;
    json_t *removed = json_pack("{s:s,s:s}", "rssi", "sensor", "power_a", "sensor");
    struct emitted emitted = start();
    discovery_device(&device_mode, &device, removed, collect, &emitted);
    json_t *root = json_object_iter_value(json_object_iter(emitted.messages));
    json_t *components = json_object_get(root, "components");
    json_t *rssi = json_object_get(components, "rssi");
    assert_int_equal(json_object_size(rssi), 1); /* the platform alone says "remove" */
    assert_string_equal(text_at(rssi, "platform"), "sensor");
    assert_true(json_object_size(json_object_get(components, "power_a")) > 1); /* still there */
    json_decref(emitted.messages);

    struct discovery_context single = device_mode;
    single.device_mode = false;
    emitted = start();
    discovery_device(&single, &device, removed, collect, &emitted);
    assert_int_equal(emitted.empty, 1);
    assert_true(json_is_null(
        json_object_get(emitted.messages, "ha/discovery/sensor/bl2mqtt_home_House-1/rssi/config")));
    json_decref(emitted.messages);
    json_decref(removed);
}

static void test_component_mode(void **unused)
{
    (void)unused;
    struct discovery_context single = device_mode;
    single.device_mode = false;
    struct emitted emitted = start();
    json_t *announced = discovery_announced(&device);
    discovery_device(&single, &device, NULL, collect, &emitted);
    assert_int_equal(emitted.count, json_object_size(announced));
    json_t *power = json_object_get(emitted.messages,
                                    "ha/discovery/sensor/bl2mqtt_home_House-1/power_a/config");
    assert_null(json_object_get(power, "platform"));
    assert_string_equal(text_at(power, "state_topic"), "power/bl2mqtt/House-1");
    assert_string_equal(text_at(power, "unique_id"), "bl2mqtt_home_House-1_power_a");
    assert_non_null(json_object_get(power, "device"));
    assert_int_equal(json_array_size(json_object_get(power, "availability")), 2);

    /* Everything that was announced is cleared, and each topic is recognised as the device's own. */
    struct emitted cleared = start();
    discovery_remove(&single, device.id, announced, collect, &cleared);
    assert_int_equal(cleared.count, emitted.count);
    assert_int_equal(cleared.empty, cleared.count);
    const char *topic;
    json_t *payload;
    json_object_foreach(emitted.messages, topic, payload)
    {
        char key[PROPERTY_KEY_SIZE];
        assert_non_null(json_object_get(cleared.messages, topic));
        assert_true(discovery_topic_matches(&single, device.id, topic, key, sizeof key));
        assert_non_null(json_object_get(announced, key));
    }
    json_decref(cleared.messages);
    json_decref(emitted.messages);
    json_decref(announced);
}

static void test_bridge(void **unused)
{
    (void)unused;
    struct emitted emitted = start();
    discovery_bridge(&device_mode, NULL, collect, &emitted);
    json_t *root =
        json_object_get(emitted.messages, "ha/discovery/device/bl2mqtt_home_bridge/config");
    json_t *components = json_object_get(root, "components");
    json_t *connection = json_object_get(components, "connection_state");
    json_t *availability = json_object_get(connection, "availability");
    assert_true(json_is_array(availability)); /* it must work while the bridge is offline */
    assert_int_equal(json_array_size(availability), 0);
    assert_string_equal(text_at(connection, "default_entity_id"),
                        "binary_sensor.bl2mqtt_home_connection_state");
    json_t *announced = discovery_bridge_announced(&device_mode);
    assert_int_equal(json_object_size(announced), json_object_size(components));
    assert_null(json_object_get(components, "price"));
    assert_null(json_object_get(components, "co2_g_per_kwh"));
    json_t *required = json_object_get(components, "restart_required");
    assert_string_equal(text_at(required, "state_topic"), "power/bl2mqtt/bridge/info");
    json_decref(announced);
    json_decref(emitted.messages);
}

/* Of what is not configured there is no entity. */
static void test_prices_of_the_bridge(void **unused)
{
    (void)unused;
    struct discovery_context context = device_mode;
    struct emitted emitted = start();
    context.currency = "EUR";
    context.co2 = true;
    discovery_bridge(&context, NULL, collect, &emitted);
    json_t *root = json_object_iter_value(json_object_iter(emitted.messages));
    json_t *components = json_object_get(root, "components");
    json_t *price = json_object_get(components, "price");
    assert_string_equal(text_at(price, "unit_of_measurement"), "EUR/kWh");
    assert_string_equal(text_at(price, "state_topic"), "power/bl2mqtt/bridge/price");
    assert_string_equal(text_at(price, "value_template"), "{{ value_json['price'] }}");
    json_t *co2 = json_object_get(components, "co2_g_per_kwh");
    assert_string_equal(text_at(co2, "state_topic"), "power/bl2mqtt/bridge/co2");
    json_t *announced = discovery_bridge_announced(&context);
    assert_int_equal(json_object_size(announced), json_object_size(components));
    json_decref(announced);
    json_decref(emitted.messages);
}

/* What can be set has the words that <base>/<device>/set takes. */
static void test_settings(void **unused)
{
    (void)unused;
    struct emitted emitted = start();
    discovery_device(&device_mode, &device, NULL, collect, &emitted);
    json_t *components =
        json_object_get(json_object_iter_value(json_object_iter(emitted.messages)), "components");
    json_t *output = json_object_get(components, "output");
    assert_string_equal(text_at(output, "platform"), "select");
    assert_string_equal(text_at(output, "command_template"), "{\"output\": \"{{ value }}\" }");
    assert_int_equal(json_array_size(json_object_get(output, "options")), 2);
    json_t *retain = json_object_get(components, "retain");
    assert_string_equal(text_at(retain, "platform"), "switch");
    assert_string_equal(text_at(retain, "payload_on"), "{\"retain\": true}");
    assert_string_equal(text_at(retain, "value_template"), "{{ value_json['retain'] | lower }}");
    json_t *interval = json_object_get(components, "max_interval");
    assert_int_equal(json_integer_value(json_object_get(interval, "max")), 86400);
    assert_true(json_is_false(json_object_get(interval, "enabled_by_default")));
    json_decref(emitted.messages);
}

/* An entity id that Home Assistant would not take costs the entity. */
static void test_entity_ids(void **unused)
{
    (void)unused;
    static const struct {
        const char *device_id, *entity_id;
    } table[] = {
        {"house", "sensor.house_power"},
        {"House-1", "sensor.house_1_power"},
        {"a--b__c", "sensor.a_b_c_power"},
        {"-x-", "sensor.x_power"},
        {"__", "sensor.power"},
        {"9", "sensor.9_power"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct device_description odd = device;
        odd.id = table[i].device_id;
        struct emitted emitted = start();
        discovery_device(&device_mode, &odd, NULL, collect, &emitted);
        json_t *root = json_object_iter_value(json_object_iter(emitted.messages));
        json_t *power = json_object_get(json_object_get(root, "components"), "power");
        assert_string_equal(text_at(power, "default_entity_id"), table[i].entity_id);
        json_decref(emitted.messages);
    }
}

static void test_topic_match(void **unused)
{
    (void)unused;
    struct discovery_context single = device_mode;
    single.device_mode = false;
    static const struct {
        const char *topic;
        bool in_device_mode, in_component_mode;
    } table[] = {
        {"ha/discovery/device/bl2mqtt_home_House-1/config", true, false},
        {"ha/discovery/device/bl2mqtt_home_House-12/config", false, false},
        {"ha/discovery/device/bl2mqtt_home_House-1/config/x", false, false},
        {"ha/discovery/sensor/bl2mqtt_home_House-1/power/config", false, true},
        {"ha/discovery/sensor/bl2mqtt_home_House-1//config", false, false},
        {"ha/discovery/sensor/bl2mqtt_home_House-1/power", false, false},
        {"ha/discovery/sensor/bl2mqtt_home_other/power/config", false, false},
        {"ha/discovery", false, false},
        {"", false, false},
        {"ha/discovery/sensor/bl2mqtt_home_House-1/"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/config",
         false, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char key[PROPERTY_KEY_SIZE];
        if (discovery_topic_matches(&device_mode, device.id, table[i].topic, key, sizeof key) !=
                table[i].in_device_mode ||
            discovery_topic_matches(&single, device.id, table[i].topic, key, sizeof key) !=
                table[i].in_component_mode)
            fail_msg("wrong about %s", table[i].topic);
    }
}

static void test_migrate(void **unused)
{
    (void)unused;
    struct emitted emitted = start();
    discovery_migrate(&device_mode, device.id, NULL, collect, &emitted);
    json_t *marker = json_object_iter_value(json_object_iter(emitted.messages));
    assert_int_equal(json_object_size(marker), 1);
    assert_true(json_is_true(json_object_get(marker, "migrate_discovery")));
    json_decref(emitted.messages);
}

/* ---- the memory ---- */

static void write_file(const char *path, const char *text)
{
    assert_int_equal(file_replace(path, text, strlen(text), 0600, NULL), STATUS_OK);
}

static void test_memory(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/bl2mqtt-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    char damaged[80];
    (void)snprintf(path, sizeof path, "%s/announced.json", folder);
    (void)snprintf(damaged, sizeof damaged, "%s.damaged", path);

    json_t *records = NULL;
    struct error error = {.text = ""};
    assert_int_equal(announced_load(path, &records, &error), STATUS_OK); /* none yet */
    assert_int_equal(json_array_size(records), 0);

    json_t *components = discovery_announced(&device);
    json_array_append_new(records,
                          announced_record("home", "House-1", "ha/discovery", true, components));
    char *text = announced_format(records);
    assert_int_equal(announced_write(path, text, &error), STATUS_OK);
    json_t *again = NULL;
    assert_int_equal(announced_load(path, &again, &error), STATUS_OK);
    assert_true(json_equal(records, again));
    json_decref(again);
    json_decref(records);
    json_decref(components);

    /* A flipped byte, half a file, other people's JSON, a record that would clear foreign topics. */
    const char *bad[] = {
        "",
        "{",
        "[]",
        "{\"devices\":{}}",
        "{\"devices\":[1]}",
        "{\"devices\":[{}]}",
        "{\"devices\":[{\"bridge\":\"home\",\"device\":\"+/"
        "#\",\"prefix\":\"p\",\"mode\":\"device\","
        "\"components\":{}}]}",
        "{\"devices\":[{\"bridge\":\"home\",\"device\":\"x\",\"prefix\":\"p\",\"mode\":\"other\","
        "\"components\":{}}]}",
        "{\"devices\":[{\"bridge\":\"home\",\"device\":\"x\",\"prefix\":\"p\",\"mode\":\"device\","
        "\"components\":{\"a/b\":\"sensor\"}}]}",
        "{\"devices\":[{\"bridge\":\"home\",\"device\":\"x\",\"prefix\":\"p\",\"mode\":\"device\","
        "\"components\":{\"a\":1}}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(path, bad[i]);
        if (announced_load(path, &records, &error) == STATUS_OK)
            fail_msg("%s was believed", bad[i]);
        assert_int_equal(json_array_size(records), 0);
        json_decref(records);
        assert_int_equal(access(damaged, F_OK), 0);
        assert_int_not_equal(access(path, F_OK), 0);
        assert_int_equal(unlink(damaged), 0);
    }
    text[strlen(text) / 2] = '\0';
    write_file(path, text);
    assert_int_not_equal(announced_load(path, &records, &error), STATUS_OK);
    json_decref(records);
    free(text);
    (void)unlink(damaged);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_mode),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_name_is_only_a_name),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_removed_component),
        cmocka_unit_test(test_component_mode),
        cmocka_unit_test(test_bridge),
        cmocka_unit_test(test_prices_of_the_bridge),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_topic_match),
        cmocka_unit_test(test_entity_ids),
        cmocka_unit_test(test_migrate),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
