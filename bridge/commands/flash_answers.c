/* SPDX-License-Identifier: MIT */
/* What the `flash` commands answer with, as JSON and in words. */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"
#include "bridge/options/layout.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <stdio.h>

json_t *flash_json_text(const char *text)
{
    return text[0] == '\0' ? json_null() : json_string(text);
}

json_t *flash_json_seconds(int64_t time_us)
{
    int64_t time_ms = (time_us + 500) / 1000; /* more digits would mean nothing */
    return json_real((double)time_ms / 1000);
}

json_t *flash_json_result(const struct flasher *flasher, const struct flasher_result *result)
{
    static const char *const protection[] = {"as-found", "open", "bootloader"};
    json_t *seconds = json_pack(
        "{s:o, s:o, s:o, s:o}", "erase", flash_json_seconds(result->times.erase_us), "write",
        flash_json_seconds(result->times.write_us), "crc", flash_json_seconds(result->times.crc_us),
        "total", flash_json_seconds(result->total_us));
    return json_pack(
        "{s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:o}", "verified", 1, "chip",
        beken_chip_name(flasher_module(flasher)->chip), "sectors", (json_int_t)result->sectors,
        "written", (json_int_t)result->written, "blanked", (json_int_t)result->blanked, "equal",
        (json_int_t)result->equal, "guarded", (json_int_t)result->guarded, "protection",
        protection[result->protection], "retries", (json_int_t)result->retries, "reconnects",
        (json_int_t)result->reconnects, "repaired", (json_int_t)result->repaired, "baud",
        (json_int_t)result->baud, "seconds", seconds);
}

void flash_print_result(const char *verb, const struct flasher *flasher,
                        const struct flasher_result *result, const char *after)
{
    char line[1200];
    struct text text;
    text_init(&text, line, sizeof line);
    text_append(&text, "%s %zu %s: %zu written, %zu blanked, %zu right already", verb,
                result->sectors, COMMAND_PLURAL(result->sectors, "sector", "sectors"),
                result->written, result->blanked, result->equal);
    if (result->guarded > 0)
        text_append(&text, ", %zu guarded and left alone", result->guarded);
    text_append(&text, " (%.1f s, %" PRIu64 " %s).", (double)result->total_us / 1e6,
                result->retries, COMMAND_PLURAL(result->retries, "retry", "retries"));
    if (result->protection == FLASHER_PROTECTION_BOOTLOADER &&
        result->written + result->blanked > 0)
        text_append(&text, " The %s's bootloader has write-protected the flash in its own way.",
                    beken_chip_name(flasher_module(flasher)->chip));
    text_append(&text, "%s%s", after[0] == '\0' ? "" : " ", after);
    layout_message(stdout, line);
}
