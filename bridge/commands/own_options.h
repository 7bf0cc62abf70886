/* SPDX-License-Identifier: MIT */
/** Options that a `flash` command has besides those of flash_options.h. */
#ifndef BRIDGE_COMMANDS_OWN_OPTIONS_H
#define BRIDGE_COMMANDS_OWN_OPTIONS_H

#include "drivers/base/status.h"

#include <stdbool.h>

/** What an option takes: looked up for each word that begins with "--". */
enum own_option_kind { OWN_OPTION_NONE, OWN_OPTION_FLAG, OWN_OPTION_VALUE };

struct own_options {
    const char *command; /**< for messages */
    void *context;
    /** The kind of the option with this name (without "--"), or OWN_OPTION_NONE if it is another's. */
    enum own_option_kind (*find)(void *context, const char *name);
    /** Takes it; value is NULL for a flag. What does not fit is explained on stderr. */
    enum status (*take)(void *context, const char *name, const char *value);
};

/**
 * Takes the command's own options out of the command line; what is left is for
 * flash_options_parse(). "--name value" and "--name=value"; names in full.
 */
enum status own_options_take(const struct own_options *options, int *argc, char **argv);

#endif
