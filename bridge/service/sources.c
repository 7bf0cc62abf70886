/* SPDX-License-Identifier: MIT */
#include "bridge/service/sources.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/bl0942/line.h"
#include "drivers/esphome/source.h"
#include "drivers/messages/router.h"
#include "drivers/openbeken/source.h"
#include "drivers/simulator/driver.h"

#include <string.h>

#define MODULES_TICK_MS 250

/* A channel's number towards the drivers is its index in `places`. */
struct place {
    size_t device, channel;
    struct bl0942_line *line;
    struct simulator_driver *simulator;
    struct message_source *source;
};

struct sources {
    uv_loop_t *loop;
    const struct config *config;
    struct sources_sink sink;
    struct driver_sink driver_sink;
    struct place *places;
    size_t place_count, place_room;
    size_t *first_place; /* per device: number of its first channel */
    size_t device_count, device_room;
    struct bl0942_line **lines;
    size_t line_count;
    struct simulator_driver **simulators;
    size_t simulator_count;
    struct openbeken_source *modules; /* NULL: none are configured */
    struct message_router *router;    /* all other devices on MQTT */
    struct publisher *publisher;
    uv_timer_t *modules_tick;
    bool connected; /* to the broker */
};

static void on_reading(void *context, unsigned number, const struct reading *reading)
{
    const struct sources *sources = context;
    const struct place *place = &sources->places[number];
    sources->sink.reading(sources->sink.context, place->device, place->channel, reading);
}

static void on_availability(void *context, unsigned number, bool online, const char *reason)
{
    const struct sources *sources = context;
    const struct place *place = &sources->places[number];
    sources->sink.availability(sources->sink.context, place->device, place->channel, online,
                               reason);
}

static void on_event(void *context, unsigned number, enum driver_event event, const char *message)
{
    const struct sources *sources = context;
    const struct place *place = &sources->places[number];
    sources->sink.event(sources->sink.context, place->device, place->channel, event, message);
}

static void number_places(struct sources *sources, size_t device)
{
    sources->first_place = memory_grow(sources->first_place, sources->device_count,
                                       &sources->device_room, sizeof *sources->first_place);
    sources->first_place[sources->device_count++] = sources->place_count;
    for (size_t c = 0; c < sources->config->devices[device].channel_count; c++) {
        sources->places = memory_grow(sources->places, sources->place_count, &sources->place_room,
                                      sizeof *sources->places);
        sources->places[sources->place_count++] = (struct place){.device = device, .channel = c};
    }
}

static const struct config_channel *channel_of(const struct sources *sources, size_t number)
{
    const struct place *place = &sources->places[number];
    return &sources->config->devices[place->device].channels[place->channel];
}

static const struct config_device *device_of(const struct sources *sources, size_t number)
{
    return &sources->config->devices[sources->places[number].device];
}

struct by_port {
    const char *port;
    size_t number;
};

static int compare_ports(const void *a, const void *b)
{
    const struct by_port *x = a, *y = b;
    int order = strcmp(x->port, y->port);
    return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

static void open_line(struct sources *sources, uv_loop_t *loop, const struct by_port *group,
                      size_t count, struct log *log)
{
    struct bl0942_line_options options = {
        .port = group[0].port,
        .baud = (uint32_t)channel_of(sources, group[0].number)->baud,
    };
    for (size_t i = 0; i < count && i < BL0942_CHIPS_PER_LINE; i++) {
        const struct config_channel *channel = channel_of(sources, group[i].number);
        const struct config_device *device = device_of(sources, group[i].number);
        options.chips[options.chip_count++] = (struct bl0942_chip_options){
            .channel = (unsigned)group[i].number,
            .address = (unsigned)channel->address,
            .interval_ms = device->interval_ms,
            .mains_hz = (unsigned)device->mains_frequency_hz,
            .creep = (int)channel->creep,
        };
    }
    struct bl0942_line *line = bl0942_line_create(loop, &options, &sources->driver_sink, log);
    sources->lines[sources->line_count++] = line;
    for (size_t i = 0; i < count; i++)
        sources->places[group[i].number].line = line;
}

/* Chips that share a port share a line, whichever devices they belong to. */
static void open_lines(struct sources *sources, uv_loop_t *loop, struct log *log)
{
    struct by_port *order memory_auto = memory_new(sources->place_count, sizeof *order);
    size_t count = 0;
    for (size_t i = 0; i < sources->place_count; i++)
        if (device_of(sources, i)->driver == DRIVER_BL0942)
            order[count++] = (struct by_port){channel_of(sources, i)->port, i};
    qsort(order, count, sizeof *order, compare_ports);
    sources->lines = memory_new(count, sizeof(struct bl0942_line *));
    for (size_t first = 0, next; first < count; first = next) {
        next = first + 1;
        while (next < count && strcmp(order[next].port, order[first].port) == 0)
            next++;
        open_line(sources, loop, order + first, next - first, log);
    }
}

static void open_simulators(struct sources *sources, uv_loop_t *loop, struct log *log)
{
    sources->simulators = memory_new(sources->place_count, sizeof(struct simulator_driver *));
    for (size_t i = 0; i < sources->place_count; i++) {
        const struct config_device *device = device_of(sources, i);
        if (device->driver != DRIVER_SIMULATOR)
            continue;
        const struct config_channel *channel = channel_of(sources, i);
        const struct simulator_options options = {
            .channel = (unsigned)i,
            .interval_ms = device->interval_ms,
            .mains_hz = (unsigned)device->mains_frequency_hz,
            .mains_voltage_v = device->mains_voltage_v,
            .counts_per_volt = channel->calibration.voltage,
            .counts_per_ampere = channel->calibration.current,
            .counts_per_watt = channel->calibration.power,
            .load = channel->load,
            .seed = i + 1,
        };
        struct error error = {""};
        struct simulator_driver *simulator =
            simulator_driver_create(loop, &options, &sources->driver_sink, log, &error);
        if (simulator == NULL) {
            log_error(log, "Device %s cannot be simulated: %s", device->id, error.text);
            continue;
        }
        sources->simulators[sources->simulator_count++] = simulator;
        sources->places[i].simulator = simulator;
    }
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

static void on_modules_tick(uv_timer_t *timer)
{
    const struct sources *sources = timer->data;
    if (sources->modules != NULL)
        openbeken_source_tick(sources->modules, clock_boot_ms());
    message_router_tick(sources->router, clock_boot_ms());
}

static struct openbeken_module module_of(const struct sources *sources, size_t number)
{
    static const enum openbeken_unit units[] = {
        [ENERGY_UNIT_AUTO] = OPENBEKEN_UNIT_UNKNOWN,
        [ENERGY_UNIT_WH] = OPENBEKEN_WH,
        [ENERGY_UNIT_KWH] = OPENBEKEN_KWH,
    };
    const struct config_device *device = &sources->config->devices[number];
    struct openbeken_module module = {.client = device->topic, .unit = units[device->energy_unit]};
    for (size_t c = 0; c < device->channel_count; c++) {
        unsigned chip = strcmp(device->channels[c].name, "b") == 0 ? 1 : 0;
        module.used[chip] = true;
        module.channels[chip] = (unsigned)(sources->first_place[number] + c);
    }
    return module;
}

static void create_modules(struct sources *sources, const struct openbeken_module *modules,
                           size_t count)
{
    const struct openbeken_source_options options = {
        .modules = modules,
        .module_count = count,
        .discovery_prefix = sources->config->homeassistant.discovery_prefix,
        .publish = ask_module,
        .publish_context = sources,
    };
    sources->modules = openbeken_source_create(&options, &sources->driver_sink, clock_boot_ms());
    openbeken_source_filters(sources->modules, subscribe_to, sources);
    openbeken_source_connection(sources->modules, sources->connected, clock_boot_ms());
}

static void open_modules(struct sources *sources)
{
    const struct config *config = sources->config;
    struct openbeken_module *modules memory_auto =
        memory_new(config->device_count, sizeof *modules);
    size_t count = 0;
    for (size_t d = 0; d < config->device_count; d++)
        if (config->devices[d].driver == DRIVER_OPENBEKEN)
            modules[count++] = module_of(sources, d);
    if (count > 0)
        create_modules(sources, modules, count);
}

void sources_add_module(struct sources *sources)
{
    size_t device = sources->device_count;
    number_places(sources, device);
    const struct openbeken_module module = module_of(sources, device);
    if (sources->modules == NULL)
        create_modules(sources, &module, 1);
    else
        openbeken_source_add(sources->modules, &module, clock_boot_ms(), subscribe_to, sources);
}

/* ---- Other devices on MQTT ---- */

static struct message_source *esphome_of(const struct sources *sources, size_t number)
{
    const struct config_device *device = &sources->config->devices[number];
    struct esphome_options options = {.prefix = device->topic};
    for (size_t c = 0; c < device->channel_count && c < ESPHOME_CHANNELS_MAX; c++) {
        const struct config_channel *channel = &device->channels[c];
        options.channels[options.channel_count++] = (struct esphome_channel_options){
            .name = channel->name,
            .channel = (unsigned)(sources->first_place[number] + c),
            .factors = {channel->calibration.voltage, channel->calibration.current,
                        channel->calibration.power},
        };
    }
    return esphome_source_create(&options, &sources->driver_sink, clock_boot_ms());
}

static void open_message_sources(struct sources *sources)
{
    sources->router = message_router_create();
    for (size_t d = 0; d < sources->config->device_count; d++) {
        if (sources->config->devices[d].driver != DRIVER_ESPHOME)
            continue;
        struct message_source *source = esphome_of(sources, d);
        for (size_t c = 0; c < sources->config->devices[d].channel_count; c++)
            sources->places[sources->first_place[d] + c].source = source;
        message_router_add(sources->router, source, clock_boot_ms());
        source->kind->filters(source, subscribe_to, sources);
    }
}

static void start_tick(struct sources *sources)
{
    sources->modules_tick = memory_new(1, sizeof *sources->modules_tick);
    (void)uv_timer_init(sources->loop, sources->modules_tick);
    sources->modules_tick->data = sources;
    (void)uv_timer_start(sources->modules_tick, on_modules_tick, MODULES_TICK_MS, MODULES_TICK_MS);
}

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

static void close_modules(struct sources *sources)
{
    uv_close((uv_handle_t *)sources->modules_tick, free_timer);
    if (sources->modules != NULL)
        openbeken_source_free(sources->modules);
    message_router_free(sources->router);
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

struct sources *sources_create(uv_loop_t *loop, const struct config *config,
                               const struct sources_sink *sink, struct publisher *publisher,
                               struct log *log)
{
    struct sources *sources = memory_new(1, sizeof *sources);
    sources->loop = loop;
    sources->config = config;
    sources->publisher = publisher;
    sources->sink = *sink;
    sources->driver_sink = (struct driver_sink){
        .context = sources,
        .reading = on_reading,
        .availability = on_availability,
        .event = on_event,
    };
    for (size_t d = 0; d < config->device_count; d++)
        number_places(sources, d);
    open_lines(sources, loop, log);
    open_simulators(sources, loop, log);
    open_modules(sources);
    open_message_sources(sources);
    start_tick(sources);
    return sources;
}

void sources_close(struct sources *sources)
{
    if (sources == NULL)
        return;
    for (size_t i = 0; i < sources->line_count; i++)
        bl0942_line_close(sources->lines[i]);
    for (size_t i = 0; i < sources->simulator_count; i++)
        simulator_driver_close(sources->simulators[i]);
    close_modules(sources);
    free(sources->lines);
    free(sources->simulators);
    free(sources->places);
    free(sources->first_place);
    free(sources);
}

bool sources_statistics(const struct sources *sources, const struct config_device *device,
                        size_t channel, struct driver_statistics *statistics)
{
    size_t index = (size_t)(device - sources->config->devices);
    if (index >= sources->device_count) /* is just joining */
        return false;
    size_t number = sources->first_place[index] + channel;
    const struct place *place = &sources->places[number];
    if (place->line != NULL)
        return bl0942_line_statistics(place->line, (unsigned)number, statistics);
    if (place->simulator != NULL)
        return simulator_driver_statistics(place->simulator, statistics);
    if (place->source != NULL)
        return place->source->kind->statistics(place->source, (unsigned)number, statistics);
    if (sources->modules != NULL)
        return openbeken_source_statistics(sources->modules, (unsigned)number, statistics);
    return false;
}
