/* SPDX-License-Identifier: MIT */
/* Creation, adapter, time and the caller's side of the simulated module. */
#include "drivers/simulator/module_contents.h"
#include "drivers/simulator/module_internal.h"

#include "drivers/base/memory.h"

#include <string.h>

#define DEFAULT_FLASH_SIZE 0x200000U
#define SPLIT_PAUSE_NS (20 * MODULE_MS_NS)
#define US_NS 1000LL
#define HOST_BUFFER 65536U /* for a host that does not read; what is beyond is lost */

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
        due += module_ns(module->faults.latency_us / 1000);
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
            int64_t late_ns = module->now_ns + module_ns(module->faults.late_ms);
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
        [EVENT_STATE] = module_state_deadline(module),
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
            module_take_to_chip(module);
            break;
        case EVENT_TO_HOST:
            take_to_host(module);
            break;
        case EVENT_PACKET:
            deliver_packet(module);
            break;
        case EVENT_JOB:
            module_end_job(module);
            break;
        case EVENT_STATE:
            module_end_state(module);
            break;
        case EVENT_CHATTER:
            module_chatter(module);
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
    module->next_chatter_ns = module->now_ns + module_ns(faults->chatter_ms);
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
        module_reset_cpu(module);
}

void module_power_cycle(struct module *module, int64_t now_us, int64_t off_us)
{
    advance(module, now_us);
    module->counters.power_cycles++;
    module_power_off(module, off_us * US_NS);
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
