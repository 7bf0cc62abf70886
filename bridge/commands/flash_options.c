/* SPDX-License-Identifier: MIT */
#include "bridge/commands/flash_options.h"

#include <stddef.h>

const char *const flash_chips[] = {"auto",    "BK7231T", "BK7231N", "BK7231M", "BK7231U",
                                   "BK7231Q", "BK7238",  "BK7252",  "BK7252N", NULL};
static const char *const resets[] = {"none", "rts", "dtr", "rts-dtr",
                                     NULL}; /* as enum link_reset */
static const char *const progress_modes[] = {"auto", "bar", "json", "none", NULL};

const struct option_row flash_module_rows[] = {
    {.name = "port",
     .argument = "P",
     .at = offsetof(struct flash_options, port),
     .low = 1,
     .required = "which adapter with --port (`bl2mqtt ports` lists them)",
     .file = true,
     .help = "the adapter, best by its /dev/serial/by-id name"},
    {.name = "baud",
     .kind = OPTION_INTEGER,
     .argument = "N",
     .at = offsetof(struct flash_options, baud),
     .low = 9600,
     .high = 4000000,
     .wanted = "a rate from 9600 to 4000000",
     .help = "work at this rate and keep to it (default: the best one that a line test finds)"},
    {.name = "reset",
     .kind = OPTION_CHOICE,
     .argument = "LINE",
     .at = offsetof(struct flash_options, reset),
     .choices = resets,
     .preset = "none",
     .help = "the adapter's line that pulls CEN"},
    {.name = "reset-inverted",
     .kind = OPTION_FLAG,
     .at = offsetof(struct flash_options, reset_inverted),
     .help = "the line resets the module while it is released"},
    {.name = "chip",
     .kind = OPTION_CHOICE,
     .argument = "CHIP",
     .at = offsetof(struct flash_options, chip),
     .choices = flash_chips,
     .preset = "auto",
     .help = "what the module must be"},
    {.name = "timeout",
     .kind = OPTION_SECONDS,
     .argument = "S",
     .at = offsetof(struct flash_options, timeout_ms),
     .low = 0.1,
     .high = 86400,
     .preset = "60",
     .help = "how long to wait for the module"},
    {.name = "progress",
     .kind = OPTION_CHOICE,
     .argument = "KIND",
     .at = offsetof(struct flash_options, progress),
     .choices = progress_modes,
     .preset = "auto",
     .help = "how progress is shown"},
    {.name = "trace",
     .argument = "FILE",
     .at = offsetof(struct flash_options, trace_path),
     .file = true,
     .help = "write the whole conversation to this file, in hex"},
    {.name = NULL},
};

const struct option_row flash_address_rows[] = {
    {.name = "address",
     .kind = OPTION_ADDRESS,
     .argument = "A",
     .at = offsetof(struct flash_options, address),
     .wanted = "an address, like 0x11000",
     .help = "where in the flash, decimal or 0x hexadecimal"},
    {.name = NULL},
};

const struct option_row flash_guard_rows[] = {
    {.name = "force-bootloader",
     .kind = OPTION_FLAG,
     .at = offsetof(struct flash_options, force_bootloader),
     .help = "open all guards, after a typed confirmation"},
    {.name = NULL},
};

const struct option_row flash_json_rows[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = offsetof(struct flash_options, json),
     .help = "answer with one JSON document on standard output"},
    {.name = NULL},
};

struct flasher_options flash_flasher_options(const struct flash_options *options)
{
    struct flasher_options flasher = {
        .baud = (uint32_t)options->baud,
        .open_guards = options->force_bootloader, /* nothing is written before the confirmation */
        .link = {.port = options->port,
                 .reset = options->reset,
                 .reset_inverted = options->reset_inverted,
                 .timeout_ms = options->timeout_ms},
    };
    if (options->chip > 0)
        (void)beken_chip_parse(flash_chips[options->chip], &flasher.chip);
    return flasher;
}
