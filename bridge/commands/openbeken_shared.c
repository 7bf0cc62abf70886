/* SPDX-License-Identifier: MIT */
#include "bridge/commands/openbeken_shared.h"

#include "bridge/commands/command.h"
#include "bridge/provision/proof.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const struct option_row openbeken_target_rows[] = {
    {.name = "host",
     .argument = "H",
     .at = offsetof(struct openbeken_target, host),
     .in_usage = true,
     .help = "the module's address: 192.168.1.20, meter.lan:80"},
    {.name = "web-password-file",
     .argument = "F",
     .at = offsetof(struct openbeken_target, web_password_file),
     .file = true,
     .help = "the module's web password, if it has one, or in OBK_WEB_PASSWORD"},
    {.name = "timeout",
     .kind = OPTION_SECONDS,
     .argument = "S",
     .at = offsetof(struct openbeken_target, timeout_ms),
     .low = 0.1,
     .high = 300,
     .preset = "10",
     .wanted = "a number of seconds from 0.1 to 300",
     .help = "seconds to wait for each answer"},
    {.name = NULL},
};

const struct option_row openbeken_json_rows[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = offsetof(struct openbeken_target, json),
     .help = "one JSON document instead of text"},
    {.name = NULL},
};

enum status openbeken_open(const struct openbeken_target *target, struct module **module,
                           struct error *error)
{
    char password[SECRET_SIZE] = "";
    struct http_options options = {
        .host = target->host, .web_password = password, .timeout_ms = target->timeout_ms};
    if (target->host == NULL)
        return error_set(error, STATUS_USAGE, "Say which module with --host.");
    enum status status = secret_read("web password", target->web_password_file, "OBK_WEB_PASSWORD",
                                     false, password, error);
    if (status == STATUS_OK)
        status = module_open(&options, module, error);
    explicit_bzero(password, sizeof password);
    return status;
}

/* ---- progress ---- */

void openbeken_print_message(const char *sentence, int exit_status)
{
    json_t *line = json_pack("{s:s}", "message", sentence);
    if (exit_status != 0)
        (void)json_object_set_new(line, "exit_status", json_integer(exit_status));
    if (line != NULL && json_dumpf(line, stderr, JSON_COMPACT) == 0)
        (void)fputc('\n', stderr);
    json_decref(line);
}

/* The only thing a signal handler may touch. */
static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

void openbeken_catch_stop(void)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* work on a module outlives whoever reads how it goes */
}

bool openbeken_stopped(void *context)
{
    (void)context;
    return stop_asked != 0;
}

/* ---- answers ---- */

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

json_t *openbeken_channels_json(const struct broker_observation *observation)
{
    json_t *channels = json_object();
    for (size_t i = 0; observation != NULL && i < 2; i++) {
        const double *value = observation->value[i];
        const char name[2] = {(char)('a' + (int)i), '\0'};
        if (proof_channel_seen(observation, i))
            (void)json_object_set_new(
                channels, name,
                json_pack("{s:f, s:f, s:f}", "voltage_v", value[OPENBEKEN_VOLTAGE], "current_a",
                          value[OPENBEKEN_CURRENT], "power_w", value[OPENBEKEN_POWER]));
    }
    return channels;
}

void openbeken_print_channels(const struct broker_observation *observation)
{
    for (size_t i = 0; i < 2; i++) {
        const double *value = observation->value[i];
        char name = (char)('a' + (int)i);
        if (!proof_channel_seen(observation, i))
            continue;
        (void)printf("channel %c: %.1f V, %.3f A, %.2f W\n", name, value[OPENBEKEN_VOLTAGE],
                     value[OPENBEKEN_CURRENT], value[OPENBEKEN_POWER]);
    }
}

void openbeken_warn_of_power(const struct broker_observation *observation)
{
    for (size_t i = 0; i < 2; i++)
        if (proof_channel_seen(observation, i) && observation->value[i][OPENBEKEN_POWER] < 0)
            (void)fprintf(
                stderr,
                "warning: Channel %c has negative power. If nothing feeds in there, its clamp "
                "is the wrong way round: turn it, or set invert: true in bridge.yaml.\n",
                (char)('a' + (int)i));
}

/* A twin build that reads both chips has one set of factors for them, and takes as "now" what the
 * second chip measured last (OpenBK7231T_App, src/driver/drv_pwrCal.c). */
enum status openbeken_refuse_two_chips(struct module *module, struct error *error)
{
    struct obk_info info;
    bool twin = false;
    char *script memory_auto = NULL;
    size_t length = 0;
    enum status status = module_info(module, &info, error);
    if (status == STATUS_OK)
        status = module_has_twin(module, &twin, error);
    if (status == STATUS_OK && twin)
        status = module_read_file(module, "autoexec.bat", &script, &length, error);
    if (status != STATUS_OK || !twin)
        return status;
    if (!obk_reads_two_chips(script != NULL ? script : "") &&
        !obk_reads_two_chips(info.startup_command))
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "%s reads two chips and has one calibration for both: what is set here would "
                     "be right for one channel and spoil the other. Calibrate each channel in "
                     "bridge.yaml instead (calibration: {voltage: ..., current: ..., power: ...}).",
                     module_host(module));
}
