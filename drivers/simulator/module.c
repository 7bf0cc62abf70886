/* SPDX-License-Identifier: MIT */
/* Time, power, UART, CPU time and adapter of the simulated module. */
#include "drivers/simulator/module_contents.h"
#include "drivers/simulator/module_internal.h"

#include "drivers/base/memory.h"

#include <string.h>

#define START_BAUD 115200U
#define UART_CLOCK_HZ 26000000U
#define DEFAULT_FLASH_SIZE 0x200000U
#define SPLIT_PAUSE_NS (20 * MODULE_MS_NS)
#define PROGRAM_SLICE 32U
#define CHATTER_BAUD 9600U
#define US_NS 1000LL
#define HOST_BUFFER 65536U /* for a host that does not read; what is beyond is lost */

static const uint8_t chatter_frame[] = {0x55, 0xAA, 0x00, 0x00, 0x00, 0x00, 0xFF};

static const char *const chip_names[] = {
    [MODULE_BK7231N] = "BK7231N",
    [MODULE_BK7231T] = "BK7231T",
    [MODULE_BK7231M] = "BK7231M",
};

const char *module_chip_name(enum module_chip chip)
{
    return chip_names[chip];
}

bool module_chip_parse(const char *name, enum module_chip *chip)
{
    for (size_t i = 0; i < sizeof chip_names / sizeof chip_names[0]; i++) {
        if (strcmp(name, chip_names[i]) != 0)
            continue;
        *chip = (enum module_chip)i;
        return true;
    }
    return false;
}

const char *module_state_name(enum module_state state)
{
    static const char *const names[] = {
        [MODULE_OFF] = "off",
        [MODULE_STARTING] = "starting",
        [MODULE_LISTENING] = "listening",
        [MODULE_LINKED] = "linked",
        [MODULE_APPLICATION] = "application",
        [MODULE_DEAD] = "dead",
    };
    return names[state];
}

bool module_is_bootrom(const struct module *module)
{
    return module->chip != MODULE_BK7231T;
}

/* Bytes in queues ------------------------------------------------------------------------------ */

static void bytes_push(struct module_bytes *queue, uint8_t byte)
{
    if (queue->head + queue->count == queue->capacity) {
        size_t capacity = queue->count < 512 ? 1024 : queue->count * 2;
        uint8_t *data = memory_new(capacity, 1);
        if (queue->count > 0)
            memcpy(data, queue->data + queue->head, queue->count);
        free(queue->data);
        *queue = (struct module_bytes){.data = data, .count = queue->count, .capacity = capacity};
    }
    queue->data[queue->head + queue->count++] = byte;
}

static size_t bytes_take(struct module_bytes *queue, uint8_t *bytes, size_t size)
{
    size_t count = queue->count < size ? queue->count : size;
    if (count > 0)
        memcpy(bytes, queue->data + queue->head, count);
    queue->head += count;
    queue->count -= count;
    if (queue->count == 0)
        queue->head = 0;
    return count;
}

static void bytes_clear(struct module_bytes *queue)
{
    queue->head = queue->count = 0;
}

/* Creation ------------------------------------------------------------------------------------- */

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

struct module *module_create(const struct module_options *options,
                             const struct module_faults *faults, int64_t now_us)
{
    struct module *module = memory_new(1, sizeof *module);
    module->chip = options->chip;
    module->chance.state = options->seed;
    module->now_ns = now_us * US_NS;
    module->state_since_ns = module->now_ns;
    module->power_back_ns = INT64_MAX;
    module->window_scale = options->window_scale > 0 ? options->window_scale : 1;
    module->host_baud = START_BAUD;
    module->to_chip = uart_line_create(START_BAUD, &module->chance);
    module->to_host = uart_line_create(START_BAUD, &module->chance);
    const char *version = options->boot_version != NULL ? options->boot_version : "BK7231S_1.0.5";
    size_t version_length = strnlen(version, sizeof module->boot_version);
    memcpy(module->boot_version, version, version_length);

    uint32_t size = options->flash_size > 0 ? options->flash_size : DEFAULT_FLASH_SIZE;
    module->nor = nor_create(size, 0, options->status, &module->chance);
    if (options->contents != NULL)
        memcpy(nor_cells(module->nor), options->contents, size);
    module->bootloader_crc = module_crc32(module->nor, 0, NOR_BOOTLOADER_END);

    struct module_faults defaults;
    module_faults_default(options->chip, &defaults);
    module_set_faults(module, now_us, faults != NULL ? faults : &defaults);
    return module;
}

void module_free(struct module *module)
{
    if (module == NULL)
        return;
    uart_line_free(module->to_chip);
    uart_line_free(module->to_host);
    nor_free(module->nor);
    free(module->ring);
    free(module->packet.data);
    free(module->delivered.data);
    free(module);
}

/* State ---------------------------------------------------------------------------------------- */

static int64_t from_ms(double ms)
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
static void reset_cpu(struct module *module)
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

static void power_off(struct module *module, int64_t off_ns)
{
    reset_cpu(module);
    enter(module, MODULE_OFF);
    module->power_back_ns = module->now_ns + off_ns;
}

void module_restart(struct module *module)
{
    reset_cpu(module);
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
    reset_cpu(module);
    module->counters.application_boots++;
    enter(module, MODULE_APPLICATION);
}

static int64_t window_ns(const struct module *module, double ms)
{
    return ms > 0 ? from_ms(ms * module->window_scale) : INT64_MAX / 2;
}

/* When the state ends by itself. */
static int64_t state_deadline(const struct module *module)
{
    const struct module_faults *faults = &module->faults;
    bool idle = module->job == MODULE_JOB_NONE && !module->hung;
    int64_t by_silence;
    int64_t by_limit;
    switch (module->state) {
    case MODULE_OFF:
        return module->power_back_ns;
    case MODULE_STARTING:
        return module->state_since_ns + from_ms(faults->start_ms);
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

static void end_state(struct module *module)
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
                     (wait_ns > 0 ? wait_ns : 0) + from_ms(module->faults.program_us / 1000));
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
        power_off(module, from_ms(module->faults.vanish_s * 1000));
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
        power_off(module, from_ms(module->faults.brownout_ms));
        return false;
    }
    if (reached(&module->faults.vanish_at_program, module->programs_since))
        vanish(module);
    return module->state != MODULE_OFF;
}

static void end_job(struct module *module)
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
            module_job_start(module, MODULE_JOB_PROGRAM, from_ms(module->faults.program_us / 1000));
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

static void take_to_chip(struct module *module)
{
    uint8_t bytes[UART_LINE_BURST];
    size_t count = uart_line_take(module->to_chip, module->now_ns, module->real_baud, bytes);
    for (size_t i = 0; i < count; i++)
        chip_receives(module, bytes[i]);
}

/* Another controller talks to the application at 9600; the boot ROM hears noise. The application
 * talks back to it, and that is what the host sees. */
static void chatter(struct module *module)
{
    module->next_chatter_ns = module->now_ns + from_ms(module->faults.chatter_ms);
    if (module->state == MODULE_APPLICATION) {
        uart_line_set_baud(module->to_host, CHATTER_BAUD);
        uart_line_send(module->to_host, module->now_ns, chatter_frame, sizeof chatter_frame);
        return;
    }
    for (size_t i = 0; i < sizeof chatter_frame; i++)
        chip_receives(module, (uint8_t)chance_next(&module->chance));
}

/* The adapter's way to the host ---------------------------------------------------------------- */

static void deliver_packet(struct module *module)
{
    uint8_t bytes[256];
    size_t count;
    while ((count = bytes_take(&module->packet, bytes, sizeof bytes)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (module->delivered.count >= HOST_BUFFER) {
                module->counters.host_overruns++;
                continue;
            }
            module->counters.bytes_to_host++;
            bytes_push(&module->delivered, bytes[i]);
        }
    }
}

static int64_t packet_due_ns(const struct module *module)
{
    if (module->packet.count == 0)
        return INT64_MAX;
    int64_t due = module->packet_first_ns;
    if ((double)module->packet.count < module->faults.packet_bytes)
        due += from_ms(module->faults.latency_us / 1000);
    if (due < module->packet_hold_ns)
        due = module->packet_hold_ns;
    return due > module->now_ns ? due : module->now_ns;
}

static void take_to_host(struct module *module)
{
    uint8_t bytes[UART_LINE_BURST];
    size_t count = uart_line_take(module->to_host, module->now_ns, module->host_baud, bytes);
    for (size_t i = 0; i < count; i++) {
        if (module->packet.count == 0) {
            module->packet_first_ns = module->now_ns;
            int64_t late_ns = module->now_ns + from_ms(module->faults.late_ms);
            if (chance_strikes(&module->chance, module->faults.late) &&
                module->packet_hold_ns < late_ns)
                module->packet_hold_ns = late_ns;
        }
        bytes_push(&module->packet, bytes[i]);
        if (module->split_after > 0 && --module->split_after == 0) {
            deliver_packet(module);
            module->packet_hold_ns = module->now_ns + SPLIT_PAUSE_NS;
        }
    }
}

/* Time ----------------------------------------------------------------------------------------- */

enum event { EVENT_TO_CHIP, EVENT_TO_HOST, EVENT_PACKET, EVENT_JOB, EVENT_STATE, EVENT_CHATTER };

static int64_t next_event(const struct module *module, enum event *event)
{
    const int64_t times[] = {
        [EVENT_TO_CHIP] = uart_line_next_ns(module->to_chip),
        [EVENT_TO_HOST] = uart_line_next_ns(module->to_host),
        [EVENT_PACKET] = packet_due_ns(module),
        [EVENT_JOB] = module->job == MODULE_JOB_NONE ? INT64_MAX : module->busy_until_ns,
        [EVENT_STATE] = state_deadline(module),
        [EVENT_CHATTER] = module->faults.chatter_ms > 0 ? module->next_chatter_ns : INT64_MAX,
    };
    size_t first = 0;
    for (size_t i = 1; i < sizeof times / sizeof times[0]; i++)
        if (times[i] < times[first])
            first = i;
    *event = (enum event)first;
    return times[first];
}

static void advance(struct module *module, int64_t now_us)
{
    int64_t now_ns = now_us * US_NS;
    for (;;) {
        enum event event;
        int64_t at_ns = next_event(module, &event);
        if (at_ns > now_ns)
            break;
        if (at_ns > module->now_ns)
            module->now_ns = at_ns;
        switch (event) {
        case EVENT_TO_CHIP:
            take_to_chip(module);
            break;
        case EVENT_TO_HOST:
            take_to_host(module);
            break;
        case EVENT_PACKET:
            deliver_packet(module);
            break;
        case EVENT_JOB:
            end_job(module);
            break;
        case EVENT_STATE:
            end_state(module);
            break;
        case EVENT_CHATTER:
            chatter(module);
            break;
        }
    }
    if (now_ns > module->now_ns)
        module->now_ns = now_ns;
}

/* The caller's side ---------------------------------------------------------------------------- */

enum module_chip module_chip_of(const struct module *module)
{
    return module->chip;
}

void module_get_faults(const struct module *module, struct module_faults *faults)
{
    struct nor_faults flash;
    nor_get_faults(module->nor, &flash);
    *faults = module->faults;
    faults->bad_erases = flash.bad_erases;
    faults->bad_programs = flash.bad_programs;
}

void module_set_faults(struct module *module, int64_t now_us, const struct module_faults *faults)
{
    advance(module, now_us);
    module->faults = *faults;
    module->programs_since = module->frames_since = 0;
    module->next_chatter_ns = module->now_ns + from_ms(faults->chatter_ms);
    uart_line_set_noise(module->to_chip, &(struct uart_line_noise){
                                             .loss = faults->loss_to_chip,
                                             .bit_error = faults->bit_errors_to_chip,
                                             .max_clean_baud = faults->max_clean_baud,
                                             .over_baud_loss = faults->over_baud_loss,
                                         });
    uart_line_set_noise(module->to_host, &(struct uart_line_noise){
                                             .loss = faults->loss_to_host,
                                             .bit_error = faults->bit_errors_to_host,
                                             .max_clean_baud = faults->max_clean_baud,
                                             .over_baud_loss = faults->over_baud_loss,
                                         });
    nor_set_id(module->nor, (uint32_t)faults->flash_id);
    nor_set_faults(module->nor, &(struct nor_faults){
                                    .bad_sector = (uint32_t)faults->bad_sector,
                                    .bad_erases = (unsigned)faults->bad_erases,
                                    .bad_programs = (unsigned)faults->bad_programs,
                                    .status_locked = faults->stuck_protection > 0,
                                    .unreadable = faults->unreadable > 0,
                                });
    if (module->ring == NULL)
        reset_cpu(module);
}

void module_power_cycle(struct module *module, int64_t now_us, int64_t off_us)
{
    advance(module, now_us);
    module->counters.power_cycles++;
    power_off(module, off_us * US_NS);
}

void module_set_host_baud(struct module *module, int64_t now_us, uint32_t baud)
{
    advance(module, now_us);
    module->host_baud = baud;
    uart_line_set_baud(module->to_chip, baud);
}

uint32_t module_host_baud(const struct module *module)
{
    return module->host_baud;
}

void module_receive(struct module *module, int64_t now_us, const uint8_t *bytes, size_t length)
{
    advance(module, now_us);
    uart_line_send(module->to_chip, module->now_ns, bytes, length);
}

size_t module_backlog(const struct module *module)
{
    return uart_line_pending(module->to_chip);
}

size_t module_transmit(struct module *module, int64_t now_us, uint8_t *bytes, size_t size)
{
    advance(module, now_us);
    return bytes_take(&module->delivered, bytes, size);
}

void module_unplug(struct module *module, int64_t now_us)
{
    advance(module, now_us);
    uart_line_abort(module->to_chip);
    bytes_clear(&module->packet);
    bytes_clear(&module->delivered);
}

int64_t module_next_us(const struct module *module)
{
    enum event event;
    int64_t at_ns = next_event(module, &event);
    if (module->delivered.count > 0)
        return module->now_ns / US_NS;
    return at_ns == INT64_MAX ? INT64_MAX : at_ns / US_NS + (at_ns % US_NS > 0 ? 1 : 0);
}

bool module_take_vanish(struct module *module, int64_t *outage_us)
{
    if (!module->vanish_due)
        return false;
    module->vanish_due = false;
    *outage_us = (int64_t)(module->faults.vanish_s * 1e6);
    return true;
}

uint32_t module_baud(const struct module *module)
{
    return module->baud;
}

enum module_state module_state(const struct module *module)
{
    return module->state;
}

struct nor *module_flash(struct module *module)
{
    return module->nor;
}

void module_counters(const struct module *module, struct module_counters *counters)
{
    *counters = module->counters;
}

bool module_application_runs(const struct module *module)
{
    if (module->chip == MODULE_BK7231N && module->faults.foreign_key > 0)
        return false; /* all that module_contents knows is made for Tuya's key */
    return module_contents_runs(nor_cells(module->nor), nor_size(module->nor), module->chip);
}
