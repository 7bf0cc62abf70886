/* SPDX-License-Identifier: MIT */
#include "bridge/commands/command.h"

#include "bridge/options/layout.h"

#include <stdio.h>

enum status command_fail(const char *command, enum status status, const struct error *error)
{
    char message[sizeof error->text + 100];
    (void)snprintf(message, sizeof message, "bl2mqtt %s: %s", command, error->text);
    layout_message(stderr, message);
    return status;
}

enum status command_end(const char *command, enum status status, const struct error *error)
{
    return status == STATUS_OK || error->text[0] == '\0' ? status
                                                         : command_fail(command, status, error);
}

enum status command_flush(struct error *error)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "The answer could not be written to the output.");
}

enum status command_bad_value(const char *command, const char *option, const char *value,
                              const char *wanted)
{
    return options_bad_value(command, option, value, wanted);
}

enum status command_missing(const char *command, const char *what)
{
    return options_missing(command, what);
}

enum status command_print_json(const char *command, json_t *document, size_t layout)
{
    int failed = json_dumpf(document, stdout, layout | JSON_REAL_PRECISION(12));
    json_decref(document);
    if (failed == 0 && putchar('\n') != EOF && fflush(stdout) == 0)
        return STATUS_OK;
    (void)fprintf(stderr, "bl2mqtt %s: The answer cannot be written to standard output.\n",
                  command);
    return STATUS_FAILED;
}
