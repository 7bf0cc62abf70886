/* SPDX-License-Identifier: MIT */
/* drivers/beken/obk_config: the table, the published example, and edits that change only what they name. */
#include "drivers/beken/bytes.h"
#include "drivers/beken/crc.h"
#include "drivers/beken/obk_config.h"
#include "drivers/beken/obk_role.h"

#include "tests/unit/random_helper.h"

static void load_example(struct obk_config *config)
{
    uint8_t bytes[OBK_CONFIG_SIZE];
    FILE *file = fopen(SOURCE_DIR "/tests/data/obk_config_example.bin", "rb");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, sizeof bytes, file), sizeof bytes);
    (void)fclose(file);
    assert_int_equal(obk_config_read(bytes, sizeof bytes, config), OBK_CONFIG_GOOD);
}

static void test_table_covers_everything_once(void **state)
{
    (void)state;
    const struct obk_config_field *field;
    size_t next = 8;
    for (size_t i = 0; (field = obk_config_field(i)) != NULL; i++) {
        assert_int_equal(field->offset, next);
        assert_int_equal(field->size % field->count, 0);
        assert_ptr_equal(obk_config_find_field(field->name), field);
        assert_true(field->longest <= field->size);
        next += field->size;
    }
    assert_int_equal(next, OBK_CONFIG_SIZE);
    assert_null(obk_config_find_field("wifi"));
}

/* The firmware's factory settings and the example's own values make the example. */
static void test_example_is_made_of_its_fields(void **state)
{
    (void)state;
    static const char *const values[][2] = {
        {"wifi_ssid", "ExampleNet"},
        {"wifi_password", "example-pass-1"},
        {"mqtt_host", "192.168.10.2"},
        {"mqtt_client_id", "em-0001"},
        {"mqtt_user", "meter"},
        {"mqtt_password", "secret"},
        {"short_name", "em-0001"},
        {"name", "EnergyMeter_0001"},
        {"startup_command", "backlog startDriver BL0942; startDriver NTP"},
    };
    struct obk_config example, made;
    char text[OBK_CONFIG_TEXT_SIZE];
    load_example(&example);
    obk_config_init(&made, BEKEN_CHIP_BK7231N, NULL);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_int_equal(obk_config_set(&made, values[i][0], values[i][1], NULL), STATUS_OK);
        obk_config_get(&example, values[i][0], text);
        assert_string_equal(text, values[i][1]);
    }
    assert_memory_equal(made.bytes, example.bytes, OBK_CONFIG_SIZE);
    assert_int_equal(made.bytes[3], 0x1E);
}

/* Published checksums of two more blocks. */
static void test_checksum(void **state)
{
    (void)state;
    struct obk_config config = {.bytes = {'C', 'F', 'G', 0, 5}};
    assert_int_equal(obk_config_set(&config, "startup_command", "startDriver BL0942", NULL),
                     STATUS_OK);
    assert_int_equal(config.bytes[3], 0xBE);
    memset(config.bytes + 4, 0xFF, sizeof config.bytes - 4);
    assert_int_equal(beken_crc8_config(config.bytes + 4, 3580), 0x31);
}

static void test_names_from_the_mac(void **state)
{
    (void)state;
    static const uint8_t mac[6] = {0xC8, 0x47, 0x8C, 0x00, 0x01, 0x18};
    static const struct {
        enum beken_chip chip;
        const char *name, *group;
    } cases[] = {{BEKEN_CHIP_BK7231N, "OpenBK7231N_8C000118", "bekens_n"},
                 {BEKEN_CHIP_BK7231M, "OpenBK7231N_8C000118", "bekens_n"},
                 {BEKEN_CHIP_BK7231T, "OpenBK7231T_8C000118", "bekens_t"}};
    struct obk_config config;
    char text[OBK_CONFIG_TEXT_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        obk_config_init(&config, cases[i].chip, mac);
        obk_config_get(&config, "name", text);
        assert_string_equal(text, cases[i].name);
        obk_config_get(&config, "mqtt_group", text);
        assert_string_equal(text, cases[i].group);
        obk_config_get(&config, "mqtt_client_id", text);
        assert_string_equal(text, "obk8C000118");
    }
}

static void test_states(void **state)
{
    (void)state;
    struct obk_config config, other;
    uint8_t sector[4096];
    memset(sector, 0xFF, sizeof sector);
    assert_int_equal(obk_config_read(sector, sizeof sector, &other), OBK_CONFIG_BLANK);
    memset(sector, 0, sizeof sector);
    assert_int_equal(obk_config_read(sector, sizeof sector, &other), OBK_CONFIG_BLANK);
    sector[9] = 1;
    assert_int_equal(obk_config_read(sector, sizeof sector, &other), OBK_CONFIG_FOREIGN);
    obk_config_init(&config, BEKEN_CHIP_BK7231N, NULL);
    assert_int_equal(obk_config_read(config.bytes, OBK_CONFIG_SIZE - 1, &other),
                     OBK_CONFIG_FOREIGN);
    assert_int_equal(obk_config_read(config.bytes, OBK_CONFIG_SIZE, &other), OBK_CONFIG_GOOD);
    config.bytes[OBK_CONFIG_SIZE - 1] ^= 1;
    assert_int_equal(obk_config_read(config.bytes, OBK_CONFIG_SIZE, &other), OBK_CONFIG_DAMAGED);
    config.bytes[5] = 0x80; /* a version that is none, whatever its checksum */
    config.bytes[3] = obk_config_checksum(&config);
    assert_int_equal(obk_config_read(config.bytes, OBK_CONFIG_SIZE, &other), OBK_CONFIG_DAMAGED);
}

static void test_flags_and_pins(void **state)
{
    (void)state;
    struct obk_config config, before;
    char text[OBK_CONFIG_TEXT_SIZE];
    obk_config_init(&config, BEKEN_CHIP_BK7231N, NULL);
    before = config;
    assert_true(obk_config_flag(&config, 10));
    for (unsigned flag = 0; flag < 64; flag++) {
        obk_config_set_flag(&config, flag, true);
        assert_true(obk_config_flag(&config, flag));
    }
    obk_config_get(&config, "generic_flags2", text);
    assert_string_equal(text, "0xFFFFFFFF");
    for (unsigned flag = 0; flag < 64; flag++)
        obk_config_set_flag(&config, flag, flag == 10);
    assert_memory_equal(config.bytes, before.bytes, OBK_CONFIG_SIZE);
    for (unsigned pin = 0; pin < OBK_CONFIG_PINS; pin++)
        obk_config_set_pin(&config, pin, (struct obk_config_pin){(uint8_t)pin, 2, 3});
    for (unsigned pin = 0; pin < OBK_CONFIG_PINS; pin++) {
        assert_int_equal(obk_config_pin(&config, pin).role, pin);
        assert_int_equal(obk_config_pin(&config, pin).channel2, 3);
    }
    assert_int_equal(config.bytes[3], obk_config_checksum(&config));
    assert_int_equal(obk_config_set(&config, "pin_channels2", "31=0", NULL), STATUS_OK);
    assert_int_equal(config.bytes[0x39D], 0);
}

static void test_old_web_password_needs_the_new_version(void **state)
{
    (void)state;
    struct obk_config config;
    obk_config_init(&config, BEKEN_CHIP_BK7231N, NULL);
    config.bytes[4] = 4;
    assert_int_equal(obk_config_set(&config, "wifi_ssid", "Net", NULL), STATUS_OK);
    assert_int_equal(obk_config_version(&config), 4);
    assert_int_equal(obk_config_set(&config, "web_password", "secret", NULL), STATUS_OK);
    assert_int_equal(obk_config_version(&config), 5);
}

static void test_a_whole_password_has_no_end(void **state)
{
    (void)state;
    struct obk_config config;
    struct error error = {""};
    char text[66];
    memset(text, 'p', 64);
    text[64] = text[65] = '\0';
    obk_config_init(&config, BEKEN_CHIP_BK7231N, NULL);
    assert_int_equal(obk_config_set(&config, "wifi_password", text, NULL), STATUS_OK);
    assert_true(bytes_are_all(config.bytes + 0x54, 64, 'p'));
    text[64] = 'q';
    assert_int_equal(obk_config_set(&config, "wifi_password", text, &error), STATUS_USAGE);
    assert_null(strstr(error.text, "ppp"));
    assert_int_equal(obk_config_set(&config, "wifi_passwort", "x", &error), STATUS_USAGE);
}

/* Whatever is set, in whatever order: each field holds what it was given last. */
static void test_random_edits(void **state)
{
    (void)state;
    uint64_t dice = test_seed();
    struct obk_config config;
    char last[80][24] = {{0}};
    char text[OBK_CONFIG_TEXT_SIZE];
    obk_config_init(&config, BEKEN_CHIP_BK7231N, NULL);
    size_t count = 0;
    while (obk_config_field(count) != NULL)
        count++;
    assert_true(count <= sizeof last / sizeof last[0]);
    for (int i = 0; i < 500; i++) {
        size_t index = (size_t)below(&dice, (int64_t)count);
        const struct obk_config_field *field = obk_config_field(index);
        if (field->type == OBK_CONFIG_HEX || field->type == OBK_CONFIG_IPV4 || field->count > 1 ||
            field->type == OBK_CONFIG_FLOAT || field->type == OBK_CONFIG_BITS)
            continue;
        if (field->type == OBK_CONFIG_TEXT)
            (void)snprintf(last[index], sizeof last[index], "t%d", i);
        else
            (void)snprintf(last[index], sizeof last[index], "%lld",
                           (long long)between(&dice, field->low, field->high));
        assert_int_equal(obk_config_set(&config, field->name, last[index], NULL), STATUS_OK);
    }
    for (size_t i = 0; i < count; i++) {
        obk_config_get(&config, obk_config_field(i)->name, text);
        if (last[i][0] != '\0')
            assert_string_equal(text, last[i]);
    }
    assert_int_equal(config.bytes[3], obk_config_checksum(&config));
}

static void test_json_all_or_none(void **state)
{
    (void)state;
    struct obk_config config, before;
    obk_config_init(&config, BEKEN_CHIP_BK7231N, NULL);
    before = config;
    static const char *const bad[] = {
        "{\"wifi_ssid\": \"Net\", \"mqtt_port\": 0}",
        "{\"wifi_ssid\": 5}",
        "{\"pin_roles\": [1, 2]}",
        "{\"led_gamma\": {\"hex\": \"12\"}}",
        "{\"name\": {\"hex\": \"zz\"}}",
        "{\"name\": \"a\\u0000b\"}",
        "{\"mqtt_password\": \"********\"}",
        "{\"ip_address\": 5}",
        "{\"calibration\": [0,0,0,0,0,0,0,\"1e99\"]}",
        "{\"mqtt_port\": 1.5}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *fields = json_loads(bad[i], JSON_ALLOW_NUL, NULL);
        struct error error = {""};
        assert_non_null(fields);
        assert_int_equal(obk_config_set_json(&config, fields, &error), STATUS_USAGE);
        assert_memory_equal(config.bytes, before.bytes, OBK_CONFIG_SIZE);
        assert_string_not_equal(error.text, "");
        json_decref(fields);
    }
}

static void test_roles(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned number;
    } known[] = {{"Rel", 1},          {"Btn", 3},     {"WifiLED_n", 9},  {"BL0937SEL", 17},
                 {"PWM_n", 27},       {"IRSend", 29}, {"SM2235DAT", 52}, {"BAT_ADC", 60},
                 {"KP18058_DAT", 77}, {"RCRecv", 87}};
    uint8_t role = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_string_equal(obk_role_name(known[i].number), known[i].name);
        assert_true(obk_role_parse(known[i].name, strlen(known[i].name), &role));
        assert_int_equal(role, known[i].number);
    }
    assert_true(obk_role_parse("200", 3, &role) && role == 200);
    assert_null(obk_role_name(200));
    assert_false(obk_role_parse("256", 3, &role) || obk_role_parse("Re", 2, &role));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_covers_everything_once),
        cmocka_unit_test(test_example_is_made_of_its_fields),
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_names_from_the_mac),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_flags_and_pins),
        cmocka_unit_test(test_old_web_password_needs_the_new_version),
        cmocka_unit_test(test_a_whole_password_has_no_end),
        cmocka_unit_test(test_random_edits),
        cmocka_unit_test(test_json_all_or_none),
        cmocka_unit_test(test_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
