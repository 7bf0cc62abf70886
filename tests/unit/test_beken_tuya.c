/* SPDX-License-Identifier: MIT */
/* drivers/beken/tuya_*: the published example, cut and shifted; the vendor's JSON; pins. Vaults of every
 * kind are built in tests/integration/tuya_vaults.py. */
#include "drivers/beken/tuya_pins.h"
#include "drivers/beken/tuya_report.h"
#include "drivers/beken/tuya_vault.h"

#include "tests/unit/random_helper.h"

enum { EXAMPLE_SIZE = 8192 };

static void load_example(uint8_t bytes[EXAMPLE_SIZE])
{
    FILE *file = fopen(SOURCE_DIR "/tests/data/tuya_kv_example.bin", "rb");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, EXAMPLE_SIZE, file), EXAMPLE_SIZE);
    (void)fclose(file);
}

static void test_example(void **state)
{
    (void)state;
    uint8_t bytes[EXAMPLE_SIZE];
    load_example(bytes);
    struct tuya_vault *vault = tuya_vault_open(bytes, sizeof bytes);
    memset(bytes, 0, sizeof bytes); /* it works on a copy */
    assert_int_equal(tuya_vault_facts(vault)->state, TUYA_VAULT_FULL);
    assert_int_equal(tuya_vault_facts(vault)->blocks, 1);
    assert_int_equal(tuya_vault_count(vault), 2);
    assert_string_equal(tuya_vault_entry(vault, 0)->name, "gw_bi");
    const struct tuya_entry *pins = tuya_vault_find(vault, "user_param_key");
    assert_non_null(pins);
    assert_true(pins->intact);
    assert_memory_equal(pins->value, "{rl1_pin:6,", 11);
    assert_null(tuya_vault_find(vault, "gw_"));
    tuya_vault_free(vault);
}

/* Cut off anywhere: nothing is read behind the end, and what is there is reported. */
static void test_cut_short(void **state)
{
    (void)state;
    uint8_t bytes[EXAMPLE_SIZE];
    load_example(bytes);
    for (size_t length = 0; length <= EXAMPLE_SIZE;
         length += length < 80 || length > 8180 ? 1 : 499) {
        uint8_t *part = malloc(length > 0 ? length : 1);
        assert_non_null(part);
        memcpy(part, bytes, length);
        struct tuya_vault *vault = tuya_vault_open(part, length);
        enum tuya_vault_state wanted = length < 48              ? TUYA_VAULT_NO_KEY
                                       : length == EXAMPLE_SIZE ? TUYA_VAULT_FULL
                                                                : TUYA_VAULT_NO_DATA;
        /* From its first 32 bytes on the key block can be reported. */
        if (length < 32 || length >= 48)
            assert_int_equal(tuya_vault_facts(vault)->state, wanted);
        tuya_vault_free(vault);
        free(part);
    }
}

/* One damaged byte anywhere: never more than what was put in, and never a wrong value called intact. */
static void test_one_byte_wrong(void **state)
{
    (void)state;
    uint64_t dice = test_seed();
    uint8_t bytes[EXAMPLE_SIZE];
    load_example(bytes);
    for (int i = 0; i < 300; i++) {
        size_t at = (size_t)below(&dice, EXAMPLE_SIZE);
        uint8_t old = bytes[at];
        bytes[at] ^= (uint8_t)between(&dice, 1, 255);
        struct tuya_vault *vault = tuya_vault_open(bytes, sizeof bytes);
        const struct tuya_entry *pins = tuya_vault_find(vault, "user_param_key");
        if (pins != NULL && pins->intact)
            assert_memory_equal(pins->value, "{rl1_pin:6,rl1_lv:1,", 20);
        assert_true(tuya_vault_count(vault) <= 2);
        tuya_vault_free(vault);
        bytes[at] = old;
    }
}

static void test_vendors_json(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json; /* NULL: refused */
    } cases[] = {
        {"{a:1,b:x,}", "{\"a\":1,\"b\":\"x\"}"},
        {"{a:01,b:-5,c:0,d:-0}", "{\"a\":\"01\",\"b\":-5,\"c\":0,\"d\":\"-0\"}"},
        {"{\"a\":\"1\",b:[1,2,],}", "{\"a\":\"1\",\"b\":[1,2]}"},
        {"{\"a\": 1}", "{\"a\":1}"},
        {"{a:{b:{c:d,},},}", "{\"a\":{\"b\":{\"c\":\"d\"}}}"},
        {"{a:q\"o\\te}", "{\"a\":\"q\\\"o\\\\te\"}"},
        {"{a:99999999999999999999}", "{\"a\":\"99999999999999999999\"}"},
        {"{}", "{}"},
        {"", NULL},
        {"{a:1", NULL},
        {"[1,2]", NULL},
        {"{a}", NULL},
        {"{a:,b:1}", NULL},
        {"{{{{{{{{{{{{{{{{{{{{{a:1}}}}}}}}}}}}}}}}}}}}}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *value = tuya_pins_parse_text(cases[i].text, strlen(cases[i].text));
        if (cases[i].json == NULL) {
            assert_null(value);
            continue;
        }
        char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
        if (text == NULL)
            fail_msg("%s was not understood", cases[i].text);
        assert_string_equal(text, cases[i].json);
        free(text);
        json_decref(value);
    }
}

static void test_modules(void **state)
{
    (void)state;
    static const struct {
        const char *module;
        enum beken_chip chip;
    } cases[] = {
        {"CB2S", BEKEN_CHIP_BK7231N},  {"CBU", BEKEN_CHIP_BK7231N},  {"WB3S", BEKEN_CHIP_BK7231T},
        {"WBLC5", BEKEN_CHIP_BK7231T}, {"WBR3", BEKEN_CHIP_UNKNOWN}, {"T34", BEKEN_CHIP_BK7231N},
        {"T1-U", BEKEN_CHIP_BK7238},   {"W", BEKEN_CHIP_UNKNOWN},    {"", BEKEN_CHIP_UNKNOWN}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(tuya_module_chip(cases[i].module), cases[i].chip);
}

/* A level decides between a role and its twin; without one, what such boards usually have. */
static void test_levels(void **state)
{
    (void)state;
    static const struct {
        const char *key, *with_1, *with_0, *without;
    } cases[] = {
        {"rl1", "Rel", "Rel_n", "Rel"},
        {"bt1", "Btn_n", "Btn", "Btn"},
        {"led1", "LED", "LED_n", "LED"},
        {"netled1", "WifiLED", "WifiLED_n", "WifiLED_n"},
        {"netled", "WifiLED", "WifiLED_n", "WifiLED_n"},
        {"total_bt", "Btn_Tgl_All_n", "Btn_Tgl_All", "Btn_Tgl_All"},
        {"c", "PWM", "PWM_n", "PWM"},
        {"door1_magt", "dInput", "dInput_n", "dInput"},
        {"ele", "BL0937CF", "BL0937CF", "BL0937CF"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int level = -1; level <= 1; level++) {
            char text[80];
            struct tuya_pins pins;
            (void)snprintf(text, sizeof text, level < 0 ? "{%s_pin:6,}" : "{%s_pin:6,%s_lv:%d,}",
                           cases[i].key, cases[i].key, level);
            json_t *settings = tuya_pins_parse_text(text, strlen(text));
            tuya_pins_read(settings, &pins);
            json_decref(settings);
            assert_int_equal(pins.count, 1);
            assert_int_equal(pins.pins[0].level, level);
            assert_string_equal(pins.pins[0].role, level < 0    ? cases[i].without
                                                   : level == 1 ? cases[i].with_1
                                                                : cases[i].with_0);
        }
    }
}

/* OpenBeken's pins from the vendor's, beside what was there. */
static void test_apply(void **state)
{
    (void)state;
    static const char text[] = "{rl1_pin:6,rl1_lv:0,bt1_pin:26,pwmhz:1000,ctrl_pin:3,led1_pin:40,}";
    struct tuya_pins pins;
    struct obk_config config;
    char command[OBK_CONFIG_TEXT_SIZE];
    json_t *settings = tuya_pins_parse_text(text, sizeof text - 1);
    tuya_pins_read(settings, &pins);
    json_decref(settings);
    obk_config_init(&config, BEKEN_CHIP_BK7231N, NULL);
    obk_config_set_pin(&config, 3, (struct obk_config_pin){20, 5, 0});
    tuya_pins_apply(&pins, &config);
    assert_int_equal(obk_config_pin(&config, 6).role, 2);
    assert_int_equal(obk_config_pin(&config, 6).channel, 1);
    assert_int_equal(obk_config_pin(&config, 26).role, 3);
    assert_int_equal(obk_config_pin(&config, 3).role, 20); /* not known, so left alone */
    obk_config_get(&config, "startup_command", command);
    assert_string_equal(command, "backlog PWMFrequency 1000");
    assert_int_equal(obk_config_set(&config, "startup_command", "mine", NULL), STATUS_OK);
    tuya_pins_apply(&pins, &config);
    obk_config_get(&config, "startup_command", command);
    assert_string_equal(command, "mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_one_byte_wrong), cmocka_unit_test(test_vendors_json),
        cmocka_unit_test(test_modules),        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
