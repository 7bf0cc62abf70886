/* SPDX-License-Identifier: MIT */
/** Long options as rows of a table, each with the place that its value goes to. */
#ifndef BRIDGE_COMMANDS_OPTION_ROWS_H
#define BRIDGE_COMMANDS_OPTION_ROWS_H

#include "drivers/base/status.h"

#include <stdbool.h>

/** One of text and flag is set: an option with a value, or one without. */
struct words_row {
    const char *name;  /**< without "--"; NULL in the row that ends a table */
    const char **text; /**< gets the value as it stands in argv */
    bool *flag;        /**< becomes true */
};

/**
 * Takes the options of two tables (the second may be NULL), together at most OPTION_ROWS_MAX rows, and
 * --help or -h, after which it looks no further. *operand is the index of the first word that is no
 * option. What is not understood is said on stderr: STATUS_USAGE. command is for messages.
 */
enum status option_rows_parse(const char *command, const struct words_row *rows,
                              const struct words_row *more, int argc, char **argv, bool *help,
                              int *operand);

#define OPTION_ROWS_MAX 32

#endif
