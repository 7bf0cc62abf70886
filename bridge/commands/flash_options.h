/* SPDX-License-Identifier: MIT */
/** The options of the `flash` commands: one table, of which each command takes its share. */
#ifndef BRIDGE_COMMANDS_FLASH_OPTIONS_H
#define BRIDGE_COMMANDS_FLASH_OPTIONS_H

#include "drivers/beken/flasher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flash_progress_mode {
    FLASH_PROGRESS_AUTO, /**< bar on a terminal, else none */
    FLASH_PROGRESS_BAR,
    FLASH_PROGRESS_JSON,
    FLASH_PROGRESS_NONE,
};

/** Which options a command takes, besides --json and --help. */
enum flash_accepts {
    FLASH_ACCEPTS_MODULE = 1 << 0, /**< port, baud, reset, chip, timeout, progress, trace */
    FLASH_ACCEPTS_ADDRESS = 1 << 1,
    FLASH_ACCEPTS_LENGTH = 1 << 2,
    FLASH_ACCEPTS_OUTPUT = 1 << 3,
    FLASH_ACCEPTS_BACKUP = 1 << 4, /**< --backup, --no-backup */
    FLASH_ACCEPTS_FORCE = 1 << 5,
    FLASH_ACCEPTS_FORCE_BOOTLOADER = 1 << 6,
    FLASH_ACCEPTS_FULL = 1 << 7,
    FLASH_ACCEPTS_RATES = 1 << 8,
};

struct flash_options {
    struct flasher_options flasher; /**< the port and the rest; callbacks are the session's */
    enum flash_progress_mode progress;
    const char *trace_path; /**< NULL = none */
    bool json;
    bool has_address;
    uint32_t address;
    uint32_t length;    /**< 0 = not given */
    const char *output; /**< NULL = not given */
    const char *backup; /**< NULL = not given */
    bool no_backup, force, force_bootloader, full;
    size_t rate_count;
    uint32_t rates[FLASHER_RATES_MAX];
    const char *operand; /**< the file, NULL if the command takes none */
};

/** What a command is, for its usage and its help. */
struct flash_command {
    const char *name;    /**< "flash probe" */
    const char *operand; /**< "IMAGE", or NULL */
    unsigned accepts;
    const char *purpose; /**< a paragraph for --help */
};

/**
 * Parses a command line. STATUS_OK with *done set: --help was asked for and given. STATUS_USAGE was
 * explained on stderr.
 */
enum status flash_options_parse(const struct flash_command *command, int argc, char **argv,
                                struct flash_options *options, bool *done);

#endif
