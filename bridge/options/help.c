/* SPDX-License-Identifier: MIT */
/* --help, the description as JSON, and completion: all from the rows. */
#include "bridge/options/layout.h"
#include "bridge/options/options.h"
#include "bridge/options/values.h"
#include "drivers/base/text.h"

#include <string.h>

enum { HELP_COLUMN = 24, NARROW_COLUMN = 8, NARROW_WIDTH = 64, LEFT_SIZE = 120, HELP_SIZE = 2000 };

/* ---- usage ---- */

struct usage {
    struct text *text;
    bool optional; /* there are options that may be left out */
};

static bool add_to_usage(void *context, const struct option_row *row)
{
    char argument[LEFT_SIZE];
    struct usage *usage = context;
    if (row->kind == OPTION_ALIAS)
        return true;
    if (row->kind == OPTION_OPERAND)
        text_append(usage->text, row->required != NULL ? " %s" : " [%s]", row->name);
    else if (row->required != NULL || row->in_usage)
        text_append(usage->text, " --%s %s", row->name,
                    option_value_argument(row, argument, sizeof argument));
    else
        usage->optional = true;
    return true;
}

static bool add_operand(void *context, const struct option_row *row)
{
    if (row->kind == OPTION_OPERAND)
        text_append(context, row->required != NULL ? " %s" : " [%s]", row->name);
    return true;
}

void options_append_form(const struct command_line *line, struct text *text)
{
    text_append(text, "%s", line->name);
    options_each(line, add_operand, text);
}

static void print_usage(const struct command_line *line, FILE *out, int width)
{
    char buffer[HELP_SIZE];
    struct text text;
    struct usage usage = {&text, false};
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, "Usage: bl2mqtt %s", line->name);
    options_each(line, add_to_usage, &usage);
    text_append(&text, usage.optional ? " [OPTION...]" : "");
    if (line->usage != NULL)
        text_append(&text, "\n       bl2mqtt %s %s", line->name, line->usage);
    /* The second form keeps its place under the first. */
    char *second = strchr(buffer, '\n');
    if (second != NULL)
        *second = '\0';
    layout_wrap(out, buffer, 0, 0, width);
    if (second != NULL)
        layout_wrap(out, second + 8, 0, 7, width);
}

/* ---- options ---- */

static const struct option_row help_row = {
    .name = "help", .kind = OPTION_FLAG, .help = "this text"};

struct printing {
    FILE *out;
    int width;
};

/* What may be chosen, and what is taken when nothing is. */
static void append_values(struct text *text, const struct option_row *row)
{
    char choices[HELP_SIZE];
    if (row->choices != NULL) {
        option_value_choices(row->choices, choices, sizeof choices);
        text_append(text, ": %s", choices);
    }
    if (row->preset != NULL)
        text_append(text, " (default %s)", row->preset);
}

static bool print_row(void *context, const struct option_row *row)
{
    const struct printing *printing = context;
    char left[LEFT_SIZE], argument[LEFT_SIZE], buffer[HELP_SIZE];
    struct text text;
    if (row->kind == OPTION_ALIAS)
        return true;
    bool operand = row->kind == OPTION_OPERAND;
    const char *name = option_value_argument(row, argument, sizeof argument);
    (void)snprintf(left, sizeof left, "  %s%s%s%s", operand ? "" : "--", row->name,
                   *name == '\0' ? "" : " ", name);
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, "%s", row->help);
    append_values(&text, row);
    int column = layout_columns(left);
    int indent = printing->width < NARROW_WIDTH ? NARROW_COLUMN : HELP_COLUMN;
    (void)fputs(left, printing->out);
    if (column + 2 > indent) {
        (void)fputc('\n', printing->out);
        column = 0;
    }
    layout_wrap(printing->out, buffer, column, indent, printing->width);
    return true;
}

void options_print_rows(const struct option_row *rows, FILE *out, int width)
{
    struct printing printing = {out, width};
    for (; rows->name != NULL; rows++)
        (void)print_row(&printing, rows);
    (void)print_row(&printing, &help_row);
}

void options_print_help(const struct command_line *line, FILE *out, int width)
{
    struct printing printing = {out, width};
    print_usage(line, out, width);
    (void)fputc('\n', out);
    layout_wrap(out, line->purpose, 0, 0, width);
    (void)fputc('\n', out);
    options_each(line, print_row, &printing);
    (void)print_row(&printing, &help_row);
    if (line->more != NULL)
        line->more(out, width);
    if (line->notes == NULL)
        return;
    (void)fputc('\n', out);
    layout_wrap(out, line->notes, 0, 0, width);
}

/* ---- as JSON ---- */

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

static json_t *choices_of(const struct option_row *row)
{
    if (row->choices == NULL)
        return json_null();
    json_t *list = json_array();
    for (size_t i = 0; row->choices[i] != NULL; i++)
        (void)json_array_append_new(list, json_string(row->choices[i]));
    return list;
}

static bool describe_row(void *context, const struct option_row *row)
{
    static const char *const kinds[] = {
        [OPTION_TEXT] = "text",     [OPTION_FLAG] = "flag",         [OPTION_INTEGER] = "integer",
        [OPTION_NUMBER] = "number", [OPTION_DURATION] = "duration", [OPTION_SECONDS] = "seconds",
        [OPTION_TIME] = "time",     [OPTION_CHOICE] = "choice",     [OPTION_ADDRESS] = "address",
        [OPTION_LIST] = "list",     [OPTION_OPERAND] = "operand",   [OPTION_ALIAS] = "alias",
    };
    json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:o}", "name", row->name, "kind",
                               kinds[row->kind], "argument", text_or_null(row->argument), "choices",
                               choices_of(row), "default", text_or_null(row->preset), "required",
                               (int)(row->required != NULL), "help", text_or_null(row->help));
    if (object != NULL && (row->low != 0 || row->high != 0)) {
        (void)json_object_set_new(object, "minimum", json_real(row->low));
        (void)json_object_set_new(object, "maximum", json_real(row->high));
    }
    return json_array_append_new(context, object) == 0;
}

json_t *options_describe(const struct command_line *line)
{
    json_t *options = json_array();
    options_each(line, describe_row, options);
    return json_pack("{s:s, s:s, s:o}", "command", line->name, "summary", line->summary, "options",
                     options);
}

/* ---- completion ---- */

struct completing {
    const char *typed;
    FILE *out;
    bool operand_is_file;
};

static bool offer_row(void *context, const struct option_row *row)
{
    struct completing *completing = context;
    if (row->kind == OPTION_OPERAND)
        completing->operand_is_file = completing->operand_is_file || row->file;
    else if (row->kind != OPTION_ALIAS && strncmp(completing->typed, "--", 2) == 0 &&
             strncmp(row->name, completing->typed + 2, strlen(completing->typed) - 2) == 0)
        (void)fprintf(completing->out, "--%s\n", row->name);
    return true;
}

static void offer_values(const struct option_row *row, const char *typed, FILE *out)
{
    if (row->file)
        (void)fputs("<files>\n", out);
    for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
        if (strncasecmp(row->choices[i], typed, strlen(typed)) == 0)
            (void)fprintf(out, "%s\n", row->choices[i]);
}

void options_complete(const struct command_line *line, int count, char **words, FILE *out)
{
    struct completing completing = {.typed = count > 0 ? words[count - 1] : "", .out = out};
    const char *before = count > 1 ? words[count - 2] : "";
    const struct option_row *row =
        strncmp(before, "--", 2) == 0 ? options_find(line, before + 2) : NULL;
    if (row != NULL && row->kind != OPTION_FLAG) {
        offer_values(row, completing.typed, out);
        return;
    }
    if (completing.typed[0] == '\0')
        completing.typed = "--"; /* nothing typed: every option */
    options_each(line, offer_row, &completing);
    if (strncmp("--help", completing.typed, strlen(completing.typed)) == 0)
        (void)fputs("--help\n", out);
    if (completing.operand_is_file)
        (void)fputs("<files>\n", out);
}
