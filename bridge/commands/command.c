/* SPDX-License-Identifier: MIT */
#include "bridge/commands/command.h"

#include <stdio.h>

enum status command_fail(const char *command, enum status status, const struct error *error)
{
    (void)fprintf(stderr, "bl2mqtt %s: %s\n", command, error->text);
    return status;
}
