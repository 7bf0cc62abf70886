/* SPDX-License-Identifier: MIT */
/* `bl2mqtt openbeken info`: what a module is and how it is set. See bl2mqtt-openbeken-info(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/openbeken_shared.h"

#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME "openbeken info"

struct answer {
    struct obk_info info;
    struct obk_status status;
    bool twin;
    char *script; /* NULL: there is none */
    size_t script_length;
    struct obk_advice advice;
};

static enum status ask(struct module *module, struct answer *answer, struct error *error)
{
    enum status status = module_info(module, &answer->info, error);
    if (status == STATUS_OK)
        status = module_status(module, 0, &answer->status, error);
    if (status == STATUS_OK)
        status = module_has_twin(module, &answer->twin, error);
    if (status == STATUS_OK)
        status = module_read_file(module, "autoexec.bat", &answer->script, &answer->script_length,
                                  error);
    if (status == STATUS_OK)
        obk_advise(&answer->info, &answer->status, answer->script != NULL ? answer->script : "",
                   &answer->advice);
    return status;
}

static json_t *flags_json(uint64_t flags)
{
    json_t *list = json_array();
    for (int i = 0; i < 64; i++)
        if ((flags >> i & 1U) != 0)
            (void)json_array_append_new(list, json_integer(i));
    return list;
}

/* A script that is not UTF-8 has no JSON; null then, like none. */
static json_t *script_json(const struct answer *answer)
{
    json_t *text =
        answer->script != NULL ? json_stringn(answer->script, answer->script_length) : NULL;
    return text != NULL ? text : json_null();
}

static json_t *answer_json(const char *host, const struct answer *answer)
{
    const struct obk_info *info = &answer->info;
    json_t *mqtt =
        json_pack("{s:s, s:i, s:s, s:s}", "host", info->mqtt_host, "port", info->mqtt_port,
                  "client_id", info->client_id, "user", answer->status.mqtt_user);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:b}", "host", host,
                             "chipset", info->chipset, "build", info->build, "mac", info->mac, "ip",
                             info->ip, "uptime_s", (json_int_t)info->uptime_s, "short_name",
                             info->short_name, "name", answer->status.name, "twin", answer->twin);
    (void)json_object_set_new(json, "mqtt", mqtt);
    (void)json_object_set_new(json, "flags", flags_json(info->flags));
    (void)json_object_set_new(json, "startup_command", json_string(info->startup_command));
    (void)json_object_set_new(json, "autoexec", script_json(answer));
    (void)json_object_set_new(
        json, "energy",
        answer->status.has_energy ? openbeken_energy_json(&answer->status.energy) : json_null());
    (void)json_object_set_new(json, "warnings", openbeken_advice_json(&answer->advice));
    return json;
}

static void print_script(const struct answer *answer)
{
    (void)printf("autoexec.bat:%s", answer->script == NULL ? " none\n" : "\n    ");
    for (size_t i = 0; i < answer->script_length; i++) {
        char c = answer->script[i];
        if (c == '\n' && i + 1 < answer->script_length)
            (void)printf("\n    ");
        else
            (void)putchar(c == '\n' || (c >= ' ' && c < 127) ? c : ' ');
    }
    if (answer->script_length > 0 && answer->script[answer->script_length - 1] != '\n')
        (void)putchar('\n');
}

static void print_text(const struct answer *answer)
{
    const struct obk_info *info = &answer->info;
    const struct obk_energy *energy = &answer->status.energy;
    (void)printf("chip:         %s\nfirmware:     %s\nname:         %s (%s)\nMAC, IP:      %s, %s\n"
                 "running for:  %" PRId64 " s\n",
                 info->chipset, info->build, answer->status.name, info->short_name, info->mac,
                 info->ip, info->uptime_s);
    if (info->mqtt_host[0] != '\0')
        (void)printf("MQTT:         %s:%d as %s, user %s\n", info->mqtt_host, info->mqtt_port,
                     info->client_id, answer->status.mqtt_user);
    else
        (void)printf("MQTT:         off\n");
    (void)printf("two chips:    %s\nflags on:    ",
                 answer->twin ? "this build can read them" : "not with this build");
    for (int i = 0; i < 64; i++)
        if ((info->flags >> i & 1U) != 0)
            (void)printf(" %d", i);
    (void)printf("\n");
    print_script(answer);
    if (info->startup_command[0] != '\0')
        (void)printf("startup command: %s\n", info->startup_command);
    if (answer->status.has_energy)
        (void)printf("measures:     %.1f V, %.3f A, %.2f W, %.2f Hz, %.3f Wh in all%s\n",
                     energy->voltage_v, energy->current_a, energy->power_w, energy->frequency_hz,
                     energy->total_wh, answer->twin ? " (first chip)" : "");
}

static enum status inform(const struct openbeken_target *target, bool json, struct error *error)
{
    struct module *module = NULL;
    struct answer *answer memory_auto = memory_new(1, sizeof *answer);
    enum status status = openbeken_open(target, &module, error);
    if (status == STATUS_OK)
        status = ask(module, answer, error);
    if (status == STATUS_OK && json)
        status = openbeken_print_json(answer_json(module_host(module), answer), error);
    else if (status == STATUS_OK)
        print_text(answer);
    if (status == STATUS_OK && !json)
        openbeken_print_advice(&answer->advice);
    free(answer->script);
    module_close(module);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct openbeken_target *target = own;
    struct error error = {.text = ""};
    return command_end(NAME, inform(target, target->json, &error), &error);
}

const struct command command_openbeken_info = {
    .line = {.name = NAME,
             .summary = "what an OpenBeken module is, and how it is set",
             .purpose =
                 "Says what an OpenBeken module is, how it is set, and what it measures. Changes "
                 "nothing.",
             .tables = {openbeken_target_rows, openbeken_json_rows},
             .size = sizeof(struct openbeken_target)},
    .run = run,
};
