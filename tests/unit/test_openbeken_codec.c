/* SPDX-License-Identifier: MIT */
/* drivers/openbeken: topics, values, JSON and announcements, each as a table. */
#include "drivers/openbeken/discovery.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- topics ---- */

struct topic_case {
    const char *topic;
    size_t count;
    const char *client; /* of the first candidate */
    enum openbeken_kind kind;
    unsigned chip;
    enum openbeken_quantity quantity;
};

static const struct topic_case topics[] = {
    {"obk/voltage/get", 1, "obk", OPENBEKEN_VALUE, 0, OPENBEKEN_VOLTAGE},
    {"utilities/sensor9/current/get", 1, "utilities/sensor9", OPENBEKEN_VALUE, 0,
     OPENBEKEN_CURRENT},
    {"a/b/c/d/power/get", 1, "a/b/c/d", OPENBEKEN_VALUE, 0, OPENBEKEN_POWER},
    {"obk/138/get", 1, "obk", OPENBEKEN_VALUE, 0, OPENBEKEN_FREQUENCY},
    {"obk/energycounter/get", 1, "obk", OPENBEKEN_VALUE, 0, OPENBEKEN_ENERGY},
    {"obk/voltage_b/get", 1, "obk", OPENBEKEN_VALUE, 1, OPENBEKEN_VOLTAGE},
    {"obk/current_b/get", 1, "obk", OPENBEKEN_VALUE, 1, OPENBEKEN_CURRENT},
    {"obk/power_b/get", 1, "obk", OPENBEKEN_VALUE, 1, OPENBEKEN_POWER},
    {"obk/frequency_b/get", 1, "obk", OPENBEKEN_VALUE, 1, OPENBEKEN_FREQUENCY},
    {"obk/energycounter_b/get", 1, "obk", OPENBEKEN_VALUE, 1, OPENBEKEN_ENERGY},
    {"obk/energycounter", 1, "obk", OPENBEKEN_VALUE, 0, OPENBEKEN_ENERGY}, /* flag 50 */
    {"u/s9/138", 1, "u/s9", OPENBEKEN_VALUE, 0, OPENBEKEN_FREQUENCY},
    {"u/s9/connected", 1, "u/s9", OPENBEKEN_CONNECTED, 0, 0},
    {"u/s9/uptime", 1, "u/s9", OPENBEKEN_UPTIME, 0, 0},
    {"u/s9/build", 1, "u/s9", OPENBEKEN_BUILD, 0, 0},
    {"tele/u/s9/SENSOR", 1, "u/s9", OPENBEKEN_SENSOR, 0, 0},
    {"tele/u/s9/STATE", 1, "u/s9", OPENBEKEN_TELE, 0, 0},
    {"stat/u/s9/STATUS8", 1, "u/s9", OPENBEKEN_STATUS, 0, 0},
    {"stat/u/s9/STATUS10", 1, "u/s9", OPENBEKEN_STATUS, 0, 0},
    /* a client id that looks like a name, or like Tasmota's */
    {"obk/voltage/voltage/get", 1, "obk/voltage", OPENBEKEN_VALUE, 0, OPENBEKEN_VOLTAGE},
    {"voltage/voltage", 1, "voltage", OPENBEKEN_VALUE, 0, OPENBEKEN_VOLTAGE},
    {"tele/x/voltage", 2, "tele/x", OPENBEKEN_VALUE, 0, OPENBEKEN_VOLTAGE},
    /* nobody's */
    {"obk/1/get", 0, NULL, 0, 0, 0},
    {"obk/1/set", 0, NULL, 0, 0, 0},
    {"obk/host", 0, NULL, 0, 0, 0},
    {"obk/energycounter_today/get", 0, NULL, 0, 0, 0},
    {"obk/energycounter_clear_date/get", 0, NULL, 0, 0, 0},
    {"obk/connected/get", 0, NULL, 0, 0, 0},
    {"obk/Voltage/get", 0, NULL, 0, 0, 0},
    {"stat/u/s9/STATUS", 0, NULL, 0, 0, 0},
    {"stat/u/s9/RESULT", 0, NULL, 0, 0, 0},
    {"stat/STATUS8", 0, NULL, 0, 0, 0},
    {"cmnd/u/s9/Status", 0, NULL, 0, 0, 0},
    {"voltage", 0, NULL, 0, 0, 0},
    {"voltage/get", 0, NULL, 0, 0, 0},
    {"/voltage/get", 0, NULL, 0, 0, 0},
    {"/", 0, NULL, 0, 0, 0},
    {"", 0, NULL, 0, 0, 0},
    {"get", 0, NULL, 0, 0, 0},
    {"/get", 0, NULL, 0, 0, 0},
    {"tele//SENSOR", 0, NULL, 0, 0, 0},
};

static void test_topics(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        const struct topic_case *wanted = &topics[i];
        struct openbeken_topic got[OPENBEKEN_CANDIDATES];
        size_t count = openbeken_topic_read(wanted->topic, got);
        if (count != wanted->count)
            fail_msg("%s: %zu candidates, wanted %zu", wanted->topic, count, wanted->count);
        if (count == 0)
            continue;
        if (got[0].client_length != strlen(wanted->client) ||
            memcmp(got[0].client, wanted->client, got[0].client_length) != 0 ||
            got[0].kind != wanted->kind || got[0].chip != wanted->chip ||
            got[0].quantity != wanted->quantity)
            fail_msg("%s: client %.*s, kind %d, chip %u, quantity %d", wanted->topic,
                     (int)got[0].client_length, got[0].client, got[0].kind, got[0].chip,
                     got[0].quantity);
    }
}

static void test_longest_client_comes_first(void **unused)
{
    (void)unused;
    struct openbeken_topic got[OPENBEKEN_CANDIDATES];
    assert_int_equal(openbeken_topic_read("tele/x/power_b", got), 2);
    assert_int_equal(got[0].client_length, 6);
    assert_int_equal(got[0].kind, OPENBEKEN_VALUE);
    assert_int_equal(got[1].client_length, 1);
    assert_int_equal(got[1].kind, OPENBEKEN_TELE);
}

static void test_long_topics(void **unused)
{
    (void)unused;
    struct openbeken_topic got[OPENBEKEN_CANDIDATES];
    char topic[70000];
    for (size_t length = 60; length < 66; length++) {
        memset(topic, 'c', length);
        (void)snprintf(topic + length, sizeof topic - length, "/power/get");
        assert_int_equal(openbeken_topic_read(topic, got), length <= OPENBEKEN_CLIENT_MAX ? 1 : 0);
    }
    memset(topic, '/', sizeof topic - 1);
    topic[sizeof topic - 1] = '\0';
    assert_int_equal(openbeken_topic_read(topic, got), 0);
}

/* ---- values ---- */

static void test_values(void **unused)
{
    (void)unused;
    static const struct {
        enum openbeken_quantity quantity;
        const char *payload;
        enum openbeken_verdict verdict;
        int64_t milli;
    } table[] = {
        {OPENBEKEN_VOLTAGE, "230.3", OPENBEKEN_GOOD, 230300},
        {OPENBEKEN_VOLTAGE, "0.0", OPENBEKEN_GOOD, 0},
        {OPENBEKEN_VOLTAGE, "-1.0", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "2000.1", OPENBEKEN_BAD, 0},
        {OPENBEKEN_CURRENT, "6.570", OPENBEKEN_GOOD, 6570},
        {OPENBEKEN_CURRENT, "0.049", OPENBEKEN_GOOD, 49},
        {OPENBEKEN_POWER, "-430.00", OPENBEKEN_GOOD, -430000},
        {OPENBEKEN_POWER, "1500.50", OPENBEKEN_GOOD, 1500500},
        {OPENBEKEN_FREQUENCY, "49.95", OPENBEKEN_GOOD, 49950},
        {OPENBEKEN_FREQUENCY, "inf", OPENBEKEN_UNKNOWN, 0},
        {OPENBEKEN_FREQUENCY, "-inf", OPENBEKEN_UNKNOWN, 0},
        {OPENBEKEN_FREQUENCY, "nan", OPENBEKEN_UNKNOWN, 0},
        {OPENBEKEN_FREQUENCY, "-nan", OPENBEKEN_UNKNOWN, 0},
        {OPENBEKEN_FREQUENCY, "infinity", OPENBEKEN_BAD, 0},
        {OPENBEKEN_ENERGY, "12346.846", OPENBEKEN_GOOD, 12346846},
        {OPENBEKEN_ENERGY, "0.974", OPENBEKEN_GOOD, 974},
        {OPENBEKEN_ENERGY, "4.286263", OPENBEKEN_GOOD, 4286},
        {OPENBEKEN_ENERGY, "4.2869999", OPENBEKEN_GOOD, 4286},
        {OPENBEKEN_ENERGY, "999999999.999", OPENBEKEN_GOOD, 999999999999},
        {OPENBEKEN_ENERGY, "1e999", OPENBEKEN_BAD, 0},
        {OPENBEKEN_ENERGY, "1000000000.1", OPENBEKEN_BAD, 0},
        {OPENBEKEN_ENERGY, "-0.1", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "", OPENBEKEN_EMPTY, 0},
        {OPENBEKEN_VOLTAGE, "0x1p8", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "0xE6", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "1e-999", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "2E2", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "230,3", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, " 230.3", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "230.3\n", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "+230.3", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "230.3V", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "{\"voltage\":230}", OPENBEKEN_BAD, 0},
        {OPENBEKEN_VOLTAGE, "230.0000000000000000000000000000000000", OPENBEKEN_BAD, 0},
    };
    /* A locale with a decimal comma must change nothing; where it is not installed, C is tested. */
    static const char *const locales[] = {"C", "de_DE.UTF-8"};
    for (size_t l = 0; l < sizeof locales / sizeof locales[0]; l++) {
        (void)setlocale(LC_ALL, locales[l]);
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
            int64_t milli = 0;
            enum openbeken_verdict verdict = openbeken_value(table[i].quantity, table[i].payload,
                                                             strlen(table[i].payload), &milli);
            if (verdict != table[i].verdict || milli != table[i].milli)
                fail_msg("\"%s\": verdict %d (wanted %d), %lld (wanted %lld)", table[i].payload,
                         verdict, table[i].verdict, (long long)milli, (long long)table[i].milli);
        }
    }
    (void)setlocale(LC_ALL, "C");
    int64_t milli = 77;
    assert_int_equal(openbeken_value(OPENBEKEN_VOLTAGE, "230\0", 4, &milli), OPENBEKEN_BAD);
    assert_int_equal(milli, 77);
}

static void test_connected_and_uptime(void **unused)
{
    (void)unused;
    bool online = false;
    int64_t seconds = 0;
    assert_int_equal(openbeken_connected("online", 6, &online), OPENBEKEN_GOOD);
    assert_true(online);
    assert_int_equal(openbeken_connected("offline", 7, &online), OPENBEKEN_GOOD);
    assert_false(online);
    assert_int_equal(openbeken_connected("Online", 6, &online), OPENBEKEN_BAD);
    assert_int_equal(openbeken_connected("", 0, &online), OPENBEKEN_EMPTY);
    assert_int_equal(openbeken_uptime("204", 3, &seconds), OPENBEKEN_GOOD);
    assert_int_equal(seconds, 204);
    assert_int_equal(openbeken_uptime("-1", 2, &seconds), OPENBEKEN_BAD);
    assert_int_equal(openbeken_uptime("1.5", 3, &seconds), OPENBEKEN_BAD);
}

/* ---- JSON ---- */

static const char status8[] =
    "{\"StatusSNS\":{\"Time\":\"2026-11-22T08:47:10\",\"ENERGY\":{\"Power\": 1500.500000,"
    "\"ApparentPower\": 1511.100220,\"ReactivePower\": 178.671494,\"Factor\":0.992985,"
    "\"Voltage\":230.000000,\"Current\":6.570001,\"Frequency\":49.950050,"
    "\"ConsumptionTotal\":32.146976,\"Yesterday\": 0.000000,\"ConsumptionLastHour\":0.000000},"
    "\"ESP32\":{\"Temperature\": 0.0},\"TempUnit\":\"C\"}}";

static void test_energy_json(void **unused)
{
    (void)unused;
    struct openbeken_energy energy;
    assert_int_equal(openbeken_sensor_json(status8, strlen(status8), &energy), OPENBEKEN_GOOD);
    assert_int_equal(energy.present, READING_ALL);
    assert_int_equal(energy.milli[OPENBEKEN_POWER], 1500500);
    assert_int_equal(energy.milli[OPENBEKEN_VOLTAGE], 230000);
    assert_int_equal(energy.milli[OPENBEKEN_CURRENT], 6570);
    assert_int_equal(energy.milli[OPENBEKEN_FREQUENCY], 49950);
    assert_int_equal(energy.milli[OPENBEKEN_ENERGY], 32146);
    /* whatever is cut off, nothing is read beyond the end and half an object is refused */
    const char *end = strstr(status8, "},\"ESP32\"");
    for (size_t length = 0; length < sizeof status8; length++) {
        char *copy = test_malloc(length == 0 ? 1 : length);
        memcpy(copy, status8, length);
        enum openbeken_verdict verdict = openbeken_sensor_json(copy, length, &energy);
        bool whole = length > (size_t)(end - status8);
        if ((verdict == OPENBEKEN_GOOD) != whole)
            fail_msg("cut at %zu: verdict %d", length, verdict);
        test_free(copy);
    }
}

static void test_odd_energy_json(void **unused)
{
    (void)unused;
    static const struct {
        const char *json;
        enum openbeken_verdict verdict;
        unsigned present;
    } table[] = {
        {"{\"ENERGY\":{\"Power\": 5.0,\"Voltage\":230.0,\"Current\":0.05,\"Frequency\":inf,"
         "\"ConsumptionTotal\":33.9}}",
         OPENBEKEN_GOOD, READING_ALL & ~READING_FREQUENCY},
        {"{\"ENERGY\":{\"Power\": -nan,\"Voltage\":nan,\"Current\":1.0}}", OPENBEKEN_GOOD,
         READING_CURRENT},
        /* the driver runs but no packet ever came */
        {"{\"ENERGY\":{\"Power\": 0.0,\"Voltage\":0.000000,\"Current\":0.0,\"Frequency\":0.0,"
         "\"ConsumptionTotal\":12.5}}",
         OPENBEKEN_UNKNOWN, READING_ALL},
        {"{\"StatusSNS\":{\"Time\":\"0000-00-00T00:00:00\",\"TempUnit\":\"C\"}}", OPENBEKEN_UNKNOWN,
         0},
        {"{\"ENERGY\":{\"Power\":1e999}}", OPENBEKEN_BAD, 0},
        {"{\"ENERGY\":{\"Power\":0x10}}", OPENBEKEN_BAD, 0},
        {"{\"ENERGY\":{\"Power\":\"5\"}}", OPENBEKEN_BAD, 0},
        {"{\"ENERGY\":{\"Power\":}}", OPENBEKEN_BAD, 0},
        {"{\"ENERGY\":{\"Power\" 5}}", OPENBEKEN_BAD, 0},
        {"{\"ENERGY\":{\"Power\":5,}}", OPENBEKEN_BAD, 0},
        {"{\"ENERGY\":{}}", OPENBEKEN_BAD, 0},
        {"{\"ENERGY\":5}", OPENBEKEN_UNKNOWN, 0},
        {"\"ENERGY\":{\"Power\":5}", OPENBEKEN_BAD, 0},
        {"[[[[[[", OPENBEKEN_BAD, 0},
        {"", OPENBEKEN_EMPTY, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct openbeken_energy energy;
        enum openbeken_verdict verdict =
            openbeken_sensor_json(table[i].json, strlen(table[i].json), &energy);
        if (verdict != table[i].verdict ||
            (verdict == OPENBEKEN_GOOD && energy.present != table[i].present))
            fail_msg("%s: verdict %d, present %u", table[i].json, verdict, energy.present);
    }
    static char deep[70000];
    memset(deep, '{', sizeof deep);
    struct openbeken_energy energy;
    assert_int_equal(openbeken_sensor_json(deep, sizeof deep, &energy), OPENBEKEN_BAD);
    assert_int_equal(openbeken_sensor_json(deep, 4000, &energy), OPENBEKEN_UNKNOWN);
}

/* ---- announcements ---- */

#define ANNOUNCED(dev, rest)                                                                       \
    "{\"dev\":{\"ids\":[\"OBK_Sensor9\"],\"name\":\"sensor9\",\"sw\":\"Lin_Test\"," dev            \
    "\"mf\":\"BK7231N\",\"mdl\":\"N\",\"cu\":\"http://10.0.0.9/index\"}," rest "}"

static void test_discovery(void **unused)
{
    (void)unused;
    static const struct {
        const char *json;
        bool good;
        bool is_value;
        unsigned chip;
        enum openbeken_quantity quantity;
        enum openbeken_unit unit;
    } table[] = {
        {ANNOUNCED("", "\"~\":\"utilities/sensor9\",\"uniq_id\":\"OBK_Sensor9_sensor_3\","
                       "\"stat_t\":\"~/energycounter/get\",\"unit_of_meas\":\"Wh\""),
         true, true, 0, OPENBEKEN_ENERGY, OPENBEKEN_WH},
        {ANNOUNCED("", "\"~\":\"utilities/sensor9\",\"uniq_id\":\"OBK_Sensor9_sensor_b_3\","
                       "\"stat_t\":\"~/energycounter_b/get\",\"unit_of_meas\":\"kWh\""),
         true, true, 1, OPENBEKEN_ENERGY, OPENBEKEN_KWH},
        {ANNOUNCED("", "\"~\":\"utilities/sensor9\",\"uniq_id\":\"OBK_Sensor9_sensor_3\","
                       "\"stat_t\":\"~/energycounter/get\",\"unit_of_meas\":\"MWh\""),
         true, true, 0, OPENBEKEN_ENERGY, OPENBEKEN_UNIT_UNKNOWN},
        {ANNOUNCED("", "\"~\":\"utilities/sensor9\",\"uniq_id\":\"OBK_Sensor9_sensor_138\","
                       "\"stat_t\":\"~/138/get\",\"unit_of_meas\":\"Hz\""),
         true, true, 0, OPENBEKEN_FREQUENCY, OPENBEKEN_UNIT_UNKNOWN},
        {ANNOUNCED("", "\"~\":\"utilities/sensor9\",\"uniq_id\":\"OBK_Sensor9_rssi\","
                       "\"stat_t\":\"~/rssi\",\"unit_of_meas\":\"dBm\""),
         true, false, 0, 0, OPENBEKEN_UNIT_UNKNOWN},
        /* others' announcements */
        {ANNOUNCED("", "\"~\":\"utilities/sensor9\",\"uniq_id\":\"other_1\",\"stat_t\":\"~/x\""),
         false, false, 0, 0, 0},
        {ANNOUNCED("", "\"uniq_id\":\"OBK_Sensor9_sensor_3\",\"stat_t\":\"~/energycounter/get\""),
         false, false, 0, 0, 0},
        {ANNOUNCED("", "\"~\":\"a/+/b\",\"uniq_id\":\"OBK_Sensor9_sensor_3\",\"stat_t\":\"~/x\""),
         false, false, 0, 0, 0},
        {ANNOUNCED("", "\"~\":\"a\\u001bb\",\"uniq_id\":\"OBK_Sensor9_sensor_3\""), false, false, 0,
         0, 0},
        {"{\"~\":5,\"dev\":[],\"uniq_id\":{}}", false, false, 0, 0, 0},
        {"{}", false, false, 0, 0, 0},
        {"", false, false, 0, 0, 0},
        {"[[[[[[[[", false, false, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct openbeken_discovery found;
        bool good = openbeken_discovery(table[i].json, strlen(table[i].json), &found);
        if (good != table[i].good ||
            (good && (found.is_value != table[i].is_value || found.chip != table[i].chip ||
                      (found.is_value && found.quantity != table[i].quantity) ||
                      found.unit != table[i].unit)))
            fail_msg("case %zu: %s", i, table[i].json);
        if (!good)
            continue;
        assert_string_equal(found.client, "utilities/sensor9");
        assert_string_equal(found.name, "sensor9");
        assert_string_equal(found.long_name, "OBK_Sensor9");
        assert_string_equal(found.chipset, "BK7231N");
    }
    static char deep[4000];
    memset(deep, '[', sizeof deep);
    struct openbeken_discovery found;
    assert_false(openbeken_discovery(deep, sizeof deep, &found));
}

static void test_discovery_topics(void **unused)
{
    (void)unused;
    assert_true(
        openbeken_discovery_topic("homeassistant", "homeassistant/sensor/x_sensor_3/config"));
    assert_true(openbeken_discovery_topic("ha/x", "ha/x/sensor/y/config"));
    assert_false(openbeken_discovery_topic("homeassistant", "homeassistant/sensor/config"));
    assert_false(openbeken_discovery_topic("homeassistant", "homeassistant/sensor//config"));
    assert_false(openbeken_discovery_topic("homeassistant", "homeassistant/switch/x/config"));
    assert_false(openbeken_discovery_topic("homeassistant", "homeassistant/sensor/a/b/config"));
    assert_true(openbeken_discovery_of_total("homeassistant/sensor/x_sensor_3/config"));
    assert_true(openbeken_discovery_of_total("homeassistant/sensor/x_sensor_b_3/config"));
    assert_false(openbeken_discovery_of_total("homeassistant/sensor/x_sensor_13/config"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_longest_client_comes_first),
        cmocka_unit_test(test_long_topics),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_connected_and_uptime),
        cmocka_unit_test(test_energy_json),
        cmocka_unit_test(test_odd_energy_json),
        cmocka_unit_test(test_discovery),
        cmocka_unit_test(test_discovery_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
