/* SPDX-License-Identifier: MIT */
/**
 * The command line, described by rows.
 *
 * A command has tables of rows; each row names an option or an operand, says what it takes, within
 * which bounds, where the value goes, and what it is for. Parsing, checks, --help, shell completion
 * and the test of the man pages all come from these rows. This module holds the program's only
 * getopt loop.
 *
 *     struct options { const char *port; int64_t baud; bool json; };
 *     static const struct option_row rows[] = {
 *         {.name = "port", .kind = OPTION_TEXT, .argument = "P", .at = offsetof(struct options, port),
 *          .required = "which port with --port", .help = "serial port, see `bl2mqtt ports`"},
 *         {.name = "baud", .kind = OPTION_INTEGER, .argument = "N", .low = 4800, .high = 38400,
 *          .at = offsetof(struct options, baud), .preset = "4800", .help = "the rate"},
 *         {.name = "json", .kind = OPTION_FLAG, .at = offsetof(struct options, json), .help = "..."},
 *         {.name = NULL},
 *     };
 *
 * --help and -h are understood without a row.
 */
#ifndef BRIDGE_OPTIONS_OPTIONS_H
#define BRIDGE_OPTIONS_OPTIONS_H

#include "drivers/base/status.h"
#include "drivers/base/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** What a row takes, and the type of its destination. A text is borrowed from argv. */
enum option_kind {
    OPTION_TEXT = 0, /**< const char *; NULL when not given; bounds are bytes */
    OPTION_FLAG,     /**< bool */
    OPTION_INTEGER,  /**< int64_t; 0 when not given and without a preset */
    OPTION_NUMBER,   /**< double; 0 when not given and without a preset */
    OPTION_DURATION, /**< int64_t milliseconds, from "90s" or "1h"; bounds are milliseconds */
    OPTION_SECONDS,  /**< int64_t milliseconds, from seconds such as "2.5"; bounds are seconds */
    OPTION_TIME,     /**< const char *: a point in time, checked where the time zone is known */
    OPTION_CHOICE,   /**< int or an enum: the index in choices; 0 when not given */
    OPTION_ADDRESS,  /**< int64_t: decimal, or hexadecimal behind 0x; -1 when not given */
    OPTION_LIST,     /**< struct option_list; may be given several times; rows may share a list */
    OPTION_OPERAND,  /**< const char *: a word that is no option; order is that of the rows */
    OPTION_ALIAS,    /**< another name, for an older one: argument names the row that is meant */
};

struct option_row {
    const char *name; /**< without "--"; of an operand as help shows it; NULL ends a table */
    enum option_kind kind;
    const char *argument;       /**< its name in help; NULL for flags and operands */
    size_t at;                  /**< offsetof() in the command's options */
    double low, high;           /**< bounds of a value; both 0: none */
    const char *const *choices; /**< ended by NULL; compared without regard to case */
    const char *wanted;   /**< what a wrong value should have been; NULL: follows from the kind */
    const char *preset;   /**< taken when it is not given, and shown as the default */
    const char *required; /**< not NULL: must be given; the rest of the sentence "Say ..." */
    bool in_usage;        /**< stands in the usage line, although the command checks it itself */
    const char *help;     /**< one or two sentences; is wrapped */
    bool file;            /**< the value is a file name, for completion */
};

struct option_item {
    const char *name; /**< of the row that it came from */
    const char *value;
};

/** In the order of the command line. Freed by options_free(). */
struct option_list {
    size_t count, capacity;
    struct option_item *items;
};

enum { OPTION_TABLES_MAX = 6 };

/** One command, as far as its words are concerned. */
struct command_line {
    const char *name;    /**< "history energy": one to three words */
    const char *summary; /**< half a line for the list of commands */
    const char *purpose; /**< one or two paragraphs for --help; wrapped; "\n" breaks */
    const char *notes;   /**< shown behind the options, likewise; or NULL */
    void (*more)(FILE *out, int width); /**< prints what stands behind the options; or NULL */
    const char *usage;                  /**< a second form, "--list | --undo ID"; or NULL */
    const struct option_row *tables[OPTION_TABLES_MAX]; /**< NULL behind the last one */
    /** A further table that is made while the program runs; or NULL. */
    const struct option_row *(*table)(void);
    size_t size;                       /**< of the command's options */
    void (*initialise)(void *options); /**< runs on zeroed options before presets; or NULL */
};

/** Calls visit for each row of the command's tables, until it returns false. */
void options_each(const struct command_line *line,
                  bool (*visit)(void *context, const struct option_row *row), void *context);

/** The row of that name, aliases followed; NULL if there is none. */
const struct option_row *options_find(const struct command_line *line, const char *name);

/**
 * Fills options (zeroed memory of line->size bytes) from argv[1...]. The first thing that is wrong is
 * reported on stderr: STATUS_USAGE. *help: --help was given; nothing else was checked then.
 */
enum status options_parse(const struct command_line *line, int argc, char **argv, void *options,
                          bool *help);
/** The same for the words before a command; stops at the first word that is no option, whose index in
 *  argv is put into *rest. */
enum status options_parse_before(const struct command_line *line, int argc, char **argv,
                                 void *options, bool *help, int *rest);
/** Frees the lists in options. */
void options_free(const struct command_line *line, void *options);

/** Prints "Usage: ...", the purpose, the options and the notes, at most `width` columns wide. */
void options_print_help(const struct command_line *line, FILE *out, int width);

/** Appends "flash write IMAGE": the name and the operands. */
void options_append_form(const struct command_line *line, struct text *text);

/** Only the rows of one table, and --help. */
void options_print_rows(const struct option_row *rows, FILE *out, int width);

/** The command as JSON: name, summary, operands and options with their arguments, bounds and defaults. */
json_t *options_describe(const struct command_line *line);

/**
 * Prints what may come next, one candidate a line: words are those behind the command's name, of which
 * the last one is being typed. Prints "<files>" where a file name is wanted.
 */
void options_complete(const struct command_line *line, int count, char **words, FILE *out);

/* ---- sentences about a command line, on stderr; each returns STATUS_USAGE ---- */

/** "--baud 17: give 4800 or 9600." */
enum status options_bad_value(const char *command, const char *option, const char *value,
                              const char *wanted);
/** "Say <what>; `bl2mqtt X --help` lists the options.": what is the rest of the sentence. */
enum status options_missing(const char *command, const char *what);

#endif
