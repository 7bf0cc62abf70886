/* SPDX-License-Identifier: MIT */
/* The getopt loop. What it finds wrong is put into words here, with a guess at what was meant. */
#include "bridge/options/options.h"

#include "bridge/config/suggest.h"
#include "bridge/options/values.h"
#include "drivers/base/memory.h"
#include "drivers/base/plain.h"

#include <getopt.h>
#include <string.h>

#define SHOWN_SIZE 200 /* of a word of the command line in a message */

enum { ROWS_MAX = 256, HELP_KEY = 'h', HELP_LONG_KEY = 999, FIRST_KEY = 1000 };

/* The rows of one command, collected, in the forms that parsing needs. */
struct parsing {
    const struct command_line *line;
    void *options;
    const struct option_row *rows[ROWS_MAX];
    bool given[ROWS_MAX];
    size_t count;
    struct option known[ROWS_MAX + 2]; /* --help and the end */
    size_t known_count;
    size_t known_row[ROWS_MAX]; /* which row each of them is */
};

/* ---- rows ---- */

void options_each(const struct command_line *line,
                  bool (*visit)(void *context, const struct option_row *row), void *context)
{
    for (size_t i = 0; i <= OPTION_TABLES_MAX; i++) {
        bool fixed = i < OPTION_TABLES_MAX && line->tables[i] != NULL;
        const struct option_row *row = fixed ? line->tables[i] : NULL;
        if (!fixed && line->table != NULL)
            row = line->table();
        for (; row != NULL && row->name != NULL; row++)
            if (!visit(context, row))
                return;
        if (!fixed)
            return;
    }
}

struct finding {
    const char *name;
    const struct option_row *row;
};

static bool find_row(void *context, const struct option_row *row)
{
    struct finding *finding = context;
    if (row->kind != OPTION_OPERAND && strcmp(row->name, finding->name) == 0)
        finding->row = row;
    return finding->row == NULL;
}

const struct option_row *options_find(const struct command_line *line, const char *name)
{
    struct finding finding = {.name = name};
    options_each(line, find_row, &finding);
    if (finding.row != NULL && finding.row->kind == OPTION_ALIAS)
        return options_find(line, finding.row->argument);
    return finding.row;
}

static bool collect(void *context, const struct option_row *row)
{
    struct parsing *parsing = context;
    if (parsing->count == ROWS_MAX)
        return false;
    size_t index = parsing->count++;
    parsing->rows[index] = row;
    if (row->kind == OPTION_OPERAND)
        return true;
    const struct option_row *meant = options_find(parsing->line, row->name);
    int takes = meant->kind == OPTION_FLAG ? no_argument : required_argument;
    parsing->known_row[parsing->known_count] = index;
    parsing->known[parsing->known_count] = (struct option){
        .name = row->name, .has_arg = takes, .val = FIRST_KEY + (int)parsing->known_count};
    parsing->known_count++;
    return true;
}

static size_t index_of(const struct parsing *parsing, const struct option_row *row)
{
    size_t index = 0;
    while (index < parsing->count && parsing->rows[index] != row)
        index++;
    return index;
}

/* ---- what is wrong ---- */

static enum status try_help(const struct command_line *line)
{
    (void)fprintf(stderr, "Try `bl2mqtt%s%s --help`.\n", line->name[0] == '\0' ? "" : " ",
                  line->name);
    return STATUS_USAGE;
}

static void print_prefix(const struct command_line *line)
{
    (void)fprintf(stderr, "bl2mqtt%s%s: ", line->name[0] == '\0' ? "" : " ", line->name);
}

enum status options_bad_value(const char *command, const char *option, const char *value,
                              const char *wanted)
{
    char shown[SHOWN_SIZE];
    (void)fprintf(stderr, "bl2mqtt %s: --%s %s: give %s.\n", command, option,
                  plain_copy(shown, sizeof shown, value), wanted);
    return STATUS_USAGE;
}

enum status options_missing(const char *command, const char *what)
{
    (void)fprintf(stderr, "bl2mqtt %s: Say %s; `bl2mqtt %s --help` lists the options.\n", command,
                  what, command);
    return STATUS_USAGE;
}

static enum status extra_word(const struct command_line *line, const char *word)
{
    print_prefix(line);
    char shown[SHOWN_SIZE];
    (void)fprintf(stderr, "\"%s\" is one word too many; `bl2mqtt %s --help` lists the options.\n",
                  plain_copy(shown, sizeof shown, word), line->name);
    return STATUS_USAGE;
}

/* --config belongs to the program, and people look for it behind the command. */
static enum status config_behind(const struct command_line *line, const char *value)
{
    print_prefix(line);
    char shown[SHOWN_SIZE];
    (void)fprintf(stderr, "--config stands before the command: `bl2mqtt --config %s %s`.\n",
                  plain_copy(shown, sizeof shown, value != NULL ? value : "FILE"), line->name);
    return STATUS_USAGE;
}

static enum status unknown_letter(const struct command_line *line, int letter)
{
    print_prefix(line);
    (void)fprintf(stderr, "unrecognized option '-%c'\n",
                  letter > ' ' && letter < 127 ? letter : '?');
    return try_help(line);
}

/* Reports why getopt does not take the option of that name; value: behind its "=", or NULL. */
static enum status refuse(const struct parsing *parsing, const char *name, const char *value)
{
    struct suggestion suggestion = {.word = name};
    size_t matches = 0;
    for (size_t i = 0; i <= parsing->known_count; i++) {
        const char *known = parsing->known[i].name;
        if (value != NULL && strcmp(known, name) == 0)
            return options_bad_value(parsing->line->name, name, value, "it without a value");
        matches += strncmp(known, name, strlen(name)) == 0 ? 1 : 0;
        suggestion_offer(&suggestion, known);
    }
    print_prefix(parsing->line);
    (void)fprintf(stderr,
                  matches > 1 ? "option '--%s' is ambiguous\n" : "unrecognized option '--%s'\n",
                  name);
    if (matches <= 1 && suggestion.best != NULL)
        (void)fprintf(stderr, "Did you mean --%s?\n", suggestion.best);
    return try_help(parsing->line);
}

/* word: as it stands in argv; next: the word behind it, or NULL. */
static enum status unknown(const struct parsing *parsing, const char *word, const char *next)
{
    char name[64];
    size_t length = strcspn(word + 2, "=");
    const char *value = word[2 + length] == '=' ? word + 3 + length : NULL;
    (void)snprintf(name, sizeof name, "%.*s", (int)length, word + 2);
    plain_make(name);
    if (parsing->line->name[0] != '\0' && strcmp(name, "config") == 0)
        return config_behind(parsing->line, value != NULL ? value : next);
    return refuse(parsing, name, value);
}

static enum status needs_value(const struct parsing *parsing, const char *word)
{
    print_prefix(parsing->line);
    char shown[SHOWN_SIZE];
    (void)fprintf(stderr, "%s needs a value.\n", plain_copy(shown, sizeof shown, word));
    return try_help(parsing->line);
}

/* ---- the loop ---- */

static enum status take(struct parsing *parsing, const struct option_row *row, const char *value)
{
    char wanted[400];
    parsing->given[index_of(parsing, row)] = true;
    if (option_value_take(row, value, parsing->options, wanted, sizeof wanted))
        return STATUS_OK;
    if (row->required != NULL && value[0] == '\0')
        return options_missing(parsing->line->name, row->required);
    print_prefix(parsing->line);
    char shown[SHOWN_SIZE];
    (void)fprintf(stderr, "--%s %s: give %s.\n", row->name, plain_copy(shown, sizeof shown, value),
                  wanted);
    return STATUS_USAGE;
}

/* *rest: the index of the first word that is no option. before: stop there. */
static enum status loop(struct parsing *parsing, int argc, char **argv, bool before, bool *help,
                        int *rest)
{
    int key;
    int at = optind = 0; /* glibc: a new scan */
    opterr = 0;
    while ((key = getopt_long(argc, argv, before ? "+:h" : ":h", parsing->known, NULL)) != -1) {
        if (key == HELP_KEY || key == HELP_LONG_KEY) {
            *help = true;
            return STATUS_OK;
        }
        /* The word in question is the last one that the scan has passed. */
        at = optind > 0 ? optind - 1 : 0;
        if (key == ':')
            return needs_value(parsing, argv[at]);
        if (key == '?' && optopt != 0 && optopt < HELP_LONG_KEY)
            return unknown_letter(parsing->line, optopt);
        if (key == '?')
            return unknown(parsing, argv[at], at + 1 < argc ? argv[at + 1] : NULL);
        const struct option_row *row = parsing->rows[parsing->known_row[key - FIRST_KEY]];
        enum status status = take(parsing, options_find(parsing->line, row->name), optarg);
        if (status != STATUS_OK)
            return status;
    }
    *rest = optind;
    return STATUS_OK;
}

static enum status take_operands(struct parsing *parsing, int argc, char **argv, int at)
{
    for (size_t i = 0; i < parsing->count; i++) {
        const struct option_row *row = parsing->rows[i];
        if (row->kind != OPTION_OPERAND || at >= argc)
            continue;
        parsing->given[i] = true;
        if (!option_value_take(row, argv[at++], parsing->options, NULL, 0))
            return options_missing(parsing->line->name, row->required);
    }
    return at < argc ? extra_word(parsing->line, argv[at]) : STATUS_OK;
}

static enum status complete(const struct parsing *parsing)
{
    for (size_t i = 0; i < parsing->count; i++)
        if (parsing->rows[i]->required != NULL && !parsing->given[i])
            return options_missing(parsing->line->name, parsing->rows[i]->required);
    return STATUS_OK;
}

static struct parsing *prepare(const struct command_line *line, void *options)
{
    struct parsing *parsing = memory_new(1, sizeof *parsing);
    parsing->line = line;
    parsing->options = options;
    options_each(line, collect, parsing);
    parsing->known[parsing->known_count] = (struct option){.name = "help", .val = HELP_LONG_KEY};
    if (line->initialise != NULL)
        line->initialise(options);
    for (size_t i = 0; i < parsing->count; i++)
        option_value_begin(parsing->rows[i], options);
    return parsing;
}

enum status options_parse(const struct command_line *line, int argc, char **argv, void *options,
                          bool *help)
{
    int rest = argc;
    struct parsing *parsing memory_auto = prepare(line, options);
    enum status status = loop(parsing, argc, argv, false, help, &rest);
    if (status != STATUS_OK || *help)
        return status;
    status = take_operands(parsing, argc, argv, rest);
    return status == STATUS_OK ? complete(parsing) : status;
}

enum status options_parse_before(const struct command_line *line, int argc, char **argv,
                                 void *options, bool *help, int *rest)
{
    struct parsing *parsing memory_auto = prepare(line, options);
    return loop(parsing, argc, argv, true, help, rest);
}

static bool free_list(void *context, const struct option_row *row)
{
    if (row->kind != OPTION_LIST)
        return true;
    struct option_list *list = (struct option_list *)((char *)context + row->at);
    free(list->items);
    *list = (struct option_list){0};
    return true;
}

void options_free(const struct command_line *line, void *options)
{
    if (options != NULL)
        options_each(line, free_list, options);
}
