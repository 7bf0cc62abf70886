/* SPDX-License-Identifier: MIT */
/* The typed confirmation of --force-bootloader. */
#include "bridge/commands/flash_session.h"

#include "drivers/beken/backup_file.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ASK_EVERY_MS = 100 };

struct answer {
    char line[80];
};

/* Looks up now and then, so that Ctrl-C is noticed. */
static void read_answer(void *context)
{
    struct answer *answer = context;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = 0;
    while (ready == 0 && !flash_session_stopped())
        ready = poll(&input, 1, ASK_EVERY_MS);
    if (ready <= 0 || fgets(answer->line, sizeof answer->line, stdin) == NULL)
        answer->line[0] = '\0';
    answer->line[strcspn(answer->line, "\r\n")] = '\0';
}

static const char *at_stake(const struct beken_module *module, uint32_t address, uint64_t end)
{
    const struct beken_layout *layout = beken_chip_layout(module->chip);
    bool bootloader = address < BEKEN_CODE_ADDRESS;
    bool rf = address < layout->rf_address + BEKEN_SECTOR_SIZE && end > layout->rf_address;
    if (bootloader && layout->guarded_below > 0)
        return rf ? " That covers the bootloader, without which the module is lost to the serial "
                    "line, and the RF calibration with the MAC address, which cannot be made again."
                  : " That covers the bootloader, without which the module is lost to the serial "
                    "line.";
    if (rf)
        return " That covers the RF calibration and the MAC address, which cannot be made again.";
    return bootloader ? " That covers the bootloader." : "";
}

enum status flash_session_confirm(struct flash_session *session, uint32_t address, size_t length,
                                  const char *with, struct error *error)
{
    static const char phrase[] = "overwrite the bootloader";
    const struct beken_module *module = flasher_module(flash_session_flasher(session));
    uint64_t end = (uint64_t)address + length; /* whole sectors are erased */
    end = (end + BEKEN_SECTOR_SIZE - 1) / BEKEN_SECTOR_SIZE * BEKEN_SECTOR_SIZE;
    char mac[18] = "unknown";
    if (module->has_mac)
        backup_file_format_mac(module->mac, mac);
    flash_session_say(session,
                      "--force-bootloader opens all guards: 0x%06" PRIX32 " to 0x%06" PRIX64
                      " of this %s (MAC %s) will be overwritten with %s.%s Type \"%s\" to go on:",
                      address, end, beken_chip_name(module->chip), mac, with,
                      at_stake(module, address, end), phrase);
    struct answer answer = {""};
    flasher_while(flash_session_flasher(session), read_answer, &answer);
    if (strcmp(answer.line, phrase) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED, "Not confirmed; nothing was changed.");
}
