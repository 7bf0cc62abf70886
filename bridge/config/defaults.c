/* SPDX-License-Identifier: MIT */
#include "bridge/config/defaults.h"

#include "bridge/config/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMENT_WIDTH 96

/* A comment in lines of at most COMMENT_WIDTH columns. */
static void print_comment(FILE *out, int indent, const char *text)
{
    size_t room = COMMENT_WIDTH - (size_t)indent - 2;
    while (*text != '\0') {
        size_t length = strlen(text);
        if (length > room) {
            length = room;
            while (length > 0 && text[length] != ' ')
                length--;
            if (length == 0)
                length = strcspn(text, " ");
        }
        (void)fprintf(out, "%*s# %.*s\n", indent, "", (int)length, text);
        text += length;
        text += strspn(text, " ");
    }
}

/* What a value may be, where it is not plain from the value itself. */
static void append_limits(struct text *out, const struct field *field)
{
    bool plain_text = field->type == FIELD_TEXT && field->rule != TEXT_ID &&
                      field->rule != TEXT_SERVER && field->rule != TEXT_LISTEN;
    if (field_has_value(field) && field->type != FIELD_BOOL && !plain_text) {
        text_append(out, " Possible: ");
        field_append_kind(field, out);
        text_append(out, ".");
    }
    if (field->otherwise != NULL)
        text_append(out, " If absent: %s.", field->otherwise);
}

static void print_explanation(FILE *out, int indent, const struct field *field)
{
    char line[800];
    struct text text;
    text_init(&text, line, sizeof line);
    text_append(&text, "%s", field->meaning);
    append_limits(&text, field);
    print_comment(out, indent, line);
}

/* A device that shows what one driver needs. The first explains every key of its own; the others
   only have what they must have and what the first could not show. */
struct example {
    enum config_driver driver;
    const char *id;
};

static const struct example examples[] = {
    {DRIVER_BL0942, "house"}, {DRIVER_OPENBEKEN, "workshop"}, {DRIVER_ESPHOME, "attic"},
    {DRIVER_MQTT, "pool"},    {DRIVER_SIMULATOR, "demo"},     {DRIVER_VIRTUAL, "balance"},
};

static bool is_shown(const struct field *field, const struct example *example)
{
    if (example == NULL)
        return true;
    unsigned driver = 1u << example->driver;
    if (example == &examples[0])
        return (field->drivers & driver) != 0;
    return (field->required & driver) != 0 ||
           ((field->drivers & driver) != 0 && (field->drivers & FOR_BL0942) == 0);
}

static bool is_scope_shown(enum field_scope scope, const struct example *example)
{
    for (size_t i = 0; i < field_count; i++)
        if (fields[i].scope == scope && is_shown(&fields[i], example))
            return true;
    return false;
}

static bool is_explained(const struct field *field, const struct example *example)
{
    return example == NULL || example == &examples[0] || (field->drivers & FOR_BL0942) == 0;
}

/* What is written behind the key; NULL if the key is only shown, in a comment. */
static const char *value_to_print(const struct field *field, const struct example *example)
{
    if (field->initial != NULL || example == NULL ||
        (field->required & (1u << example->driver)) == 0)
        return field->initial;
    if (field->scope == SCOPE_DEVICE && strcmp(field->path, "id") == 0)
        return example->id;
    if (field->scope == SCOPE_DEVICE && strcmp(field->path, "driver") == 0)
        return field_choice_of(field, example->driver)->name;
    return field->example;
}

static int depth_of(const struct field *field)
{
    int depth = 0;
    for (const char *c = field->path; *c != '\0'; c++)
        depth += *c == '.';
    return depth;
}

/* What an element of a list may hold, in comments: no list has elements by itself. */
static void print_items(FILE *out, int indent, const struct field *list)
{
    char line[800];
    const char *dash = "- ";
    for (size_t i = 0; i < field_count; i++) {
        const struct field *field = &fields[i];
        if (field->scope != list->item_scope)
            continue;
        struct text text;
        text_init(&text, line, sizeof line);
        text_append(&text, "%s%s: %s", dash, field->path, field->meaning);
        append_limits(&text, field);
        if (field_has_value(field))
            text_append(&text, " %s: %s.", field->initial != NULL ? "Default" : "For example",
                        field->initial != NULL ? field->initial : field->example);
        print_comment(out, indent, line);
        if (field->type == FIELD_LIST)
            print_items(out, indent + 4, field);
        dash = "  ";
    }
}

/* dash: what stands in front of the key, "- " for the first of a list's element. */
static void print_field(FILE *out, int column, const struct field *field,
                        const struct example *example, const char *dash)
{
    const char *value = value_to_print(field, example);
    if (field->type == FIELD_LIST) {
        (void)fprintf(out, "%*s%s: []\n", column, "", field_key(field));
        print_items(out, column + 2, field);
        return;
    }
    if (field->type == FIELD_GROUP)
        (void)fprintf(out, "%*s%s:\n", column, "", field_key(field));
    else if (value != NULL)
        (void)fprintf(out, "%*s%s%s: %s\n", column - (int)strlen(dash), "", dash, field_key(field),
                      value);
    else
        (void)fprintf(out, "%*s#%s: %s\n", column, "", field_key(field), field->example);
}

static void print_scope(FILE *out, enum field_scope scope, int indent,
                        const struct example *example)
{
    bool first = scope == SCOPE_DEVICE;
    for (size_t i = 0; i < field_count; i++) {
        const struct field *field = &fields[i];
        bool list = field->type == FIELD_DEVICES || field->type == FIELD_CHANNELS ||
                    field->type == FIELD_SINKS;
        if (field->scope != scope || list || !is_shown(field, example))
            continue;
        int column = indent + 2 * depth_of(field);
        if (scope == SCOPE_FILE && column == 0)
            (void)fprintf(out, "\n");
        if (is_explained(field, example))
            print_explanation(out, column, field);
        print_field(out, column, field, example, first ? "- " : "");
        first = false;
    }
}

static void print_example(FILE *out, const struct example *example)
{
    (void)fprintf(out, "\n");
    print_scope(out, SCOPE_DEVICE, 4, example);
    if (example == &examples[0])
        print_comment(out, 4, field_by_path(SCOPE_DEVICE, "channels")->meaning);
    (void)fprintf(out, "    channels:\n      a:%s\n",
                  is_scope_shown(SCOPE_CHANNEL, example) ? "" : " {}");
    print_scope(out, SCOPE_CHANNEL, 8, example);
}

/* None by default, so all of it is a comment. */
static void print_sinks(FILE *out)
{
    (void)fprintf(out, "\n");
    print_comment(out, 0, field_by_path(SCOPE_FILE, "sinks")->meaning);
    (void)fprintf(out, "#sinks:\n");
    const char *dash = "- ";
    for (size_t i = 0; i < field_count; i++) {
        const struct field *field = &fields[i];
        if (field->scope != SCOPE_SINK)
            continue;
        print_explanation(out, 4, field);
        (void)fprintf(out, "#%s%s: %s\n", dash[0] == '-' ? "  - " : "    ", field_key(field),
                      field->initial != NULL ? field->initial : field->example);
        dash = "";
    }
}

/* As comments: nobody has these devices. */
static void print_examples(FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory == NULL)
        return;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        print_example(memory, &examples[i]);
    if (fclose(memory) == 0)
        for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;)
            if (rest != NULL) /* behind the last line there is nothing */
                (void)fprintf(out, "%s%s\n", *line == '\0' ? "" : "#", line);
    free(text);
}

void config_print_defaults(FILE *out)
{
    print_comment(
        out, 0,
        "Every key of bridge.yaml with its default and its meaning. Keep what you want to "
        "change, delete the rest: what is not there has its default.");
    print_scope(out, SCOPE_FILE, 0, NULL);
    print_sinks(out);
    (void)fprintf(out, "\n");
    print_comment(out, 0, field_by_path(SCOPE_FILE, "devices")->meaning);
    print_comment(
        out, 0,
        "There is none by default. One example for each driver follows: put `devices:` in "
        "place of the next line, and take the # away from what you have.");
    (void)fprintf(out, "devices: []\n");
    print_examples(out);
}
