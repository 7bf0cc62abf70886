/* SPDX-License-Identifier: MIT */
/** The options that change OpenBeken's configuration, for the commands that take them. */
#ifndef BRIDGE_COMMANDS_FLASH_OBK_ROWS_H
#define BRIDGE_COMMANDS_FLASH_OBK_ROWS_H

#include "bridge/commands/flash_options.h"
#include "bridge/provision/obk_edits.h"

#include <stddef.h>

/** The options of such a command begin with this. */
struct obk_edit_options {
    struct flash_options flash;
    struct option_list edits;
};
#define OBK_EDITS_AT offsetof(struct obk_edit_options, edits)

/** A row for each field, and those for pins, flags and files. Ended by a NULL name. */
const struct option_row *obk_edit_rows(void);

/** The edits of a command line. Free them, then *list. */
struct obk_edits *obk_edits_of(const struct obk_edit_options *options, struct obk_edit **list);

#endif
