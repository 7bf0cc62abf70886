/* SPDX-License-Identifier: MIT */
/* The knobs by name. */
#include "drivers/simulator/module.h"

#include "drivers/base/number.h"

#include <string.h>

#define PROBABILITY 1.0
#define SWITCH 1.0
#define COUNT 4294967295.0
#define MS 3600000.0

static const struct knob {
    const char *name;
    size_t offset;
    double low, high;
    const char *help;
} knobs[] = {
#define KNOB(field, name, low, high, help)                                                         \
    {                                                                                              \
        name, offsetof(struct module_faults, field), low, high, help                               \
    }
    KNOB(loss_to_chip, "loss-to-chip", 0, PROBABILITY,
         "probability that a byte to the chip is lost"),
    KNOB(loss_to_host, "loss-to-host", 0, PROBABILITY, "the same towards the host"),
    KNOB(bit_errors_to_chip, "bit-errors-to-chip", 0, PROBABILITY,
         "probability that one bit of a byte to the chip is flipped"),
    KNOB(bit_errors_to_host, "bit-errors-to-host", 0, PROBABILITY, "the same towards the host"),
    KNOB(max_clean_baud, "max-clean-baud", 0, COUNT, "above this rate over-baud-loss is added"),
    KNOB(over_baud_loss, "over-baud-loss", 0, PROBABILITY, "loss per byte above max-clean-baud"),
    KNOB(chatter_ms, "chatter-ms", 0, MS, "another controller on the line speaks this often"),
    KNOB(latency_us, "latency-us", 0, 1000 * MS, "the adapter holds bytes back so long"),
    KNOB(packet_bytes, "packet-bytes", 1, 65536, "or until it has so many of them"),
    KNOB(late, "late", 0, PROBABILITY, "probability that a packet comes late-ms later"),
    KNOB(late_ms, "late-ms", 0, MS, "how much later"),
    KNOB(split, "split", 0, PROBABILITY, "probability that a reply is cut by a pause of 20 ms"),
    KNOB(duplicate, "duplicate", 0, PROBABILITY, "probability that a reply comes twice"),
    KNOB(vanish_at_program, "vanish-at-program", 0, COUNT,
         "the adapter is unplugged at the n-th program operation"),
    KNOB(vanish_at_frame, "vanish-at-frame", 0, COUNT, "the same at the n-th frame"),
    KNOB(vanish_s, "vanish-s", 0, 3600, "how long it stays away"),
    KNOB(vanish_resets, "vanish-resets", 0, SWITCH, "1: the module is fed by the adapter"),
    KNOB(flash_id, "flash-id", 0, 0xFFFFFF, "capacity << 16 | type << 8 | manufacturer"),
    KNOB(program_us, "program-us", 0, 1000 * MS, "time to program up to 32 bytes"),
    KNOB(erase_4k_ms, "erase-4k-ms", 0, MS, "time to erase a sector, give or take a tenth"),
    KNOB(erase_64k_ms, "erase-64k-ms", 0, MS, "time to erase a block, give or take a tenth"),
    KNOB(status_ms, "status-ms", 0, MS, "time to write the status register"),
    KNOB(crc_bytes_per_s, "crc-bytes-per-s", 1, 1e12, "speed of CheckCRC"),
    KNOB(bad_sector, "bad-sector", 0, COUNT, "an address in the sector that fails"),
    KNOB(bad_erases, "bad-erases", 0, COUNT, "it fails to erase so many times"),
    KNOB(bad_programs, "bad-programs", 0, COUNT, "so many program operations in it fail"),
    KNOB(stuck_protection, "stuck-protection", 0, SWITCH, "1: the status register is locked"),
    KNOB(unreadable, "unreadable", 0, SWITCH, "1: flash contents and id read as 00"),
    KNOB(brownout, "brownout", 0, PROBABILITY, "probability of a reset per program operation"),
    KNOB(brownout_at_program, "brownout-at-program", 0, COUNT,
         "reset in the n-th program operation"),
    KNOB(brownout_ms, "brownout-ms", 0, MS, "time without power then"),
    KNOB(hang_at_frame, "hang-at-frame", 0, COUNT, "deaf from the n-th frame until a reset"),
    KNOB(start_ms, "start-ms", 0, MS, "from reset until the chip listens"),
    KNOB(boot_window_ms, "boot-window-ms", 0, MS, "silence after which the application boots"),
    KNOB(boot_limit_ms, "boot-limit-ms", 0, MS, "the same without a LinkCheck"),
    KNOB(idle_reset_ms, "idle-reset-ms", 0, MS,
         "linked and silent so long: watchdog reset; 0: never"),
    KNOB(idle_fallback_ms, "idle-fallback-ms", 0, MS,
         "linked and silent so long: back to 115200; 0: never"),
    KNOB(rx_ring, "rx-ring", 16, 65536, "receive buffer in bytes, from the next reset on"),
    KNOB(stream, "stream", 0, SWITCH, "1: Write4K is programmed while it comes in"),
    KNOB(min_baud, "min-baud", 0, COUNT, "SetBaudRate below it is not answered"),
    KNOB(answer_unknown, "answer-unknown", 0, SWITCH, "1: the ROM answers EE to unknown commands"),
    KNOB(foreign_key, "foreign-key", 0, SWITCH, "1: the eFuse key is not Tuya's"),
    KNOB(reboot_line, "reboot-line", 0, SWITCH, "1: the application obeys the line reboot"),
    KNOB(reboot_on_link, "reboot-on-link", 0, SWITCH, "1: the application resets on a LinkCheck"),
#undef KNOB
};

#define KNOBS (sizeof knobs / sizeof knobs[0])

void module_faults_default(enum module_chip chip, struct module_faults *faults)
{
    bool tuya = chip == MODULE_BK7231T;
    /* Times: a 2 MiB chip's typical ones. The T's windows: instruction counts of its bootloader at
     * 120 MHz and 1 to 3 cycles per instruction. The N's are anybody's guess. */
    *faults = (struct module_faults){
        .over_baud_loss = 0.01,
        .latency_us = 1000,
        .packet_bytes = 62,
        .late_ms = 60,
        .vanish_s = 3,
        .flash_id = tuya ? 0x15400B : 0x1560EB,
        .program_us = 150,
        .erase_4k_ms = 45,
        .erase_64k_ms = 180,
        .status_ms = 5,
        .crc_bytes_per_s = 400000,
        .brownout_ms = 40,
        .start_ms = tuya ? 12 : 5,
        .boot_window_ms = tuya ? 6 : 20,
        .boot_limit_ms = 800,
        .idle_reset_ms = tuya ? 150 : 0,
        .rx_ring = 512,
        .stream = 1,
        .min_baud = tuya ? 0 : 115200,
    };
}

static int hexadecimal_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_value(const char *text, double *value)
{
    size_t length = strlen(text);
    if (length < 3 || length > 10 || text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
        return number_parse_double(text, length, 0, 1e18, value);
    uint32_t number = 0;
    for (size_t i = 2; i < length; i++) {
        int digit = hexadecimal_digit(text[i]);
        if (digit < 0)
            return false;
        number = number << 4 | (uint32_t)digit;
    }
    *value = number;
    return true;
}

enum status module_fault_set(struct module_faults *faults, const char *name, const char *value,
                             struct error *error)
{
    for (size_t i = 0; i < KNOBS; i++) {
        const struct knob *knob = &knobs[i];
        if (strcmp(name, knob->name) != 0)
            continue;
        double number;
        if (!parse_value(value, &number) || number < knob->low || number > knob->high)
            return error_set(error, STATUS_USAGE,
                             "The fault %s (%s) takes a number from %g to %g, not \"%s\".", name,
                             knob->help, knob->low, knob->high, value);
        memcpy((char *)faults + knob->offset, &number, sizeof number);
        return STATUS_OK;
    }
    return error_set(error, STATUS_USAGE,
                     "There is no fault named \"%s\"; `bl2mqtt simulate module --help` lists them.",
                     name);
}

bool module_fault_describe(size_t n, const struct module_faults *faults, const char **name,
                           double *value, const char **help)
{
    if (n >= KNOBS)
        return false;
    *name = knobs[n].name;
    memcpy(value, (const char *)faults + knobs[n].offset, sizeof *value);
    *help = knobs[n].help;
    return true;
}
