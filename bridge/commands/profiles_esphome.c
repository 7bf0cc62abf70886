/* SPDX-License-Identifier: MIT */
/* `bl2mqtt profiles esphome`: the ESPHome file for a kind of meter. See bl2mqtt-profiles-esphome(1). */
#include "bridge/commands/command.h"

#include "bridge/provision/esphome_yaml.h"

#include <stdio.h>

#define NAME "profiles esphome"
#define TEXT_SIZE 8192

struct options {
    const char *profile, *node;
    bool tcp;
};

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    struct error error = {""};
    struct profile *profile = NULL;
    char file[TEXT_SIZE];
    struct text text;
    text_init(&text, file, sizeof file);
    if (!esphome_node_is_good(options->node))
        return command_bad_value(NAME, "node", options->node,
                                 "1 to 31 of a-z, 0-9 and -, as ESPHome names its devices");
    enum status status = profile_load(options->profile, &profile, &error);
    if (status == STATUS_OK)
        status = esphome_yaml_append(profile, options->node,
                                     options->tcp ? ESPHOME_TCP : ESPHOME_MQTT, &text, &error);
    if (profile != NULL)
        profile_free(profile);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    (void)fputs(file, stdout);
    return command_end(NAME, command_flush(&error), &error);
}

static const struct option_row rows[] = {
    {.name = "NAME",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, profile),
     .required = "which profile; `bl2mqtt profiles` lists them",
     .help = "a profile that is built in, or the file of one",
     .file = true},
    {.name = "node",
     .kind = OPTION_TEXT,
     .argument = "N",
     .at = offsetof(struct options, node),
     .preset = "meter",
     .help = "the module's name in ESPHome, which is also its topic"},
    {.name = "tcp",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, tcp),
     .help = "both UARTs over TCP instead of registers over MQTT"},
    {.name = NULL},
};

const struct command command_profiles_esphome = {
    .line = {.name = NAME,
             .summary = "write the ESPHome file for a kind of meter",
             .purpose =
                 "Writes the ESPHome configuration with which the bridge reads all chips of a "
                 "module, with its lines for bridge.yaml.",
             .tables = {rows},
             .size = sizeof(struct options)},
    .run = run,
};
