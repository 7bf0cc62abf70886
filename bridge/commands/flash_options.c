/* SPDX-License-Identifier: MIT */
#include "bridge/commands/flash_options.h"

#include "bridge/commands/command.h"

#include "drivers/base/number.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KEY_FIRST = 1000, TIMEOUT_DEFAULT_MS = 60000, OPTIONS_MAX = 24 };

enum option_key {
    KEY_PORT = KEY_FIRST,
    KEY_BAUD,
    KEY_RESET,
    KEY_RESET_INVERTED,
    KEY_CHIP,
    KEY_TIMEOUT,
    KEY_PROGRESS,
    KEY_TRACE,
    KEY_ADDRESS,
    KEY_LENGTH,
    KEY_OUTPUT,
    KEY_BACKUP,
    KEY_NO_BACKUP,
    KEY_FORCE,
    KEY_FORCE_BOOTLOADER,
    KEY_FULL,
    KEY_RATES,
    KEY_JSON,
    KEY_HELP,
};

static const struct flash_option {
    const char *name;
    enum option_key key;
    unsigned needs; /* one bit of enum flash_accepts; 0: every command takes it */
    const char *argument;
    const char *help;
} table[] = {
    {"port", KEY_PORT, FLASH_ACCEPTS_MODULE, "P",
     "the adapter, best by its /dev/serial/by-id name"},
    {"baud", KEY_BAUD, FLASH_ACCEPTS_MODULE, "N",
     "rate to work at and to keep to (default: the best that a line test finds)"},
    {"reset", KEY_RESET, FLASH_ACCEPTS_MODULE, "LINE",
     "adapter's line that pulls CEN: none (default), rts, dtr, rts-dtr"},
    {"reset-inverted", KEY_RESET_INVERTED, FLASH_ACCEPTS_MODULE, NULL,
     "the line resets the module while it is released"},
    {"chip", KEY_CHIP, FLASH_ACCEPTS_MODULE, "CHIP",
     "what the module must be: auto (default), BK7231T, BK7231N, BK7231M, BK7231U, BK7231Q,\n"
     "                       BK7238, BK7252 or BK7252N"},
    {"timeout", KEY_TIMEOUT, FLASH_ACCEPTS_MODULE, "S",
     "how long to wait for the module (default 60)"},
    {"progress", KEY_PROGRESS, FLASH_ACCEPTS_MODULE, "KIND", "auto (default), bar, json or none"},
    {"trace", KEY_TRACE, FLASH_ACCEPTS_MODULE, "FILE",
     "write the whole conversation there, in hex"},
    {"address", KEY_ADDRESS, FLASH_ACCEPTS_ADDRESS, "A",
     "where in the flash, decimal or 0x hexadecimal"},
    {"length", KEY_LENGTH, FLASH_ACCEPTS_LENGTH, "L", "how many bytes, a multiple of 4096"},
    {"output", KEY_OUTPUT, FLASH_ACCEPTS_OUTPUT, "F", "file to make; F.json is made beside it"},
    {"backup", KEY_BACKUP, FLASH_ACCEPTS_BACKUP, "F",
     "where to keep the flash's old contents (default: a name of chip, MAC and time)"},
    {"no-backup", KEY_NO_BACKUP, FLASH_ACCEPTS_BACKUP, NULL, "do not make a backup first"},
    {"force", KEY_FORCE, FLASH_ACCEPTS_FORCE, NULL,
     "also a file that is not recognised or damaged, or another place"},
    {"force-bootloader", KEY_FORCE_BOOTLOADER, FLASH_ACCEPTS_FORCE_BOOTLOADER, NULL,
     "open all guards, after a typed confirmation"},
    {"full", KEY_FULL, FLASH_ACCEPTS_FULL, NULL, "also the RF calibration and the MAC address"},
    {"rates", KEY_RATES, FLASH_ACCEPTS_RATES, "N,N...",
     "rates to test (default 115200,230400,460800,921600)"},
    {"json", KEY_JSON, 0, NULL, "answer with one JSON document on standard output"},
    {"help", KEY_HELP, 0, NULL, "this text"},
};

#define TABLE_COUNT (sizeof table / sizeof table[0])

static void print_help(const struct flash_command *command)
{
    (void)printf("Usage: bl2mqtt %s%s%s [OPTION...]\n\n%s\n\nOptions:\n", command->name,
                 command->operand == NULL ? "" : " ",
                 command->operand == NULL ? "" : command->operand, command->purpose);
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (table[i].needs != 0 && (command->accepts & table[i].needs) == 0)
            continue;
        char left[40];
        (void)snprintf(left, sizeof left, "--%s%s%s", table[i].name,
                       table[i].argument == NULL ? "" : " ",
                       table[i].argument == NULL ? "" : table[i].argument);
        (void)printf("  %-20s %s\n", left, table[i].help);
    }
}

/* Flash addresses are spoken of in hexadecimal. */
static bool parse_address(const char *text, uint32_t *value)
{
    int64_t number = 0;
    if (!number_parse_whole(text, strlen(text), 0, UINT32_MAX, &number))
        return false;
    *value = (uint32_t)number;
    return true;
}

static bool parse_baud(const char *text, size_t length, uint32_t *baud)
{
    int64_t number = 0;
    if (!number_parse_int(text, length, 9600, 4000000, &number))
        return false;
    *baud = (uint32_t)number;
    return true;
}

static bool parse_rates(const char *text, struct flash_options *options)
{
    while (options->rate_count < FLASHER_RATES_MAX) {
        size_t length = strcspn(text, ",");
        if (!parse_baud(text, length, &options->rates[options->rate_count++]))
            return false;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
    return false;
}

/* The index of value in names, -1 if it is not there. */
static int choose(const char *value, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(value, names[i]) == 0)
            return i;
    return -1;
}

static enum status take_module_option(const struct flash_command *command,
                                      struct flash_options *options, int key, const char *value)
{
    static const char *const resets[] = {"none", "rts", "dtr", "rts-dtr"};
    static const char *const kinds[] = {"auto", "bar", "json", "none"};
    struct link_options *link = &options->flasher.link;
    double seconds = 0;
    int choice;
    switch (key) {
    case KEY_PORT:
        link->port = value;
        return STATUS_OK;
    case KEY_BAUD:
        return parse_baud(value, strlen(value), &options->flasher.baud)
                   ? STATUS_OK
                   : command_bad_value(command->name, "baud", value, "a rate from 9600 to 4000000");
    case KEY_RESET:
        choice = choose(value, resets, 4);
        if (choice < 0)
            return command_bad_value(command->name, "reset", value, "none, rts, dtr or rts-dtr");
        link->reset = (enum link_reset)choice;
        return STATUS_OK;
    case KEY_RESET_INVERTED:
        link->reset_inverted = true;
        return STATUS_OK;
    case KEY_CHIP:
        options->flasher.chip = BEKEN_CHIP_UNKNOWN;
        return strcmp(value, "auto") == 0 || beken_chip_parse(value, &options->flasher.chip)
                   ? STATUS_OK
                   : command_bad_value(command->name, "chip", value,
                                       "auto, BK7231T, BK7231N, BK7231M, BK7231U, BK7231Q, BK7238, "
                                       "BK7252 or BK7252N");
    case KEY_TIMEOUT:
        if (!number_parse_double(value, strlen(value), 0.1, 86400, &seconds))
            return command_bad_value(command->name, "timeout", value, "seconds from 0.1 to 86400");
        link->timeout_ms = (int64_t)(seconds * 1000);
        return STATUS_OK;
    case KEY_PROGRESS:
        choice = choose(value, kinds, 4);
        if (choice < 0)
            return command_bad_value(command->name, "progress", value, "auto, bar, json or none");
        options->progress = (enum flash_progress_mode)choice;
        return STATUS_OK;
    default:
        options->trace_path = value;
        return STATUS_OK;
    }
}

static enum status take_option(const struct flash_command *command, struct flash_options *options,
                               int key, const char *value)
{
    switch (key) {
    case KEY_ADDRESS:
        options->has_address = true;
        return parse_address(value, &options->address)
                   ? STATUS_OK
                   : command_bad_value(command->name, "address", value, "an address, like 0x11000");
    case KEY_LENGTH:
        return parse_address(value, &options->length) && options->length > 0
                   ? STATUS_OK
                   : command_bad_value(command->name, "length", value,
                                       "a number of bytes, like 0x1000");
    case KEY_OUTPUT:
        options->output = value;
        return STATUS_OK;
    case KEY_BACKUP:
        options->backup = value;
        return STATUS_OK;
    case KEY_NO_BACKUP:
        options->no_backup = true;
        return STATUS_OK;
    case KEY_FORCE:
        options->force = true;
        return STATUS_OK;
    case KEY_FORCE_BOOTLOADER:
        options->force_bootloader = true;
        return STATUS_OK;
    case KEY_FULL:
        options->full = true;
        return STATUS_OK;
    case KEY_RATES:
        return parse_rates(value, options)
                   ? STATUS_OK
                   : command_bad_value(command->name, "rates", value,
                                       "one to eight rates, separated by commas");
    case KEY_JSON:
        options->json = true;
        return STATUS_OK;
    default:
        return take_module_option(command, options, key, value);
    }
}

static enum status check_whole(const struct flash_command *command,
                               const struct flash_options *options)
{
    const char *port = options->flasher.link.port;
    if ((command->accepts & FLASH_ACCEPTS_MODULE) != 0 && (port == NULL || port[0] == '\0'))
        return command_missing(command->name,
                               "which adapter with --port (`bl2mqtt ports` lists them)");
    if ((command->accepts & FLASH_ACCEPTS_OUTPUT) != 0 && options->output == NULL)
        return command_missing(command->name, "which file to make with --output");
    if ((command->accepts & FLASH_ACCEPTS_LENGTH) != 0 && options->length == 0)
        return command_missing(command->name, "how much with --length");
    if ((command->accepts & FLASH_ACCEPTS_LENGTH) != 0 && !options->has_address)
        return command_missing(command->name, "where with --address");
    if (options->backup != NULL && options->no_backup)
        return command_missing(command->name, "either --backup or --no-backup");
    return STATUS_OK;
}

static enum status take_operands(const struct flash_command *command, int argc, char **argv,
                                 struct flash_options *options)
{
    int wanted = command->operand == NULL ? 0 : 1;
    if (argc - optind < wanted)
        return command_missing(command->name, "which file");
    if (argc - optind > wanted)
        return command_extra_word(command->name, argv[optind + wanted]);
    if (wanted == 1)
        options->operand = argv[optind];
    return check_whole(command, options);
}

enum status flash_options_parse(const struct flash_command *command, int argc, char **argv,
                                struct flash_options *options, bool *done)
{
    struct option accepted[OPTIONS_MAX] = {{NULL, 0, NULL, 0}};
    size_t count = 0;
    *options = (struct flash_options){0};
    options->flasher.link.timeout_ms = TIMEOUT_DEFAULT_MS;
    *done = false;
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (table[i].needs == 0 || (command->accepts & table[i].needs) != 0)
            accepted[count++] = (struct option){
                table[i].name, table[i].argument == NULL ? no_argument : required_argument, NULL,
                (int)table[i].key};
    int key;
    while ((key = getopt_long(argc, argv, "", accepted, NULL)) != -1) {
        if (key == KEY_HELP) {
            print_help(command);
            *done = true;
            return STATUS_OK;
        }
        if (key == '?')
            return command_bad_option(command->name);
        enum status status = take_option(command, options, key, optarg);
        if (status != STATUS_OK)
            return status;
    }
    return take_operands(command, argc, argv, options);
}
