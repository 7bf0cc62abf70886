/* SPDX-License-Identifier: MIT */
#include "bridge/service/sources.h"

#include "bridge/config/mapping_file.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/bl0942/line.h"
#include "drivers/esphome/source.h"
#include "drivers/mapping/source.h"
#include "drivers/messages/router.h"
#include "drivers/openbeken/source.h"
#include "drivers/simulator/driver.h"

#include <string.h>

#define MODULES_TICK_MS 250

/* A serial line with all chips on it. */
struct line {
    char *port;
    struct bl0942_line *driver; /* NULL: not open */
    bool changed;               /* to be opened anew */
};

/* One channel that is read. Its number towards the drivers is its index in sources->slots. */
struct slot {
    void *owner; /* NULL: free */
    const struct config_device *device;
    size_t channel;
    struct line *line;
    struct simulator_driver *simulator;
    struct message_source *source;
    struct driver_statistics before; /* of lines that were closed since */
};

struct sources {
    uv_loop_t *loop;
    struct driver_sink sink;
    struct publisher *publisher;
    struct log *log;
    char *discovery_prefix;
    struct slot *slots;
    size_t slot_count, slot_room;
    size_t taken; /* so many of the first slots are taken */
    struct line **lines;
    size_t line_count, line_room;
    struct openbeken_source *modules; /* NULL: there were none yet */
    size_t *new_modules;              /* the first slots of those that wait for sources_apply */
    size_t new_module_count, new_module_room;
    struct message_router *router; /* all other devices on MQTT */
    struct mapping **mappings;     /* each that a device uses or used, once */
    size_t mapping_count, mapping_room;
    uv_timer_t *tick;
    bool connected; /* to the broker */
};

void *sources_owner(const struct sources *sources, unsigned number, size_t *channel)
{
    const struct slot *slot = &sources->slots[number];
    *channel = slot->channel;
    return slot->owner;
}

static const struct config_channel *channel_of(const struct slot *slot)
{
    return &slot->device->channels[slot->channel];
}

/* ---- BL0942 on serial lines ---- */

static struct line *line_of(struct sources *sources, const char *port)
{
    for (size_t i = 0; i < sources->line_count; i++)
        if (strcmp(sources->lines[i]->port, port) == 0)
            return sources->lines[i];
    struct line *line = memory_new(1, sizeof *line);
    line->port = memory_copy_text(port);
    sources->lines = memory_grow(sources->lines, sources->line_count, &sources->line_room,
                                 sizeof(struct line *));
    sources->lines[sources->line_count++] = line;
    return line;
}

static void add_statistics(struct driver_statistics *sum, const struct driver_statistics *more)
{
    sum->readings += more->readings;
    sum->frame_errors += more->frame_errors;
    sum->timeouts += more->timeouts;
    sum->junk_bytes += more->junk_bytes;
    sum->chip_resets += more->chip_resets;
    sum->reconnects += more->reconnects;
}

static void close_line(struct sources *sources, struct line *line)
{
    struct driver_statistics statistics;
    for (size_t i = 0; line->driver != NULL && i < sources->slot_count; i++) {
        struct slot *slot = &sources->slots[i];
        if (slot->owner != NULL && slot->line == line &&
            bl0942_line_statistics(line->driver, (unsigned)i, &statistics))
            add_statistics(&slot->before, &statistics);
    }
    bl0942_line_close(line->driver);
    line->driver = NULL;
}

static void open_line(struct sources *sources, struct line *line)
{
    struct bl0942_line_options options = {.port = line->port};
    for (size_t i = 0; i < sources->slot_count; i++) {
        const struct slot *slot = &sources->slots[i];
        if (slot->owner == NULL || slot->line != line ||
            options.chip_count == BL0942_CHIPS_PER_LINE)
            continue;
        const struct config_channel *channel = channel_of(slot);
        if (options.chip_count == 0)
            options.baud = (uint32_t)channel->baud;
        options.chips[options.chip_count++] = (struct bl0942_chip_options){
            .channel = (unsigned)i,
            .address = (unsigned)channel->address,
            .interval_ms = slot->device->interval_ms,
            .mains_hz = (unsigned)slot->device->mains_frequency_hz,
            .creep = (int)channel->creep,
        };
    }
    if (options.chip_count > 0)
        line->driver = bl0942_line_create(sources->loop, &options, &sources->sink, sources->log);
}

/* ---- simulated channels ---- */

static void open_simulator(struct sources *sources, size_t number)
{
    struct slot *slot = &sources->slots[number];
    const struct config_channel *channel = channel_of(slot);
    const struct simulator_options options = {
        .channel = (unsigned)number,
        .interval_ms = slot->device->interval_ms,
        .mains_hz = (unsigned)slot->device->mains_frequency_hz,
        .mains_voltage_v = slot->device->mains_voltage_v,
        .counts_per_volt = channel->calibration.voltage,
        .counts_per_ampere = channel->calibration.current,
        .counts_per_watt = channel->calibration.power,
        .load = channel->load,
        .seed = number + 1,
    };
    struct error error = {""};
    slot->simulator =
        simulator_driver_create(sources->loop, &options, &sources->sink, sources->log, &error);
    if (slot->simulator == NULL)
        log_error(sources->log, "Device %s cannot be simulated: %s", slot->device->id, error.text);
}

/* ---- OpenBeken modules ---- */

static void ask_module(void *context, const char *topic, const char *payload)
{
    const struct sources *sources = context;
    publisher_event(sources->publisher, topic, payload, strlen(payload), 0);
}

static void subscribe_to(void *context, const char *filter)
{
    const struct sources *sources = context;
    publisher_subscribe(sources->publisher, filter, 0);
}

static struct openbeken_module module_of(const struct config_device *device, size_t first)
{
    static const enum openbeken_unit units[] = {
        [ENERGY_UNIT_AUTO] = OPENBEKEN_UNIT_UNKNOWN,
        [ENERGY_UNIT_WH] = OPENBEKEN_WH,
        [ENERGY_UNIT_KWH] = OPENBEKEN_KWH,
    };
    struct openbeken_module module = {.client = device->topic, .unit = units[device->energy_unit]};
    for (size_t c = 0; c < device->channel_count; c++) {
        unsigned chip = strcmp(device->channels[c].name, "b") == 0 ? 1 : 0;
        module.used[chip] = true;
        module.channels[chip] = (unsigned)(first + c);
    }
    return module;
}

static void on_tick(uv_timer_t *timer)
{
    const struct sources *sources = timer->data;
    if (sources->modules != NULL)
        openbeken_source_tick(sources->modules, clock_boot_ms());
    message_router_tick(sources->router, clock_boot_ms());
}

/* Not before there is a device that lives on messages: lines have timers of their own. */
static void start_tick(struct sources *sources)
{
    if (!uv_is_active((const uv_handle_t *)sources->tick))
        (void)uv_timer_start(sources->tick, on_tick, MODULES_TICK_MS, MODULES_TICK_MS);
}

/* Many modules that come at once share subscriptions. */
static void create_modules(struct sources *sources, const struct openbeken_module *modules,
                           size_t count)
{
    const struct openbeken_source_options options = {
        .modules = modules,
        .module_count = count,
        .discovery_prefix = sources->discovery_prefix,
        .publish = ask_module,
        .publish_context = sources,
    };
    sources->modules = openbeken_source_create(&options, &sources->sink, clock_boot_ms());
    openbeken_source_filters(sources->modules, subscribe_to, sources);
    openbeken_source_connection(sources->modules, sources->connected, clock_boot_ms());
    start_tick(sources);
}

static void open_modules(struct sources *sources)
{
    size_t count = 0;
    struct openbeken_module *modules memory_auto =
        memory_new(sources->new_module_count, sizeof *modules);
    for (size_t i = 0; i < sources->new_module_count; i++) {
        size_t first = sources->new_modules[i];
        const struct slot *slot = &sources->slots[first];
        if (slot->owner != NULL)
            modules[count++] = module_of(slot->device, first);
    }
    sources->new_module_count = 0;
    if (count > 0 && sources->modules == NULL) {
        create_modules(sources, modules, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        openbeken_source_add(sources->modules, &modules[i], clock_boot_ms(), subscribe_to, sources);
}

static void open_module_soon(struct sources *sources, size_t first)
{
    sources->new_modules = memory_grow(sources->new_modules, sources->new_module_count,
                                       &sources->new_module_room, sizeof *sources->new_modules);
    sources->new_modules[sources->new_module_count++] = first;
}

/* ---- other devices on MQTT ---- */

static void open_message_source(struct sources *sources, const struct config_device *device,
                                size_t first, struct message_source *source)
{
    for (size_t c = 0; c < device->channel_count; c++)
        sources->slots[first + c].source = source;
    message_router_add(sources->router, source, clock_boot_ms());
    source->kind->filters(source, subscribe_to, sources);
    start_tick(sources);
}

static void open_esphome(struct sources *sources, const struct config_device *device, size_t first)
{
    struct esphome_options options = {.prefix = device->topic};
    for (size_t c = 0; c < device->channel_count && c < ESPHOME_CHANNELS_MAX; c++) {
        const struct config_channel *channel = &device->channels[c];
        options.channels[options.channel_count++] = (struct esphome_channel_options){
            .name = channel->name,
            .channel = (unsigned)(first + c),
            .factors = {channel->calibration.voltage, channel->calibration.current,
                        channel->calibration.power},
        };
    }
    struct message_source *source =
        esphome_source_create(&options, &sources->sink, clock_boot_ms());
    open_message_source(sources, device, first, source);
}

/* Checked with the configuration; NULL if the file has changed or gone since. A file that was edited is
 * read again for devices that are added from then on. */
static const struct mapping *mapping_of(struct sources *sources, const char *name)
{
    struct error error = {""};
    struct mapping *mapping = NULL;
    if (mapping_load(name, &mapping, &error) != STATUS_OK) {
        log_error(sources->log, "%s", error.text);
        return NULL;
    }
    for (size_t i = 0; i < sources->mapping_count; i++)
        if (mapping_equal(sources->mappings[i], mapping)) {
            mapping_free(mapping);
            return sources->mappings[i];
        }
    sources->mappings = memory_grow(sources->mappings, sources->mapping_count,
                                    &sources->mapping_room, sizeof(struct mapping *));
    sources->mappings[sources->mapping_count++] = mapping;
    return mapping;
}

static void open_mapped(struct sources *sources, const struct config_device *device, size_t first)
{
    struct mapping_source_options options = {.mapping = mapping_of(sources, device->mapping),
                                             .base = device->topic};
    if (options.mapping == NULL)
        return;
    for (size_t c = 0; c < device->channel_count && c < MAPPING_CHANNELS_MAX; c++) {
        options.channels[c].name = device->channels[c].name;
        options.channels[c].channel = (unsigned)(first + c);
        options.channel_count++;
    }
    open_message_source(sources, device, first,
                        mapping_source_create(&options, &sources->sink, clock_boot_ms()));
}

/* ---- devices ---- */

/* The lowest free numbers in a row, so that the list does not grow as devices come and go. */
static size_t take_slots(struct sources *sources, size_t wanted)
{
    size_t first = sources->taken, free_slots = 0;
    while (free_slots < wanted && first + free_slots < sources->slot_count) {
        if (sources->slots[first + free_slots].owner == NULL) {
            free_slots++;
        } else {
            first += free_slots + 1;
            free_slots = 0;
        }
    }
    while (sources->slot_count < first + wanted) {
        sources->slots = memory_grow(sources->slots, sources->slot_count, &sources->slot_room,
                                     sizeof *sources->slots);
        sources->slots[sources->slot_count++] = (struct slot){.owner = NULL};
    }
    if (first == sources->taken)
        sources->taken = first + wanted;
    return first;
}

size_t sources_add(struct sources *sources, void *owner, const struct config_device *config)
{
    size_t first = take_slots(sources, config->channel_count);
    for (size_t c = 0; c < config->channel_count; c++) {
        struct slot *slot = &sources->slots[first + c];
        *slot = (struct slot){.owner = owner, .device = config, .channel = c};
        if (config->driver == DRIVER_SIMULATOR)
            open_simulator(sources, first + c);
        if (config->driver != DRIVER_BL0942)
            continue;
        slot->line = line_of(sources, config->channels[c].port);
        slot->line->changed = true;
    }
    if (config->driver == DRIVER_OPENBEKEN)
        open_module_soon(sources, first);
    if (config->driver == DRIVER_ESPHOME)
        open_esphome(sources, config, first);
    if (config->driver == DRIVER_MQTT)
        open_mapped(sources, config, first);
    return first;
}

/* What all channels of a device share is released with the first of them. */
static void release(struct sources *sources, struct slot *slot)
{
    if (slot->line != NULL) {
        slot->line->changed = true;
        close_line(sources, slot->line);
    }
    if (slot->simulator != NULL)
        simulator_driver_close(slot->simulator);
    if (slot->source != NULL && slot->channel == 0)
        message_router_remove(sources->router, slot->source);
    if (slot->device->driver == DRIVER_OPENBEKEN && slot->channel == 0 && sources->modules != NULL)
        openbeken_source_remove(sources->modules, slot->device->topic);
    *slot = (struct slot){.owner = NULL};
}

void sources_remove(struct sources *sources, size_t first)
{
    size_t count = sources->slots[first].device->channel_count;
    for (size_t i = first; i < first + count; i++)
        release(sources, &sources->slots[i]);
    if (first < sources->taken)
        sources->taken = first;
}

void sources_rebind(struct sources *sources, size_t first, const struct config_device *config)
{
    for (size_t c = 0; c < config->channel_count; c++)
        sources->slots[first + c].device = config;
}

void sources_apply(struct sources *sources)
{
    open_modules(sources);
    for (size_t i = 0; i < sources->line_count; i++) {
        struct line *line = sources->lines[i];
        if (!line->changed)
            continue;
        line->changed = false;
        close_line(sources, line);
        open_line(sources, line);
        if (line->driver != NULL)
            continue;
        free(line->port); /* no chip is left on it */
        free(line);
        sources->lines[i--] = sources->lines[--sources->line_count];
    }
}

/* ---- life ---- */

struct sources *sources_create(uv_loop_t *loop, const char *discovery_prefix,
                               const struct driver_sink *sink, struct publisher *publisher,
                               struct log *log)
{
    struct sources *sources = memory_new(1, sizeof *sources);
    sources->loop = loop;
    sources->discovery_prefix = memory_copy_text(discovery_prefix);
    sources->publisher = publisher;
    sources->log = log;
    sources->sink = *sink;
    sources->router = message_router_create();
    sources->tick = memory_new(1, sizeof *sources->tick);
    (void)uv_timer_init(loop, sources->tick);
    sources->tick->data = sources;
    return sources;
}

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

void sources_close(struct sources *sources)
{
    if (sources == NULL)
        return;
    for (size_t i = 0; i < sources->slot_count; i++)
        if (sources->slots[i].simulator != NULL)
            simulator_driver_close(sources->slots[i].simulator);
    for (size_t i = 0; i < sources->line_count; i++) {
        bl0942_line_close(sources->lines[i]->driver);
        free(sources->lines[i]->port);
        free(sources->lines[i]);
    }
    uv_close((uv_handle_t *)sources->tick, free_timer);
    openbeken_source_free(sources->modules);
    message_router_free(sources->router);
    for (size_t i = 0; i < sources->mapping_count; i++)
        mapping_free(sources->mappings[i]);
    free(sources->mappings);
    free(sources->lines);
    free(sources->slots);
    free(sources->new_modules);
    free(sources->discovery_prefix);
    free(sources);
}

bool sources_incoming(struct sources *sources, const struct publisher_incoming *incoming)
{
    if (sources == NULL)
        return false;
    int64_t boot_ms = clock_boot_ms();
    if (incoming->kind != PUBLISHER_MESSAGE) {
        sources->connected = incoming->kind == PUBLISHER_CONNECTED;
        if (sources->modules != NULL)
            openbeken_source_connection(sources->modules, sources->connected, boot_ms);
        message_router_connection(sources->router, sources->connected, boot_ms);
        return false;
    }
    const struct message message = {
        .topic = incoming->topic,
        .payload = incoming->payload,
        .length = incoming->payload_length,
        .retained = incoming->retained,
        .wall_ms = clock_wall_ms(),
        .boot_ms = boot_ms,
    };
    bool taken = message_router_message(sources->router, &message);
    return (sources->modules != NULL && openbeken_source_message(sources->modules, &message)) ||
           taken;
}

static bool present_statistics(const struct sources *sources, size_t number,
                               struct driver_statistics *statistics)
{
    const struct slot *slot = &sources->slots[number];
    if (slot->line != NULL)
        return slot->line->driver != NULL &&
               bl0942_line_statistics(slot->line->driver, (unsigned)number, statistics);
    if (slot->simulator != NULL)
        return simulator_driver_statistics(slot->simulator, statistics);
    if (slot->source != NULL)
        return slot->source->kind->statistics(slot->source, (unsigned)number, statistics);
    return slot->device->driver == DRIVER_OPENBEKEN && sources->modules != NULL &&
           openbeken_source_statistics(sources->modules, (unsigned)number, statistics);
}

bool sources_statistics(const struct sources *sources, size_t first, size_t channel,
                        struct driver_statistics *statistics)
{
    struct driver_statistics now = {0};
    bool known = present_statistics(sources, first + channel, &now);
    add_statistics(&now, &sources->slots[first + channel].before);
    *statistics = now;
    return known;
}
