/* SPDX-License-Identifier: MIT */
/* Shared by module.c (creation, time, adapter), module_cpu.c (power, CPU, UART), module_frame.c (parser) and
 * module_commands.c. */
#ifndef DRIVERS_SIMULATOR_MODULE_INTERNAL_H
#define DRIVERS_SIMULATOR_MODULE_INTERNAL_H

#include "drivers/simulator/module.h"
#include "drivers/simulator/uart_line.h"

#define START_BAUD 115200U
#define MODULE_MS_NS 1000000LL
#define MODULE_FRAME_MAX (1 + 4 + 4096) /* the longest payload: Write4K */
#define MODULE_SHORT_MAX 16             /* the T's buffer for short commands */

/* What the CPU is doing until busy_until_ns; MODULE_JOB_NONE: it waits for bytes. */
enum module_job {
    MODULE_JOB_NONE,
    MODULE_JOB_SEND,    /* pushes a reply into the UART */
    MODULE_JOB_COMMAND, /* a command's own time runs (erase, CRC, baud change) */
    MODULE_JOB_PROGRAM, /* 32 bytes go into the flash */
};

enum module_parse {
    MODULE_PARSE_01,
    MODULE_PARSE_E0,
    MODULE_PARSE_FC,
    MODULE_PARSE_LENGTH,
    MODULE_PARSE_F4,
    MODULE_PARSE_LENGTH_LOW,
    MODULE_PARSE_LENGTH_HIGH,
    MODULE_PARSE_PAYLOAD,
};

struct module_frame {
    enum module_parse state;
    bool is_long;
    uint32_t wanted; /* payload bytes, with the command */
    uint32_t got;
    uint8_t payload[MODULE_FRAME_MAX]; /* what is beyond is dropped */
};

struct module_program {
    uint32_t address;
    const uint8_t *bytes; /* in the frame */
    uint32_t done, length;
};

struct module_bytes { /* a growing queue */
    uint8_t *data;
    size_t head, count, capacity;
};

struct module {
    enum module_chip chip;
    struct module_faults faults;
    struct module_counters counters;
    struct chance chance;
    struct nor *nor;
    char boot_version[16];
    double window_scale;
    uint32_t bootloader_crc; /* a T is dead when it changes */

    int64_t now_ns;
    enum module_state state;
    int64_t state_since_ns;
    int64_t power_back_ns; /* OFF */
    int64_t last_byte_ns;  /* LISTENING, LINKED: restarts the idle count */
    int64_t next_chatter_ns;
    bool hung;
    bool fell_back;

    uint32_t baud, real_baud; /* as asked for, and what the divisor makes of it */
    uint8_t *ring;
    uint32_t ring_size, ring_head, ring_tail;

    enum module_job job;
    int64_t busy_until_ns;
    struct module_frame frame;
    bool frame_pending;  /* complete, but its last page is still being programmed */
    bool finish_command; /* the program job belongs to the whole frame, not to a streamed page */
    struct module_program program;
    bool armed;
    uint32_t efuse_control, efuse_data;

    uint64_t programs_since, frames_since; /* since the faults were set */

    struct uart_line *to_chip, *to_host;
    uint32_t host_baud;
    struct module_bytes packet; /* in the adapter, not yet with the host */
    int64_t packet_first_ns;
    int64_t packet_hold_ns;        /* not before: late or split */
    size_t split_after;            /* bytes until a pause; 0: none */
    struct module_bytes delivered; /* with the host, not yet taken by the caller */
    bool vanish_due;

    char console[16]; /* the application's line so far */
    size_t console_length;
    unsigned console_link; /* bytes of a LinkCheck matched */
};

/* module_frame.c: one byte from the ring. */
void module_parse_byte(struct module *module, uint8_t byte);

/* module_commands.c */
/* True if the payload so far starts a Write4K that is programmed page by page. */
bool module_command_streams(const struct module *module);
/* A page of a streamed Write4K is complete. */
void module_command_page(struct module *module);
/* A whole frame is there. */
void module_command_begin(struct module *module);
/* The command's own time is over. */
void module_command_finish(struct module *module);

/* module_cpu.c */
int64_t module_ns(double ms);
void module_count_frame(struct module *module);
void module_job_start(struct module *module, enum module_job job, int64_t duration_ns);
void module_end_job(struct module *module);
void module_program_start(struct module *module, uint32_t address, const uint8_t *bytes,
                          uint32_t length, bool finish_command);
void module_reply(struct module *module, const uint8_t *bytes, size_t length);
void module_set_baud(struct module *module, uint32_t baud);
void module_power_off(struct module *module, int64_t off_ns);
void module_restart(struct module *module); /* watchdog: everything but power */
/* RAM and UART as after a reset; the flash finishes nothing. */
void module_reset_cpu(struct module *module);
/* When the state ends by itself, and what comes then. */
int64_t module_state_deadline(const struct module *module);
void module_end_state(struct module *module);
/* Bytes that have crossed the line by now. */
void module_take_to_chip(struct module *module);
/* Another controller on the line sends a frame. */
void module_chatter(struct module *module);
bool module_is_bootrom(const struct module *module);
uint32_t module_crc32(const struct nor *nor, uint32_t address, uint32_t length); /* no final xor */

#endif
