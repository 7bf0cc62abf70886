/* SPDX-License-Identifier: MIT */
#include "bridge/commands/openbeken_shared.h"

#include "bridge/commands/command.h"
#include "bridge/provision/proof.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_DEFAULT_MS 10000

enum status openbeken_parse(const char *command, const struct words_row *own, int argc, char **argv,
                            struct openbeken_target *target, bool *help, const char **operand)
{
    const struct words_row shared[] = {
        {"host", &target->host, NULL},
        {"web-password-file", &target->web_password_file, NULL},
        {"timeout", &target->timeout, NULL},
        {NULL, NULL, NULL},
    };
    int at = 0;
    enum status status = option_rows_parse(command, shared, own, argc, argv, help, &at);
    if (status != STATUS_OK || *help)
        return status;
    if (operand != NULL && at < argc)
        *operand = argv[at++];
    return at < argc ? command_extra_word(command, argv[at]) : STATUS_OK;
}

static enum status read_timeout(const char *text, int64_t *timeout_ms, struct error *error)
{
    double seconds = 0;
    *timeout_ms = TIMEOUT_DEFAULT_MS;
    if (text == NULL)
        return STATUS_OK;
    if (!number_parse_double(text, strlen(text), 0.1, 300, &seconds))
        return error_set(error, STATUS_USAGE,
                         "--timeout must be a number of seconds from 0.1 to 300.");
    *timeout_ms = (int64_t)(seconds * 1000);
    return STATUS_OK;
}

enum status openbeken_open(const struct openbeken_target *target, struct module **module,
                           struct error *error)
{
    char password[SECRET_SIZE] = "";
    struct http_options options = {.host = target->host, .web_password = password};
    if (target->host == NULL)
        return error_set(error, STATUS_USAGE, "Say which module with --host.");
    enum status status = read_timeout(target->timeout, &options.timeout_ms, error);
    if (status == STATUS_OK)
        status = secret_read("web password", target->web_password_file, "OBK_WEB_PASSWORD", false,
                             password, error);
    if (status == STATUS_OK)
        status = module_open(&options, module, error);
    explicit_bzero(password, sizeof password);
    return status;
}

enum status openbeken_print_json(json_t *document, struct error *error)
{
    int failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(document);
    (void)putchar('\n');
    if (failed == 0 && fflush(stdout) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "The answer could not be written.");
}

static void set_number(json_t *object, const char *key, double value)
{
    (void)json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

json_t *openbeken_energy_json(const struct obk_energy *energy)
{
    json_t *object = json_object();
    set_number(object, "voltage_v", energy->voltage_v);
    set_number(object, "current_a", energy->current_a);
    set_number(object, "power_w", energy->power_w);
    set_number(object, "frequency_hz", energy->frequency_hz);
    set_number(object, "total_wh", energy->total_wh);
    return object;
}

json_t *openbeken_advice_json(const struct obk_advice *advice)
{
    json_t *list = json_array();
    for (size_t i = 0; i < advice->count; i++)
        (void)json_array_append_new(list, json_string(advice->sentences[i]));
    return list;
}

void openbeken_print_advice(const struct obk_advice *advice)
{
    for (size_t i = 0; i < advice->count; i++)
        (void)fprintf(stderr, "warning: %s\n", advice->sentences[i]);
}

json_t *openbeken_channels_json(const struct broker_sight *sight)
{
    json_t *channels = json_object();
    for (size_t i = 0; sight != NULL && i < 2; i++) {
        const double *value = sight->value[i];
        const char name[2] = {(char)('a' + (int)i), '\0'};
        if (proof_channel_seen(sight, i))
            (void)json_object_set_new(
                channels, name,
                json_pack("{s:f, s:f, s:f}", "voltage_v", value[OPENBEKEN_VOLTAGE], "current_a",
                          value[OPENBEKEN_CURRENT], "power_w", value[OPENBEKEN_POWER]));
    }
    return channels;
}

void openbeken_print_channels(const struct broker_sight *sight)
{
    for (size_t i = 0; i < 2; i++) {
        const double *value = sight->value[i];
        char name = (char)('a' + (int)i);
        if (!proof_channel_seen(sight, i))
            continue;
        (void)printf("channel %c: %.1f V, %.3f A, %.2f W\n", name, value[OPENBEKEN_VOLTAGE],
                     value[OPENBEKEN_CURRENT], value[OPENBEKEN_POWER]);
    }
}

void openbeken_warn_of_power(const struct broker_sight *sight)
{
    for (size_t i = 0; i < 2; i++)
        if (proof_channel_seen(sight, i) && sight->value[i][OPENBEKEN_POWER] < 0)
            (void)fprintf(
                stderr,
                "warning: Channel %c has negative power. If nothing feeds in there, its clamp "
                "is the wrong way round: turn it, or set invert: true in bridge.yaml.\n",
                (char)('a' + (int)i));
}
