/* SPDX-License-Identifier: MIT */
/* `bl2mqtt mapping list`: the mappings that are built in. See bl2mqtt-mapping(1). */
#include "bridge/commands/command.h"

#include "bridge/config/mapping_file.h"

#define NAME "mapping list"

struct options {
    bool json;
};

static json_t *channels_of(const struct mapping *mapping)
{
    json_t *channels = json_array();
    for (size_t i = 0; i < mapping->channel_count; i++)
        (void)json_array_append_new(channels, json_string(mapping->channels[i]));
    return channels;
}

static void print_text(const struct mapping *mapping)
{
    (void)printf("%s\n  %s\n  %s\n", mapping->name, mapping->title,
                 mapping->cannot != NULL ? mapping->cannot : "");
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    struct error error = {""};
    json_t *list = json_array();
    for (size_t i = 0; mapping_builtin(i) != NULL; i++) {
        struct mapping *mapping = NULL;
        enum status status = mapping_load(mapping_builtin(i), &mapping, &error);
        if (status != STATUS_OK) {
            json_decref(list);
            return command_fail(NAME, status, &error);
        }
        if (options->json)
            (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s?, s:o}", "name",
                                                        mapping->name, "title", mapping->title,
                                                        "cannot", mapping->cannot, "channels",
                                                        channels_of(mapping)));
        else
            print_text(mapping);
        mapping_free(mapping);
    }
    if (options->json)
        return command_print_json(NAME, list, JSON_INDENT(2));
    json_decref(list);
    return command_end(NAME, command_flush(&error), &error);
}

static const struct option_row rows[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, json),
     .help = "one JSON document instead of text"},
    {.name = NULL},
};

const struct command command_mapping_list = {
    .line = {.name = NAME,
             .summary = "the mappings for meters on MQTT that are built in",
             .purpose = "Lists the built-in mappings, and what such meters cannot tell.",
             .tables = {rows},
             .size = sizeof(struct options)},
    .run = run,
};
