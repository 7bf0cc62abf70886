/* SPDX-License-Identifier: MIT */
/* What an OpenBeken module (or something that pretends to be one) answers and publishes, and profiles
 * from a file: the first byte chooses what the rest is. */
#include "bridge/provision/obk_advice.h"
#include "bridge/provision/obk_answer.h"
#include "bridge/provision/profile.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

/* A failure is explained; what is kept can be shown on a terminal. */
static void check_words(enum status status, const struct error *error)
{
    check((status == STATUS_OK) == (error->text[0] == '\0'));
}

static void check_shown(const char *text)
{
    for (; *text != '\0'; text++)
        check((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void fuzz_info(const char *bytes, size_t length)
{
    static const struct obk_status status;
    struct obk_info info;
    struct obk_advice advice;
    struct error error = {.text = ""};
    enum status result = obk_parse_info(bytes, length, &info, &error);
    check_words(result, &error);
    if (result != STATUS_OK)
        return;
    check_shown(info.build);
    check_shown(info.client_id);
    check_shown(info.startup_command);
    check(info.mqtt_port >= 0 && info.mqtt_port <= 65535);
    obk_advise(&info, &status, info.startup_command, &advice);
    check(advice.count <= OBK_ADVICE_MAX);
}

static void fuzz_status(const char *bytes, size_t length)
{
    struct obk_status status;
    struct error error = {.text = ""};
    check_words(obk_parse_status(bytes, length, &status, &error), &error);
    check(!isinf(status.energy.voltage_v) && !isinf(status.energy.frequency_hz));
    check_shown(status.name);
}

static void fuzz_answers(const char *bytes, size_t length)
{
    bool unknown = false;
    int64_t size = 0;
    struct error error = {.text = ""};
    enum status status = obk_parse_command("c", bytes, length, &unknown, &error);
    check_words(status, &error);
    check(!unknown || status != STATUS_OK);
    (void)obk_parse_list("autoexec.bat", bytes, length, &size, NULL);
    (void)obk_parse_written("autoexec.bat", 44, bytes, length, NULL);
    (void)obk_parse_reboot(bytes, length, NULL);
    (void)obk_parse_taken(length, bytes, length, NULL);
}

static void fuzz_build(const char *bytes, size_t length)
{
    char chip[16], version[40];
    if (obk_parse_build(bytes, length, chip, version))
        check(version[0] != '\0' && strpbrk(version, "\"\\ ") == NULL);
    check_shown(chip);
    check_shown(version);
    int order = obk_compare_versions(version, chip);
    check(obk_compare_versions(chip, version) == -order);
}

static void fuzz_profile(const char *bytes, size_t length)
{
    struct profile *profile = NULL;
    struct error error = {.text = ""};
    enum status status = profile_parse("p", bytes, length, &profile, &error);
    check_words(status, &error);
    if (status != STATUS_OK)
        return;
    char lines[8192];
    struct text text;
    text_init(&text, lines, sizeof lines);
    profile_append_bridge(profile, "a/b", "", &text);
    text_init(&text, lines, sizeof lines);
    profile_append_startup(profile, &text);
    check(strchr(lines, '\n') == NULL);
    check(profile->channel_count >= 1 && profile->channel_count <= PROFILE_CHANNELS_MAX);
    profile_free(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t length = size - 1;
    switch (data[0]) {
    case 'i':
        fuzz_info(bytes, length);
        break;
    case 's':
        fuzz_status(bytes, length);
        break;
    case 'p':
        fuzz_profile(bytes, length);
        break;
    case 'b':
        fuzz_build(bytes, length);
        break;
    case 'x': {
        char *script memory_auto = memory_new(length + 1, 1);
        memcpy(script, bytes, length);
        (void)obk_reads_two_chips(script);
        (void)obk_starts_driver(script);
        break;
    }
    default:
        fuzz_answers(bytes, length);
        break;
    }
    return 0;
}
