/* SPDX-License-Identifier: MIT */
/* Power, CPU time and UART of the simulated module: what it does with the bytes that reach it. */
#include "drivers/simulator/module_internal.h"

#include "drivers/base/memory.h"

#include <string.h>

#define UART_CLOCK_HZ 26000000U
#define PROGRAM_SLICE 32U
#define CHATTER_BAUD 9600U

static const uint8_t chatter_frame[] = {0x55, 0xAA, 0x00, 0x00, 0x00, 0x00, 0xFF};

bool module_is_bootrom(const struct module *module)
{
    return module->chip != MODULE_BK7231T;
}

/* CRC-32 with the reflected polynomial 0xEDB88320, four bits at a time, start value FFFFFFFF. */
uint32_t module_crc32(const struct nor *nor, uint32_t address, uint32_t length)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
        0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    uint32_t crc = 0xFFFFFFFF;
    uint8_t chunk[NOR_SECTOR];
    while (length > 0) {
        uint32_t part = length < sizeof chunk ? length : (uint32_t)sizeof chunk;
        nor_peek(nor, address, chunk, part);
        for (uint32_t i = 0; i < part; i++) {
            crc ^= chunk[i];
            crc = crc >> 4 ^ table[crc & 15];
            crc = crc >> 4 ^ table[crc & 15];
        }
        address += part;
        length -= part;
    }
    return crc;
}

/* State ---------------------------------------------------------------------------------------- */

int64_t module_ns(double ms)
{
    return (int64_t)(ms * (double)MODULE_MS_NS);
}

static void enter(struct module *module, enum module_state state)
{
    module->state = state;
    module->state_since_ns = module->now_ns;
    module->last_byte_ns = module->now_ns;
}

/* T: div = (25 999 999 + baud / 2) / baud - 1, at least 4, at most 0x1FFF; the N's UART has the
 * same clock. */
static uint32_t real_baud(uint32_t baud)
{
    uint64_t divisor = (UART_CLOCK_HZ - 1 + (uint64_t)baud / 2) / baud;
    divisor = divisor > 0 ? divisor - 1 : 0;
    if (divisor < 4)
        divisor = 4;
    if (divisor > 0x1FFF)
        divisor = 0x1FFF;
    return (uint32_t)(UART_CLOCK_HZ / (divisor + 1));
}

void module_set_baud(struct module *module, uint32_t baud)
{
    module->baud = baud;
    module->real_baud = real_baud(baud);
    uart_line_set_baud(module->to_host, module->real_baud);
}

/* From reset: RAM and UART as new, the flash finishes nothing. */
void module_reset_cpu(struct module *module)
{
    uart_line_abort(module->to_host);
    module_set_baud(module, START_BAUD);
    free(module->ring);
    module->ring_size = (uint32_t)module->faults.rx_ring;
    module->ring = memory_new(module->ring_size, 1);
    module->ring_head = module->ring_tail = 0;
    module->job = MODULE_JOB_NONE;
    module->frame.state = MODULE_PARSE_01;
    module->frame_pending = false;
    module->armed = false;
    module->hung = false;
    module->fell_back = false;
    module->split_after = 0;
    module->console_length = 0;
    module->console_link = 0;
}

void module_power_off(struct module *module, int64_t off_ns)
{
    module_reset_cpu(module);
    enter(module, MODULE_OFF);
    module->power_back_ns = module->now_ns + off_ns;
}

void module_restart(struct module *module)
{
    module_reset_cpu(module);
    enter(module, MODULE_STARTING);
}

static void listen_or_die(struct module *module)
{
    bool alive = module_is_bootrom(module) ||
                 module_crc32(module->nor, 0, NOR_BOOTLOADER_END) == module->bootloader_crc;
    enter(module, alive ? MODULE_LISTENING : MODULE_DEAD);
}

static void boot_application(struct module *module)
{
    module_reset_cpu(module);
    module->counters.application_boots++;
    enter(module, MODULE_APPLICATION);
}

static int64_t window_ns(const struct module *module, double ms)
{
    return ms > 0 ? module_ns(ms * module->window_scale) : INT64_MAX / 2;
}

/* When the state ends by itself. */
int64_t module_state_deadline(const struct module *module)
{
    const struct module_faults *faults = &module->faults;
    bool idle = module->job == MODULE_JOB_NONE && !module->hung;
    int64_t by_silence;
    int64_t by_limit;
    switch (module->state) {
    case MODULE_OFF:
        return module->power_back_ns;
    case MODULE_STARTING:
        return module->state_since_ns + module_ns(faults->start_ms);
    case MODULE_LISTENING:
        by_silence = module->last_byte_ns + window_ns(module, faults->boot_window_ms);
        by_limit = module->state_since_ns + window_ns(module, faults->boot_limit_ms);
        return !idle ? INT64_MAX : by_silence < by_limit ? by_silence : by_limit;
    case MODULE_LINKED:
        by_silence = module->last_byte_ns + window_ns(module, faults->idle_reset_ms);
        by_limit = module->baud == START_BAUD || module->fell_back
                       ? INT64_MAX
                       : module->last_byte_ns + window_ns(module, faults->idle_fallback_ms);
        return !idle ? INT64_MAX : by_silence < by_limit ? by_silence : by_limit;
    case MODULE_APPLICATION:
    case MODULE_DEAD:
        break;
    }
    return INT64_MAX;
}

void module_end_state(struct module *module)
{
    switch (module->state) {
    case MODULE_OFF:
        module->power_back_ns = INT64_MAX;
        enter(module, MODULE_STARTING);
        break;
    case MODULE_STARTING:
        listen_or_die(module);
        break;
    case MODULE_LISTENING:
        boot_application(module);
        break;
    case MODULE_LINKED:
        if (module->now_ns >=
            module->last_byte_ns + window_ns(module, module->faults.idle_reset_ms)) {
            module->counters.watchdog_resets++;
            module_restart(module);
        } else {
            module->fell_back = true;
            module_set_baud(module, START_BAUD);
        }
        break;
    case MODULE_APPLICATION:
    case MODULE_DEAD:
        break;
    }
}

/* CPU ------------------------------------------------------------------------------------------ */

void module_job_start(struct module *module, enum module_job job, int64_t duration_ns)
{
    module->job = job;
    module->busy_until_ns = module->now_ns + duration_ns;
}

void module_program_start(struct module *module, uint32_t address, const uint8_t *bytes,
                          uint32_t length, bool finish_command)
{
    module->program = (struct module_program){.address = address, .bytes = bytes, .length = length};
    module->finish_command = finish_command;
    int64_t wait_ns = nor_ready_ns(module->nor) - module->now_ns;
    module_job_start(module, MODULE_JOB_PROGRAM,
                     (wait_ns > 0 ? wait_ns : 0) + module_ns(module->faults.program_us / 1000));
}

void module_reply(struct module *module, const uint8_t *bytes, size_t length)
{
    if (chance_strikes(&module->chance, module->faults.split) && length > 1)
        module->split_after = 1 + chance_below(&module->chance, (uint32_t)length - 1);
    uart_line_send(module->to_host, module->now_ns, bytes, length);
    if (chance_strikes(&module->chance, module->faults.duplicate))
        uart_line_send(module->to_host, module->now_ns, bytes, length);
    module_job_start(module, MODULE_JOB_SEND,
                     uart_line_idle_ns(module->to_host, module->now_ns) - module->now_ns);
}

static void run_cpu(struct module *module)
{
    while (module->job == MODULE_JOB_NONE && module->ring_tail != module->ring_head &&
           !module->hung) {
        uint8_t byte = module->ring[module->ring_tail];
        module->ring_tail = (module->ring_tail + 1) % module->ring_size;
        module_parse_byte(module, byte);
    }
}

static void vanish(struct module *module)
{
    module->vanish_due = true;
    module->counters.vanished++;
    if (module->faults.vanish_resets > 0)
        module_power_off(module, module_ns(module->faults.vanish_s * 1000));
}

/* An n-th strikes once. */
static bool reached(double *limit, uint64_t count)
{
    if (*limit <= 0 || count != (uint64_t)*limit)
        return false;
    *limit = 0;
    return true;
}

void module_count_frame(struct module *module)
{
    module->counters.frames++;
    module->frames_since++;
    if (reached(&module->faults.hang_at_frame, module->frames_since))
        module->hung = true;
    if (reached(&module->faults.vanish_at_frame, module->frames_since))
        vanish(module);
}

/* 32 bytes are in the flash now. True if the chip survived it. */
static bool program_slice(struct module *module)
{
    struct module_program *program = &module->program;
    uint32_t length = program->length - program->done;
    if (length > PROGRAM_SLICE)
        length = PROGRAM_SLICE;
    module->programs_since++;
    bool brownout = reached(&module->faults.brownout_at_program, module->programs_since) ||
                    chance_strikes(&module->chance, module->faults.brownout);
    nor_program(module->nor, (program->address + program->done) & 0xFFFFFFU,
                program->bytes + program->done, length, brownout ? length / 2 : length);
    program->done += length;
    if (brownout) {
        module->counters.brownouts++;
        module_power_off(module, module_ns(module->faults.brownout_ms));
        return false;
    }
    if (reached(&module->faults.vanish_at_program, module->programs_since))
        vanish(module);
    return module->state != MODULE_OFF;
}

void module_end_job(struct module *module)
{
    enum module_job job = module->job;
    module->job = MODULE_JOB_NONE;
    module->last_byte_ns = module->now_ns; /* the idle count begins when the CPU polls again */
    if (job == MODULE_JOB_COMMAND) {
        module_command_finish(module);
    } else if (job == MODULE_JOB_PROGRAM) {
        if (!program_slice(module))
            return;
        if (module->program.done < module->program.length)
            module_job_start(module, MODULE_JOB_PROGRAM,
                             module_ns(module->faults.program_us / 1000));
        else if (module->finish_command)
            module_command_finish(module);
        else if (module->frame_pending)
            module_command_begin(module);
    }
    run_cpu(module);
}

/* Bytes at the chip ---------------------------------------------------------------------------- */

static void ring_push(struct module *module, uint8_t byte)
{
    module->ring[module->ring_head] = byte;
    module->ring_head = (module->ring_head + 1) % module->ring_size;
    if (module->ring_head == module->ring_tail)
        module->counters.overruns++; /* a full ring looks like an empty one: all of it is lost */
}

static void application_receives(struct module *module, uint8_t byte)
{
    static const uint8_t link_check[] = {0x01, 0xE0, 0xFC, 0x01, 0x00};
    module->console_link = byte == link_check[module->console_link] ? module->console_link + 1 : 0;
    bool restart = false;
    if (module->console_link == sizeof link_check) {
        module->console_link = 0;
        restart = module->faults.reboot_on_link > 0;
    }
    if (byte == '\n' || byte == '\r') {
        restart = restart || (module->faults.reboot_line > 0 && module->console_length == 6 &&
                              memcmp(module->console, "reboot", 6) == 0);
        module->console_length = 0;
    } else if (module->console_length < sizeof module->console) {
        module->console[module->console_length++] = (char)byte;
    }
    if (!restart)
        return;
    module->counters.reboots++;
    module_restart(module);
}

static void chip_receives(struct module *module, uint8_t byte)
{
    module->counters.bytes_to_chip++;
    if (module->state == MODULE_APPLICATION) {
        application_receives(module, byte);
        return;
    }
    if (module->state != MODULE_LISTENING && module->state != MODULE_LINKED)
        return;
    module->last_byte_ns = module->now_ns;
    module->fell_back = false;
    ring_push(module, byte);
    run_cpu(module);
}

void module_take_to_chip(struct module *module)
{
    uint8_t bytes[UART_LINE_BURST];
    size_t count = uart_line_take(module->to_chip, module->now_ns, module->real_baud, bytes);
    for (size_t i = 0; i < count; i++)
        chip_receives(module, bytes[i]);
}

/* Another controller talks to the application at 9600; the boot ROM hears noise. The application
 * talks back to it, and that is what the host sees. */
void module_chatter(struct module *module)
{
    module->next_chatter_ns = module->now_ns + module_ns(module->faults.chatter_ms);
    if (module->state == MODULE_APPLICATION) {
        uart_line_set_baud(module->to_host, CHATTER_BAUD);
        uart_line_send(module->to_host, module->now_ns, chatter_frame, sizeof chatter_frame);
        return;
    }
    for (size_t i = 0; i < sizeof chatter_frame; i++)
        chip_receives(module, (uint8_t)chance_next(&module->chance));
}
