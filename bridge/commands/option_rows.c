/* SPDX-License-Identifier: MIT */
#include "bridge/commands/option_rows.h"

#include "bridge/commands/command.h"

#include <getopt.h>
#include <stddef.h>

static size_t add(const struct words_row *rows, size_t count,
                  const struct words_row *table[OPTION_ROWS_MAX],
                  struct option known[OPTION_ROWS_MAX + 2])
{
    for (; rows != NULL && rows->name != NULL && count < OPTION_ROWS_MAX; rows++, count++) {
        int takes = rows->text != NULL ? required_argument : no_argument;
        known[count] = (struct option){.name = rows->name, .has_arg = takes};
        table[count] = rows;
    }
    return count;
}

enum status option_rows_parse(const char *command, const struct words_row *rows,
                              const struct words_row *more, int argc, char **argv, bool *help,
                              int *operand)
{
    const struct words_row *table[OPTION_ROWS_MAX];
    struct option known[OPTION_ROWS_MAX + 2] = {{.name = NULL}}; /* --help, and the end */
    size_t count = add(more, add(rows, 0, table, known), table, known);
    known[count] = (struct option){.name = "help", .val = 'h'};
    int option;
    int index = 0;
    while ((option = getopt_long(argc, argv, "h", known, &index)) != -1) {
        if (option == 'h') {
            *help = true;
            return STATUS_OK;
        }
        if (option != 0)
            return command_bad_option(command);
        if (table[index]->text != NULL)
            *table[index]->text = optarg;
        else
            *table[index]->flag = true;
    }
    *operand = optind;
    return STATUS_OK;
}
