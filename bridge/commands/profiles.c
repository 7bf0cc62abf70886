/* SPDX-License-Identifier: MIT */
/* `bl2mqtt profiles`: which kinds of meter are known, and what each needs. See bl2mqtt-profiles(1). */
#include "bridge/commands/profiles.h"

#include "bridge/commands/command.h"
#include "bridge/provision/profile.h"

#include <stdio.h>
#include <string.h>

#define NAME "profiles"
#define TEXT_SIZE 4096

static json_t *image_json(const struct profile_image *image)
{
    json_t *chips = json_array();
    json_t *kinds = json_array();
    for (size_t i = 0; i < image->chip_count; i++)
        (void)json_array_append_new(chips, json_string(beken_chip_name(image->chips[i])));
    for (size_t i = 0; i < image->kind_count; i++)
        (void)json_array_append_new(kinds, json_string(image_kind_name(image->kinds[i])));
    return json_pack("{s:s, s:b, s:o, s:o}", "text", image->text, "twin", image->twin, "chips",
                     chips, "kinds", kinds);
}

static json_t *channel_json(const struct profile_channel *channel)
{
    const char name[2] = {channel->name, '\0'};
    const struct profile_calibration *factors = &channel->calibration;
    json_t *calibration = factors->given
                              ? json_pack("{s:f, s:f, s:f}", "voltage", factors->voltage, "current",
                                          factors->current, "power", factors->power)
                              : json_null();
    return json_pack("{s:s, s:i, s:o}", "name", name, "uart", channel->uart, "calibration",
                     calibration);
}

static json_t *profile_json(const struct profile *profile)
{
    char startup[TEXT_SIZE], bridge[TEXT_SIZE];
    struct text text;
    text_init(&text, startup, sizeof startup);
    profile_append_startup(profile, &text);
    text_init(&text, bridge, sizeof bridge);
    profile_append_bridge(profile, "meter", "", &text);
    json_t *channels = json_array();
    json_t *pins = json_array();
    json_t *flags = json_array();
    for (size_t i = 0; i < profile->channel_count; i++)
        (void)json_array_append_new(channels, channel_json(&profile->channels[i]));
    for (size_t i = 0; i < profile->pin_count; i++)
        (void)json_array_append_new(
            pins, json_pack("{s:i, s:s, s:i}", "pin", (int)profile->pins[i].pin, "role",
                            profile->pins[i].role, "channel", (int)profile->pins[i].channel));
    for (size_t i = 0; i < profile->flag_count; i++)
        (void)json_array_append_new(
            flags, json_pack("{s:i, s:b, s:s}", "flag", (int)profile->flags[i].flag, "set",
                             profile->flags[i].set, "why", profile->flags[i].why));
    return json_pack("{s:s, s:s, s:b, s:o, s:s, s:f, s:o, s:o, s:s, s:s, s:o, s:s}", "name",
                     profile->name, "title", profile->title, "openbeken", profile->openbeken,
                     "image", profile->openbeken ? image_json(&profile->image) : json_null(),
                     "wiring", profile->wiring, "max_current", profile->max_current_a, "channels",
                     channels, "pins", pins, "autoexec", profile->autoexec, "startup", startup,
                     "flags", flags, "bridge", bridge);
}

static void print_indented(const char *text)
{
    bool line_begins = true;
    for (; *text != '\0'; text++) {
        (void)printf(line_begins && *text != '\n' ? "    %c" : "%c", *text);
        line_begins = *text == '\n';
    }
    if (!line_begins)
        (void)putchar('\n');
}

static void print_firmware(const struct profile *profile)
{
    char chips[200], startup[TEXT_SIZE];
    struct text text;
    text_init(&text, chips, sizeof chips);
    profile_append_chips(profile, &text);
    text_init(&text, startup, sizeof startup);
    profile_append_startup(profile, &text);
    (void)printf("\nFirmware: %s\nChips: %s\n", profile->image.text, chips);
    for (size_t i = 0; i < profile->pin_count; i++)
        (void)printf("Pin P%u: %s, channel %u\n", profile->pins[i].pin, profile->pins[i].role,
                     profile->pins[i].channel);
    (void)printf("\nScript (autoexec.bat):\n");
    print_indented(profile->autoexec);
    (void)printf("or startup command:\n");
    print_indented(startup);
    (void)printf("\nFlags:\n");
    for (size_t i = 0; i < profile->flag_count; i++)
        (void)printf("    %2u %-3s  %s\n", profile->flags[i].flag,
                     profile->flags[i].set ? "on" : "off", profile->flags[i].why);
}

static void print_profile(const struct profile *profile)
{
    char bridge[TEXT_SIZE];
    struct text text;
    text_init(&text, bridge, sizeof bridge);
    profile_append_bridge(profile, "meter", "", &text);
    (void)printf("%s: %s\n\n%s", profile->name, profile->title, profile->wiring);
    for (size_t i = 0; i < profile->channel_count; i++)
        (void)printf("Channel %c: UART %d, at most %g A\n", profile->channels[i].name,
                     profile->channels[i].uart, profile->max_current_a);
    if (profile->openbeken)
        print_firmware(profile);
    (void)printf("\nFor bridge.yaml, if the module's client id is \"meter\":\n");
    print_indented(bridge);
}

enum status profiles_list(const char *command, bool json, struct error *error)
{
    json_t *list = json_array();
    enum status status = STATUS_OK;
    for (size_t i = 0; profile_name(i) != NULL && status == STATUS_OK; i++) {
        struct profile *profile = NULL;
        status = profile_load(profile_name(i), &profile, error);
        if (status != STATUS_OK)
            break;
        (void)json_array_append_new(list, profile_json(profile));
        if (!json)
            (void)printf("%-16s %s%s\n", profile->name, profile->title,
                         profile->image.twin ? " (needs a twin build)" : "");
        profile_free(profile);
    }
    if (status == STATUS_OK && json)
        return command_print_json(command, json_pack("{s:o}", "profiles", list), JSON_INDENT(2));
    json_decref(list);
    return status;
}

static enum status show(const char *name, bool json, struct error *error)
{
    struct profile *profile = NULL;
    enum status status = profile_load(name, &profile, error);
    if (status != STATUS_OK)
        return status;
    if (json)
        status = command_print_json(NAME, profile_json(profile), JSON_INDENT(2));
    else
        print_profile(profile);
    profile_free(profile);
    return status;
}

struct options {
    const char *name;
    bool json;
};

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    struct error error = {""};
    enum status status = options->name != NULL ? show(options->name, options->json, &error)
                                               : profiles_list(NAME, options->json, &error);
    return command_end(NAME, status, &error);
}

static const struct option_row rows[] = {
    {.name = "NAME",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, name),
     .file = true,
     .help = "a profile that is built in, or the file of one, which is checked"},
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, json),
     .help = "one JSON document instead of text"},
    {.name = NULL},
};

const struct command command_profiles = {
    .line = {.name = NAME,
             .summary = "kinds of meter that are known, and what each needs",
             .purpose = "Lists the kinds of meter that are known, or shows what one of them needs: "
                        "firmware, script, flags, wiring, and its lines for bridge.yaml.",
             .tables = {rows},
             .size = sizeof(struct options)},
    .run = run,
};
