/* SPDX-License-Identifier: MIT */
/** The options of `flash provision`. */
#ifndef BRIDGE_COMMANDS_FLASH_PROVISION_ROWS_H
#define BRIDGE_COMMANDS_FLASH_PROVISION_ROWS_H

#include "bridge/commands/flash_options.h"
#include "bridge/provision/inputs.h"
#include "bridge/provision/proof.h"

struct options {
    struct flash_options flash;
    struct provision_texts texts;
    int64_t wait_s; /* 0: not given */
    bool wait, adopt, yes;
};

extern const struct option_row flash_provision_rows[];

#endif
