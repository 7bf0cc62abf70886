/* SPDX-License-Identifier: MIT */
/* bridge/provision, the pure parts: requests to an OpenBeken module, its answers, advice, profiles. */
#include "bridge/config/config.h"
#include "bridge/provision/obk_advice.h"
#include "bridge/provision/obk_answer.h"
#include "bridge/provision/obk_request.h"
#include "bridge/provision/profile.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct error error;

static int setup(void **state)
{
    (void)state;
    error = (struct error){.text = ""};
    return 0;
}

#define BYTES(text) text, sizeof text - 1

static void test_mqtt_request(void **state)
{
    (void)state;
    struct obk_request request;
    const struct obk_mqtt mqtt = {.host = "192.168.1.2",
                                  .port = 1883,
                                  .client_id = "utilities/sensor 9",
                                  .user = "me&you",
                                  .password = "a+b c%\xc3\xa4"};
    assert_int_equal(obk_request_mqtt(&request, &mqtt, &error), STATUS_OK);
    assert_string_equal(request.path,
                        "/cfg_mqtt_set?host=192.168.1.2&port=1883&client=utilities%2Fsensor%209"
                        "&user=me%26you&password=a%2Bb%20c%25%C3%A4&mqtt_cert_file=");
    assert_string_equal(request.shown,
                        "/cfg_mqtt_set?host=192.168.1.2&port=1883&client=utilities%2Fsensor%209"
                        "&user=me%26you&password=***&mqtt_cert_file=");
    assert_false(request.post);

    /* Nothing given: the module keeps what it has; the host is always there, as its absence clears. */
    const struct obk_mqtt off = {
        .host = "", .port = 1883, .client_id = "x", .user = "", .password = ""};
    assert_int_equal(obk_request_mqtt(&request, &off, &error), STATUS_OK);
    assert_string_equal(request.path, "/cfg_mqtt_set?host=&port=1883&client=x&mqtt_cert_file=");
}

/* The longest of everything, each byte encoded as three, still fits. */
static void test_longest_mqtt_request(void **state)
{
    (void)state;
    char host[OBK_MQTT_HOST_MAX + 1], id[OBK_CLIENT_ID_MAX + 1], user[OBK_USER_MAX + 1],
        password[OBK_PASSWORD_MAX + 1];
    memset(host, '/', sizeof host - 1);
    memset(id, '/', sizeof id - 1);
    memset(user, '/', sizeof user - 1);
    memset(password, '/', sizeof password - 1);
    host[sizeof host - 1] = id[sizeof id - 1] = user[sizeof user - 1] =
        password[sizeof password - 1] = '\0';
    const struct obk_mqtt mqtt = {
        .host = host, .port = 65535, .client_id = id, .user = user, .password = password};
    struct obk_request request;
    assert_int_equal(obk_request_mqtt(&request, &mqtt, &error), STATUS_OK);
    assert_true(strlen(request.path) >
                3 * (sizeof host + sizeof id + sizeof user + sizeof password - 4));
}

static void test_other_requests(void **state)
{
    (void)state;
    struct obk_request request;
    assert_int_equal(obk_request_names(&request, "sensor9", "Sensor 9", &error), STATUS_OK);
    assert_string_equal(request.path, "/cfg_name?shortName=sensor9&name=Sensor%209");
    assert_int_equal(obk_request_file_write(&request, "autoexec.bat", BYTES("a\nb\n"), &error),
                     STATUS_OK);
    assert_true(request.post);
    assert_string_equal(request.path, "/api/lfs/autoexec.bat");
    assert_int_equal(request.body_length, 4);
    obk_request_file_delete(&request, "a/../b");
    assert_string_equal(request.path, "/api/del/a%2F..%2Fb");
    assert_true(request.bare_answer);
    assert_int_equal(request.body_length, 0);
    obk_request_status(&request, 8);
    assert_string_equal(request.path, "/cm?cmnd=Status%208");
    assert_false(request.bare_answer);
    char big[OBK_BODY_SIZE];
    memset(big, 'x', sizeof big);
    assert_int_equal(obk_request_file_write(&request, "f", big, sizeof big, &error), STATUS_USAGE);
    assert_true(error.text[0] != '\0');
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "a\"b", "a\\b",      "a\nb",
                                      "a\x7f", "\xff", "a\xc2\x85", "\xc3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(obk_check_text("name", bad[i], 63, &error), STATUS_USAGE);
    assert_int_equal(obk_check_text("name",
                                    "K\xc3\xbc"
                                    "che 1",
                                    63, &error),
                     STATUS_OK);
    assert_int_equal(obk_check_text("name", "abcd", 4, &error), STATUS_OK);
    assert_int_equal(obk_check_text("name", "abcde", 4, &error), STATUS_USAGE);
    char name[OBK_SHORT_NAME_MAX + 1];
    obk_short_name("utilities/sensor 9", name, sizeof name);
    assert_string_equal(name, "sensor_9");
    obk_short_name("0123456789012345678901234567890123456789", name, sizeof name);
    assert_int_equal(strlen(name), OBK_SHORT_NAME_MAX);
}

#define INFO                                                                                       \
    "{\"uptime_s\":39,\"build\":\"Built on x version 1\",\"ip\":\"1.2.3.4\",\"mac\":\"AA\","       \
    "\"flags\":\"1099545183232\",\"mqtthost\":\"h:1884\",\"mqtttopic\":\"a/b\",\"chipset\":"       \
    "\"BK7231N\",\"webapp\":\"w\",\"shortName\":\"s\",\"startcmd\":\"startDriver "                 \
    "BL0942\",\"supportsSSDP\":0}"

static void test_info(void **state)
{
    (void)state;
    struct obk_info info;
    assert_int_equal(obk_parse_info(BYTES(INFO), &info, &error), STATUS_OK);
    assert_int_equal(info.uptime_s, 39);
    assert_true(info.flags == ((1ULL << 40) + (1ULL << 25) + (1ULL << 10)));
    assert_string_equal(info.mqtt_host, "h");
    assert_int_equal(info.mqtt_port, 1884);
    assert_string_equal(info.client_id, "a/b");
    assert_string_equal(info.startup_command, "startDriver BL0942");

    static const char off[] = "{\"build\":\"\",\"flags\":\"18446744073709551615\",\"mqtthost\":\":"
                              "1883\",\"mqtttopic\":\"x\",\"chipset\":\"\xc2\x9b\\u001b[2J\"}";
    assert_int_equal(obk_parse_info(off, sizeof off - 1, &info, &error), STATUS_OK);
    assert_string_equal(info.mqtt_host, "");
    assert_true(info.flags == UINT64_MAX);
    assert_string_equal(info.chipset, "  [2J"); /* nothing a terminal would obey */
    assert_true(info.uptime_s == -1);
    static const char *const impossible[] = {"-1", "4294967296", "9223372036854775807", "1.5"};
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        char json[200];
        int length = snprintf(json, sizeof json,
                              "{\"uptime_s\":%s,\"build\":\"\",\"flags\":\"0\",\"mqtttopic\":\"x\","
                              "\"chipset\":\"c\"}",
                              impossible[i]);
        assert_int_equal(obk_parse_info(json, (size_t)length, &info, &error), STATUS_OK);
        assert_true(info.uptime_s == -1);
    }
}

static void test_not_info(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "<html>",
        "[]",
        "{}",
        "{\"uptime_s\":3",
        "{\"build\":\"\",\"mqtttopic\":\"x\",\"chipset\":\"c\"}",
        "{\"build\":\"\",\"flags\":\"1x\",\"mqtttopic\":\"x\",\"chipset\":\"c\"}",
        "{\"build\":\"\",\"flags\":\"18446744073709551616\",\"mqtttopic\":\"x\",\"chipset\":\"c\"}",
        "{\"build\":\"\",\"flags\":-1,\"mqtttopic\":\"x\",\"chipset\":\"c\"}",
        "{\"build\":\"\",\"flags\":\"1\",\"mqtttopic\":7,\"chipset\":\"c\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct obk_info info;
        error.text[0] = '\0';
        assert_int_equal(obk_parse_info(bad[i], strlen(bad[i]), &info, &error), STATUS_FAILED);
        assert_non_null(strstr(error.text, "OpenBeken"));
    }
}

/* As the firmware wrote it in a run of its sources, with the frequency that is not JSON. */
#define ENERGY(frequency)                                                                          \
    "{\"StatusSNS\":{\"Time\":\"2026-11-22T08:46:12\",\"ENERGY\":{\"Power\": 1100.000000,"         \
    "\"ApparentPower\": 1152.000000,\"ReactivePower\": 342.204620,\"Factor\":0.954861,"            \
    "\"Voltage\":230.399994,\"Current\":5.000000,\"Frequency\":" frequency                         \
    ",\"ConsumptionTotal\":32.146976,\"Yesterday\": 0.000000,\"ConsumptionLastHour\":29.809015},"  \
    "\"ESP32\":{\"Temperature\": 0.0},\"TempUnit\":\"C\"}}"

static void test_status(void **state)
{
    (void)state;
    struct obk_status status;
    assert_int_equal(obk_parse_status(BYTES(ENERGY("50.000000")), &status, &error), STATUS_OK);
    assert_true(status.has_energy);
    assert_true(fabs(status.energy.voltage_v - 230.399994) < 1e-9);
    assert_true(status.energy.current_a == 5);
    assert_true(status.energy.power_w == 1100);
    assert_true(status.energy.frequency_hz == 50);
    assert_true(fabs(status.energy.total_wh - 32.146976) < 1e-9);
    assert_false(status.is_obk);

    static const char *const unknown[] = {ENERGY("inf"), ENERGY("-inf"), ENERGY("nan"),
                                          ENERGY("-nan"), ENERGY("\"50\"")};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        assert_int_equal(obk_parse_status(unknown[i], strlen(unknown[i]), &status, &error),
                         STATUS_OK);
        assert_true(isnan(status.energy.frequency_hz));
        assert_true(status.energy.power_w == 1100);
    }
    static const char no_driver[] = "{\"StatusSNS\":{\"Time\":\"x\",\"TempUnit\":\"C\"}}";
    assert_int_equal(obk_parse_status(BYTES(no_driver), &status, &error), STATUS_OK);
    assert_false(status.has_energy);
    static const char whole[] = "{\"Status\":{\"FriendlyName\":[\"inf \nX_1\"]},\"StatusFWR\":{"
                                "\"SDK\":\"obk\"},\"StatusMQT\":{\"MqttUser\":\"u\"},\"StatusSNS\":"
                                "{}}";
    assert_int_equal(obk_parse_status(BYTES(whole), &status, &error), STATUS_OK);
    assert_true(status.is_obk);
    assert_string_equal(status.name, "inf  X_1"); /* words inside a text stay; a raw newline goes */
    assert_string_equal(status.mqtt_user, "u");
    assert_int_equal(obk_parse_status(BYTES("{}"), &status, &error), STATUS_FAILED);
    assert_int_equal(obk_parse_status(BYTES("{\"StatusSNS\":in"), &status, &error), STATUS_FAILED);
}

/* Names that begin with nan and inf grow when they are repaired: the room for it must be there. */
static void test_mending_grows(void **state)
{
    (void)state;
    size_t length = OBK_ANSWER_MAX;
    char *bytes memory_auto = memory_new(length + 2, 1);
    for (size_t i = 0; i < length; i++)
        bytes[i] = "inf"[i % 3];
    struct obk_status status;
    assert_int_equal(obk_parse_status(bytes, length, &status, &error), STATUS_FAILED);
    assert_int_equal(obk_parse_status(bytes, length + 1, &status, &error), STATUS_FAILED);
}

static void test_command_answers(void **state)
{
    (void)state;
    bool unknown = true;
    assert_int_equal(obk_parse_command("c", BYTES("{\"success\":200, \"msg\":\"OK\", \"res\":{}}"),
                                       &unknown, &error),
                     STATUS_OK);
    assert_false(unknown);
    assert_int_equal(
        obk_parse_command("BL0942opts",
                          BYTES("{\"error\":501, \"msg\":\"Unknown command\", \"res\":{}}"),
                          &unknown, &error),
        STATUS_FAILED);
    assert_true(unknown);
    assert_non_null(strstr(error.text, "BL0942opts"));
    assert_int_equal(
        obk_parse_command("VoltageSet 0",
                          BYTES("{\"error\":400, \"msg\":\"Bad argument\", \"res\":{}}"), &unknown,
                          &error),
        STATUS_FAILED);
    assert_false(unknown);
    assert_non_null(strstr(error.text, "Bad argument"));
    static const char *const bad[] = {
        "{}", "OK", "{\"success\":201}", "{\"success\":true}", "{\"success\":\"200\"}", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(obk_parse_command("c", bad[i], strlen(bad[i]), &unknown, &error),
                         STATUS_FAILED);
}

static void test_file_answers(void **state)
{
    (void)state;
    int64_t size = 0;
    static const char list[] = "{\"dir\":\"\",\"content\":[{\"name\":\"x\",\"type\":1,\"size\":3},"
                               "{\"name\":\"autoexec.bat\",\"type\":1,\"size\":44}]}";
    assert_int_equal(obk_parse_list("autoexec.bat", BYTES(list), &size, &error), STATUS_OK);
    assert_int_equal(size, 44);
    assert_int_equal(obk_parse_list("other", BYTES(list), &size, &error), STATUS_OK);
    assert_int_equal(size, -1);
    assert_int_equal(obk_parse_list("x", BYTES("{\"content\":{}}"), &size, &error), STATUS_FAILED);
    static const char wrote[] = "{\"fname\":\"autoexec.bat\",\"size\":44}";
    assert_int_equal(obk_parse_written("autoexec.bat", 44, BYTES(wrote), &error), STATUS_OK);
    assert_int_equal(obk_parse_written("autoexec.bat", 45, BYTES(wrote), &error), STATUS_FAILED);
    assert_int_equal(obk_parse_written("autoexec.old", 44, BYTES(wrote), &error), STATUS_FAILED);
    assert_int_equal(obk_parse_reboot(BYTES("{\"reboot\":3}"), &error), STATUS_OK);
    assert_int_equal(obk_parse_reboot(BYTES("{}"), &error), STATUS_FAILED);
}

static void test_scripts(void **state)
{
    (void)state;
    assert_true(obk_reads_two_chips("logtype none\nBL0942opts 3\nstartDriver BL0942\n"));
    assert_true(obk_reads_two_chips("bl0942OPTS\t3; startDriver BL0942"));
    assert_false(obk_reads_two_chips("BL0942opts 1\n"));
    assert_false(obk_reads_two_chips("BL0942opts 3\nBL0942opts 2\n")); /* the last one counts */
    assert_true(obk_reads_two_chips("BL0942opts 7"));
    assert_false(obk_reads_two_chips("BL0942opts 30"));
    assert_false(obk_reads_two_chips("BL0942opts"));
    assert_false(obk_reads_two_chips(""));
    assert_true(obk_starts_driver("startDriver  NTP\nstartdriver bl0942 9600"));
    assert_false(obk_starts_driver("startDriver NTP"));
}

static bool advises(const struct obk_advice *advice, const char *fragment)
{
    for (size_t i = 0; i < advice->count; i++)
        if (strstr(advice->sentences[i], fragment) != NULL)
            return true;
    return false;
}

static void test_advice(void **state)
{
    (void)state;
    struct obk_info info = {.flags = 1U << 25, .mqtt_host = "h"};
    struct obk_status status = {.has_energy = true};
    struct obk_advice advice;
    obk_advise(&info, &status, "startDriver BL0942", &advice);
    assert_int_equal(advice.count, 0);
    static const unsigned alarming[] = {7, 27, 30, 38, 40};
    for (size_t i = 0; i < sizeof alarming / sizeof alarming[0]; i++) {
        info.flags = 1ULL << alarming[i] | 1U << 25;
        obk_advise(&info, &status, "", &advice);
        assert_int_equal(advice.count, 1);
    }
    info = (struct obk_info){.flags = 0, .startup_command = "startDriver BL0942"};
    status.has_energy = false;
    obk_advise(&info, &status, "startDriver BL0942", &advice);
    assert_true(advises(&advice, "MQTT is off"));
    assert_true(advises(&advice, "No energy driver"));
    assert_true(advises(&advice, "Flag 25 is off"));
    assert_true(advises(&advice, "Both autoexec.bat and the startup command"));
    info.flags = UINT64_MAX;
    obk_advise(&info, &status, "startDriver BL0942", &advice);
    assert_true(advice.count <= OBK_ADVICE_MAX);
}

static void test_builds_and_versions(void **state)
{
    (void)state;
    char chip[16], version[40];
    static const struct {
        const char *payload, *chip, *version; /* version NULL: none */
    } table[] = {
        {"OpenBK7231N 1.18.300 Aug  2 2026 10:00:00", "BK7231N", "1.18.300"},
        {"OpenBK7231T 1.18.0_twin", "BK7231T", "1.18.0_twin"},
        {"Built on Nov 22 2026 08:31:57 version 1.18.0", "", "1.18.0"},
        {"OpenBK7231N", "", NULL},
        {"OpenBK7231N ", "", NULL},
        {"OpenBK7231N 1.\"8", "", NULL},
        {"Open", "", NULL},
        {"", "", NULL},
        {"version ", "", NULL},
        {"OpenBK7231NNNNNNNNNNNNNNNNN 1.2", "", NULL},
        {"OpenX 1234567890123456789012345678901234567890", "X", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        bool good = obk_parse_build(table[i].payload, strlen(table[i].payload), chip, version);
        assert_int_equal(good, table[i].version != NULL);
        if (good) {
            assert_string_equal(chip, table[i].chip);
            assert_string_equal(version, table[i].version);
        }
    }
    assert_true(obk_compare_versions("1.9.2", "1.18.0") < 0);
    assert_true(obk_compare_versions("1.18.300", "1.18.30") > 0);
    assert_true(obk_compare_versions("1.18", "1.18.0") < 0);
    assert_true(obk_compare_versions("1.18.0_twin", "1.18.0") == 0);
    assert_true(obk_compare_versions("", "") == 0);
    assert_true(obk_compare_versions("99999999999999999999.1", "1") > 0);
    obk_build_version("Built on X version 1.2.3", version, sizeof version);
    assert_string_equal(version, "1.2.3");
    obk_build_version("nothing", version, sizeof version);
    assert_string_equal(version, "");
    assert_int_equal(obk_parse_taken(5, "{\"size\":5}", 10, &error), STATUS_OK);
    assert_int_equal(obk_parse_taken(5, "{\"size\":4}", 10, &error), STATUS_FAILED);
    assert_int_equal(obk_parse_taken(5, "{\"size\":", 8, &error), STATUS_FAILED);
}

static const struct profile_flag *find_flag(const struct profile *profile, unsigned flag)
{
    for (size_t i = 0; i < profile->flag_count; i++)
        if (profile->flags[i].flag == flag)
            return &profile->flags[i];
    return NULL;
}

/* What each built-in profile must have, whatever else it says. */
static void test_built_in_profiles(void **state)
{
    (void)state;
    size_t count = 0;
    for (; profile_name(count) != NULL; count++) {
        struct profile *profile = NULL;
        assert_int_equal(profile_load(profile_name(count), &profile, &error), STATUS_OK);
        assert_string_equal(profile->name, profile_name(count));
        if (profile->openbeken) {
            assert_true(obk_starts_driver(profile->autoexec));
            assert_true(obk_reads_two_chips(profile->autoexec) == profile->image.twin);
            assert_true(find_flag(profile, 25)->set);
            assert_false(find_flag(profile, 30)->set);
            /* The log would talk into the chip on the second UART. */
            for (size_t i = 0; i < profile->channel_count; i++)
                if (profile->channels[i].uart == 2)
                    assert_ptr_equal(strstr(profile->autoexec, "logtype none"), profile->autoexec);
            char startup[2048];
            struct text text;
            text_init(&text, startup, sizeof startup);
            profile_append_startup(profile, &text);
            assert_true(strncmp(startup, "backlog ", 8) == 0 && strchr(startup, '\n') == NULL);
            assert_true(obk_starts_driver(startup));
            assert_true(obk_reads_two_chips(startup) == profile->image.twin);
            assert_true(profile_fits_chip(profile, BEKEN_CHIP_BK7231N));
            assert_false(profile_fits_chip(profile, BEKEN_CHIP_BK7238));
            if (!profile->image.twin)
                assert_true(find_flag(profile, 26)->set == (profile->channels[0].uart == 2));
        }
        profile_free(profile);
    }
    assert_true(count >= 5);
}

static const char *const profile_lines[] = {
    "name: x",
    "title: t",
    "driver: openbeken",
    "image: {text: i, twin: false, chips: [BK7231N], kinds: [QIO]}",
    "pins: [{pin: 26, role: Rel_n, channel: 1}]",
    "max_current: 16",
    "wiring: w",
    "channels: [{name: a, uart: 1}]",
    "autoexec: s",
    "flags: [{flag: 10, set: true, why: w}]",
    "bridge: '@ID@'",
};
#define LINES (sizeof profile_lines / sizeof profile_lines[0])

/* The good profile with one line put in another's place. */
static enum status parse_with(size_t replaced, const char *line)
{
    char yaml[1024];
    struct text text;
    text_init(&text, yaml, sizeof yaml);
    for (size_t i = 0; i < LINES; i++)
        text_append(&text, "%s\n", i == replaced ? line : profile_lines[i]);
    struct profile *profile = NULL;
    enum status status = profile_parse("p", yaml, text.length, &profile, &error);
    if (status == STATUS_OK)
        profile_free(profile);
    return status;
}

static void test_profile_problems(void **state)
{
    (void)state;
    assert_int_equal(parse_with(LINES, ""), STATUS_OK);
    for (size_t i = 0; i < LINES; i++) /* every key is needed, except pins */
        assert_int_equal(parse_with(i, ""), i == 4 ? STATUS_OK : STATUS_USAGE);
    static const struct {
        size_t line;
        const char *bad, *fragment;
    } table[] = {
        {0, "name: X", "a-z"},
        {2, "driver: tasmota", "p:3:9"},
        {2, "driver: bl0942", "openbeken only"},
        {3, "image: i", "keys with values"},
        {3, "image: {text: i, twin: yes, chips: [BK7231N], kinds: [QIO]}", "true or false"},
        {3, "image: {text: i, twin: true, chips: [BK7231N], kinds: [QIO]}", "twin build"},
        {3, "image: {text: i, twin: false, chips: [BK9999], kinds: [QIO]}", "name of a chip"},
        {3, "image: {text: i, twin: false, chips: [], kinds: [QIO]}", "chips"},
        {3, "image: {text: i, twin: false, chips: [BK7231N], kinds: [RBL]}", "QIO or UA"},
        {4, "pins: [{pin: 32, role: Rel, channel: 1}]", "31"},
        {4, "pins: [{pin: 1, role: Relay, channel: 1}]", "role"},
        {4, "pins: [{pin: 1, role: Rel, channel: 1}, {pin: 1, role: LED, channel: 1}]", "twice"},
        {7, "channels: [{name: a, uart: 1, calibration: {voltage: 1}}]", "current"},
        {7, "channels: [{name: a, uart: 1, calibration: {voltage: 1, current: 1, power: 1}}]",
         "@CALIBRATION_A@"},
        {10, "bridge: '@ID@ @CALIBRATION_B@'", "only such a channel"},
        {5, "max_current: 0", "max_current"},
        {5, "max_current: nan", "max_current"},
        {7, "channels: []", "channels"},
        {7, "channels: [{name: b, uart: 1}]", "this order"},
        {7, "channels: [{name: a, uart: 3}]", "uart"},
        {7, "channels: [{name: a, uart: 1.5}]", "whole"},
        {7, "channels: [{name: a, uart: 1}, {name: b, uart: 2}]", "twin build"},
        {7, "channels: [{name: a, uart: 1, x: 1}]", "\"x\""},
        {9, "flags: [{flag: 64, set: true, why: w}]", "63"},
        {9, "flags: [{flag: 1, set: true, why: w}, {flag: 1, set: false, why: w}]", "twice"},
        {1, "title: [t]", "title"},
        {1, "titel: t", "\"titel\""},
        {1, "title: &a t", "p:2"},
        {1, "title: !secret t", "title"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        error.text[0] = '\0';
        if (parse_with(table[i].line, table[i].bad) != STATUS_USAGE ||
            strstr(error.text, table[i].fragment) == NULL)
            fail_msg("row %zu: %s", i, error.text);
    }
    struct profile *profile = NULL;
    assert_int_equal(profile_load("nonsense", &profile, &error), STATUS_USAGE);
    assert_non_null(strstr(error.text, "bl0942-dual"));
    assert_int_equal(profile_load("./nothing.yaml", &profile, &error), STATUS_USAGE);
}

/* The lines for bridge.yaml are a configuration, whatever the names. */
static void test_bridge_lines(void **state)
{
    (void)state;
    static const char *const names[] = {"", "House: #1 'x' @TOPIC@", "K\xc3\xbc 1"};
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    for (size_t i = 0; profile_name(i) != NULL; i++) {
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++) {
            struct profile *profile = NULL;
            char yaml[4096];
            struct text text;
            assert_int_equal(profile_load(profile_name(i), &profile, &error), STATUS_OK);
            text_init(&text, yaml, sizeof yaml);
            profile_append_bridge(profile, "utilities/Sensor 9", names[j], &text);
            assert_false(text.cut);
            struct config *config = config_parse("c", yaml, text.length, NULL, problems);
            if (config == NULL) {
                config_problems_print(problems, stdout);
                fail_msg("%s", yaml);
            }
            const struct config_device *device = &config->devices[0];
            assert_string_equal(device->id, "utilities_sensor_9");
            assert_string_equal(device->name, names[j][0] != '\0' ? names[j] : device->id);
            assert_int_equal(device->channel_count, profile->channel_count);
            assert_true(device->max_current_a == profile->max_current_a);
            if (profile->openbeken)
                assert_string_equal(device->topic, "utilities/Sensor 9");
            config_free(config);
            profile_free(profile);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_mqtt_request, setup),
        cmocka_unit_test_setup(test_longest_mqtt_request, setup),
        cmocka_unit_test_setup(test_other_requests, setup),
        cmocka_unit_test_setup(test_texts, setup),
        cmocka_unit_test_setup(test_info, setup),
        cmocka_unit_test_setup(test_not_info, setup),
        cmocka_unit_test_setup(test_status, setup),
        cmocka_unit_test_setup(test_mending_grows, setup),
        cmocka_unit_test_setup(test_command_answers, setup),
        cmocka_unit_test_setup(test_file_answers, setup),
        cmocka_unit_test_setup(test_scripts, setup),
        cmocka_unit_test_setup(test_advice, setup),
        cmocka_unit_test_setup(test_builds_and_versions, setup),
        cmocka_unit_test_setup(test_built_in_profiles, setup),
        cmocka_unit_test_setup(test_profile_problems, setup),
        cmocka_unit_test_setup(test_bridge_lines, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
