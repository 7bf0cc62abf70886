/* SPDX-License-Identifier: MIT */
/**
 * A BK7231 module at the other end of a USB adapter, as a flasher meets it: a BK7231N or M in its
 * mask BootROM, or a BK7231T in Tuya's bootloader BK7231S_1.0.5 (which is in the flash and can be
 * lost). CPU, UART, receive ring, watchdog, NOR flash, adapter, and faults on demand. Pure: time is
 * a parameter in microseconds of whatever clock the caller likes, and only moves forward.
 *
 * What is known of the T comes from its bootloader's code: a receive ring of 512 bytes without an
 * overflow check, a frame parser without a time-out, Write4K streamed in pages of 256 bytes that
 * are programmed as 8 operations of 32 bytes, commands it does not know left unanswered, its flash
 * protection machine, and which addresses it refuses and which it ought to. The N's ROM was never
 * read out: what nobody knows of it (receive buffer, streaming, idle behaviour) is as on the T by
 * default and can be set by a fault knob. Sources: the public flashers BK7231GUIFlashTool,
 * bk7231tools and hid_download_py, and OpenBeken's SDKs.
 */
#ifndef DRIVERS_SIMULATOR_MODULE_H
#define DRIVERS_SIMULATOR_MODULE_H

#include "drivers/base/status.h"
#include "drivers/simulator/nor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** M is an N whose eFuse key is zero. */
enum module_chip { MODULE_BK7231N, MODULE_BK7231T, MODULE_BK7231M };

const char *module_chip_name(enum module_chip chip);
bool module_chip_parse(const char *name, enum module_chip *chip);

struct module_options {
    enum module_chip chip;
    uint32_t flash_size;      /**< a multiple of 64 KiB; 0: 2 MiB */
    const uint8_t *contents;  /**< flash_size bytes, copied; NULL: erased */
    const char *boot_version; /**< what a T answers to ReadBootVersion; NULL: BK7231S_1.0.5 */
    uint32_t status;          /**< SR1 | SR2 << 8 at power-on, usually 0x7C: all protected */
    uint64_t seed;
    /** The times in which the chip waits for a host (boot, idle, change of rate) are this much
     *  longer: a caller whose clock runs N times as fast as the host's sets N. 0: 1. */
    double window_scale;
};

/**
 * The knobs, all numbers so that they can be set by name; module_faults_default gives a healthy
 * module on a healthy adapter. Probabilities are 0..1; a limit or an n-th of 0 is off.
 */
struct module_faults {
    /* the line */
    double loss_to_chip, loss_to_host;             /**< probability per byte */
    double bit_errors_to_chip, bit_errors_to_host; /**< probability per byte */
    double max_clean_baud, over_baud_loss;         /**< above this rate so much more is lost */
    double chatter_ms; /**< another controller on the line sends 55 AA 00 00 00 00 FF this often */
    /* the adapter */
    double latency_us; /**< it holds bytes so long unless packet_bytes have come */
    double packet_bytes;
    double late, late_ms;     /**< probability per packet that it comes so much later */
    double split, duplicate;  /**< probability per reply: cut by a pause, or sent twice */
    double vanish_at_program; /**< unplugged at the n-th program operation from now on */
    double vanish_at_frame;   /**< ... or at the n-th frame */
    double vanish_s;          /**< and back after this */
    double vanish_resets;     /**< 1: the module is fed by the adapter */
    /* the flash */
    double flash_id;   /**< mfr | type << 8 | capacity << 16; 0 is a deaf one */
    double program_us; /**< for up to 32 bytes */
    double erase_4k_ms, erase_64k_ms, status_ms;
    double crc_bytes_per_s;
    double bad_sector, bad_erases, bad_programs; /**< an address; failures before it works */
    double stuck_protection;                     /**< 1: the status register is locked */
    double unreadable; /**< 1: reads and id are 00, as with a loaded flash pin */
    /* the chip */
    double brownout;            /**< probability of a reset per program operation */
    double brownout_at_program; /**< reset in the n-th program operation from now on */
    double brownout_ms;         /**< time without power then */
    double hang_at_frame;       /**< deaf from the n-th frame on until the next reset */
    double start_ms;            /**< from reset until the UART listens */
    double boot_window_ms;      /**< silence after which the application boots */
    double boot_limit_ms;       /**< the same although bytes come, but no LinkCheck */
    double idle_reset_ms;       /**< linked, no byte for so long: watchdog reset */
    double idle_fallback_ms;    /**< linked, no byte for so long: back to 115200, still linked */
    double rx_ring;             /**< bytes */
    double stream;              /**< 1: Write4K is programmed while it comes in; 0: afterwards */
    double min_baud;            /**< SetBaudRate below it is left unanswered */
    double answer_unknown;      /**< 1: 04 0E 04 01 E0 FC EE for an unknown command (BootROM) */
    double foreign_key;         /**< 1: the eFuse holds another key than Tuya's */
    double reboot_line;         /**< 1: the application resets on the line "reboot" at 115200 */
    double reboot_on_link;      /**< 1: the application resets on a LinkCheck at 115200 */
};

void module_faults_default(enum module_chip chip, struct module_faults *faults);
/** Sets one knob by its name with dashes ("loss-to-chip"); the value is decimal or 0x hexadecimal.
 *  STATUS_USAGE if there is no such knob or the value is out of its range. */
enum status module_fault_set(struct module_faults *faults, const char *name, const char *value,
                             struct error *error);
/** The name of the n-th knob, its value and what it does; false after the last. */
bool module_fault_describe(size_t n, const struct module_faults *faults, const char **name,
                           double *value, const char **help);

enum module_state {
    MODULE_OFF,
    MODULE_STARTING,  /**< the ROM or bootloader runs, deaf */
    MODULE_LISTENING, /**< waits for a LinkCheck */
    MODULE_LINKED,
    MODULE_APPLICATION, /**< the application runs, or what is in its place */
    MODULE_DEAD,        /**< a T without its bootloader */
};
const char *module_state_name(enum module_state state);

struct module;

/** Powered off; see module_power_cycle. faults NULL: the defaults. Free with module_free. */
struct module *module_create(const struct module_options *options,
                             const struct module_faults *faults, int64_t now_us);
void module_free(struct module *module);

enum module_chip module_chip_of(const struct module *module);
/** What is left of them: an n-th that has struck is 0, as are failures that have been had. */
void module_get_faults(const struct module *module, struct module_faults *faults);
/** The n-th's count from this call. */
void module_set_faults(struct module *module, int64_t now_us, const struct module_faults *faults);

/** Power away now and back after off_us. */
void module_power_cycle(struct module *module, int64_t now_us, int64_t off_us);

/** The rate of the host's UART, for both directions, from now on. At first 115200. */
void module_set_host_baud(struct module *module, int64_t now_us, uint32_t baud);
uint32_t module_host_baud(const struct module *module);
/** Bytes from the host; they go out at its baud rate one behind the other. */
void module_receive(struct module *module, int64_t now_us, const uint8_t *bytes, size_t length);
/** How many of them have not left the adapter. */
size_t module_backlog(const struct module *module);
/** Bytes that have reached the host by now; returns how many were put into bytes. */
size_t module_transmit(struct module *module, int64_t now_us, uint8_t *bytes, size_t size);
/** The adapter lost its host: what it holds in either direction is gone. */
void module_unplug(struct module *module, int64_t now_us);
/** When something will happen by itself next; INT64_MAX if nothing. */
int64_t module_next_us(const struct module *module);

/** True once for each time that a vanish knob struck; *outage_us says for how long. */
bool module_take_vanish(struct module *module, int64_t *outage_us);

uint32_t module_baud(const struct module *module);
enum module_state module_state(const struct module *module);
/** The flash, for tests and dumps; borrowed. */
struct nor *module_flash(struct module *module);

/** What really happened, since creation. */
struct module_counters {
    uint64_t power_cycles, brownouts, watchdog_resets, reboots; /**< causes of resets */
    uint64_t application_boots;
    uint64_t links;  /**< LinkChecks answered */
    uint64_t frames; /**< whole frames parsed, known or not */
    uint64_t unknown_frames;
    uint64_t refused; /**< answered with status 6 */
    uint64_t crcs, crc_bytes;
    uint64_t overruns;                     /**< times that the ring was lapped */
    uint64_t host_overruns;                /**< bytes lost because the host did not take them */
    uint64_t bytes_to_chip, bytes_to_host; /**< that arrived */
    uint64_t baud_changes;
    uint64_t vanished;
};
void module_counters(const struct module *module, struct module_counters *counters);
/** True if the application in the flash would run on this chip: whole CRC16 framing at its start,
 *  made for this chip family, encrypted as the eFuse key wants it. */
bool module_application_runs(const struct module *module);

#endif
