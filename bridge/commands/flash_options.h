/* SPDX-License-Identifier: MIT */
/**
 * The options that the `flash` commands share, as tables of rows. A command's options begin with struct
 * flash_options, so that the rows fit all of them.
 */
#ifndef BRIDGE_COMMANDS_FLASH_OPTIONS_H
#define BRIDGE_COMMANDS_FLASH_OPTIONS_H

#include "bridge/options/options.h"
#include "drivers/beken/flasher.h"

#include <stdbool.h>
#include <stdint.h>

enum flash_progress_mode {
    FLASH_PROGRESS_AUTO, /**< bar on a terminal, else none */
    FLASH_PROGRESS_BAR,
    FLASH_PROGRESS_JSON,
    FLASH_PROGRESS_NONE,
};

/** What none of a command's tables sets stays as zeroed memory is. */
struct flash_options {
    const char *port;
    int64_t baud; /**< 0: not given */
    enum link_reset reset;
    bool reset_inverted;
    int chip; /**< index in flash_chips; 0: any */
    int64_t timeout_ms;
    enum flash_progress_mode progress;
    const char *trace_path; /**< NULL: none */
    bool json;
    int64_t address; /**< -1: not given */
    bool force_bootloader;
};

/** "auto", then every chip that can be named. */
extern const char *const flash_chips[];

extern const struct option_row
    flash_module_rows[]; /**< port, baud, reset, chip, timeout, progress, trace */
extern const struct option_row flash_address_rows[]; /**< address */
extern const struct option_row flash_guard_rows[];   /**< force-bootloader */
extern const struct option_row flash_json_rows[];    /**< json */

/** What the flasher is to be opened with; callbacks are the session's. */
struct flasher_options flash_flasher_options(const struct flash_options *options);

#endif
