/* SPDX-License-Identifier: MIT */
/* What time brings: questions to modules, and what it means that nothing comes. */
#include "drivers/openbeken/source_internal.h"

#include <stdio.h>

static const int64_t ask_again_ms = 30000; /* while the unit is in doubt */
static const unsigned asks_per_tick = 100; /* thousands of modules must not flood the broker */
static const int64_t probe_answer_ms = 3000;
static const unsigned probes_max = 3;
static const int64_t slow_tick_ms = 1000;
static const int64_t absent_ms = 35000;      /* nothing at all was received of a module */
static const int64_t ping_after_ms = 100000; /* of a chip's silence; leaves time for the answer */
static const int64_t alive_ms = 30000;       /* a module received since then is there */

void source_ask_at(struct module *module, int64_t boot_ms)
{
    if (module->speaks_tele || module->ask_ms != NEVER || module->probed_ms != NEVER)
        return;
    module->ask_ms = boot_ms;
    module->probes = module->cleared = 0;
}

void source_do_not_ask(struct module *module)
{
    module->ask_ms = module->probed_ms = NEVER;
}

static void ask_for_channel_0(const struct openbeken_source *source, const struct module *module)
{
    char topic[sizeof "/0/get" + OPENBEKEN_CLIENT_MAX];
    (void)snprintf(topic, sizeof topic, "%s/0/get", module->client);
    source->publish(source->publish_context, topic, "");
}

static void probe(const struct openbeken_source *source, struct module *module, int64_t boot_ms)
{
    module->ask_ms = NEVER;
    module->probed_ms = boot_ms;
    module->probes++;
    ask_for_channel_0(source, module);
}

/* What does not answer is offline, starting, or something else. */
static bool probe_is_due(struct module *module, int64_t boot_ms)
{
    if (module->probed_ms != NEVER && boot_ms - module->probed_ms >= probe_answer_ms) {
        module->probed_ms = NEVER;
        if (module->probes < probes_max)
            module->ask_ms = boot_ms;
    }
    return module->ask_ms != NEVER && module->ask_ms <= boot_ms;
}

/* Fairly: begins where the last tick ended. */
static void ask_some(struct openbeken_source *source, int64_t boot_ms)
{
    unsigned asked = 0;
    for (size_t n = 0; n < source->module_count && asked < asks_per_tick; n++) {
        struct module *module = source->modules[source->ask_next];
        source->ask_next = (source->ask_next + 1) % source->module_count;
        if (!probe_is_due(module, boot_ms))
            continue;
        probe(source, module, boot_ms);
        asked++;
    }
}

static void decide_unit(struct openbeken_source *source, struct module *module, int64_t boot_ms)
{
    if (module->unit_waits_ms == NEVER || boot_ms - module->unit_waits_ms < OPENBEKEN_UNIT_WAIT_MS)
        return;
    source_doubt_unit(
        source, module,
        "Nothing says in which unit the module sends its energy counter, so Wh is assumed and "
        "the module asked again. Set energy_unit to Wh or kWh to be certain.");
    source_weigh_unit(source, module, OPENBEKEN_WH, OPENBEKEN_UNIT_ASSUMED, boot_ms);
    source_ask_at(module, boot_ms + ask_again_ms); /* it may still turn out to be kWh */
}

/* Since when something of the module could have been received. */
static int64_t waits_since(const struct openbeken_source *source, const struct module *module)
{
    return module->added_ms > source->connected_ms ? module->added_ms : source->connected_ms;
}

static bool is_alive(const struct module *module, int64_t boot_ms)
{
    return module->live_ms != NEVER && boot_ms - module->live_ms <= alive_ms;
}

/* A module whose chip is silent says nothing by itself, and one without power is online to the broker
 * for up to 150 s: before one of them is blamed, the module is asked for a sign of life, once. */
static void ping(struct openbeken_source *source, struct module *module, int64_t silent_since_ms,
                 int64_t boot_ms)
{
    if (!source->connected || source->pings >= asks_per_tick || is_alive(module, boot_ms) ||
        boot_ms - silent_since_ms <= ping_after_ms ||
        (module->pinged_ms != NEVER && module->pinged_ms >= silent_since_ms))
        return;
    module->pinged_ms = boot_ms;
    source->pings++;
    ask_for_channel_0(source, module);
}

static void check_silence(struct openbeken_source *source, struct chip *chip, int64_t boot_ms)
{
    char reason[SENTENCE_SIZE];
    struct module *module = chip->module;
    int64_t since_ms = chip->received_ms != NEVER ? chip->received_ms : waits_since(source, module);
    if (!chip->used || (chip->reported && !chip->online))
        return;
    ping(source, module, since_ms, boot_ms);
    if (boot_ms - since_ms <= OPENBEKEN_STALE_MS)
        return;
    if (!source->connected)
        source_set_offline(source, chip,
                           "The MQTT broker is not reachable, so nothing is received.");
    else if (!is_alive(module, boot_ms)) {
        (void)snprintf(
            reason, sizeof reason,
            "Nothing was received of the module %s for two minutes, not even an answer: it "
            "lost its supply or its Wi-Fi.",
            module->client);
        source_set_offline(source, chip, reason);
    } else if (chip->received_ms != NEVER || chip->index == 0) {
        (void)snprintf(reason, sizeof reason,
                       "The module %s is online but its BL0942 is silent: nothing was measured for "
                       "two minutes. Check the chip's supply and wires, and startDriver BL0942 in "
                       "autoexec.bat.",
                       module->client);
        source_set_offline(source, chip, reason);
    } else {
        (void)snprintf(reason, sizeof reason,
                       "The module %s is online but sends nothing of a second chip: that takes an "
                       "image built with ENABLE_BL_TWIN, and BL0942opts 3 before startDriver "
                       "BL0942.",
                       module->client);
        source_set_offline(source, chip, reason);
    }
}

static void check_module(struct openbeken_source *source, struct module *module, int64_t boot_ms)
{
    char reason[SENTENCE_SIZE];
    bool gone = module->offline_ms != NEVER && boot_ms - module->offline_ms >= OPENBEKEN_OFFLINE_MS;
    bool absent = !module->received && source->connected &&
                  boot_ms - waits_since(source, module) >= absent_ms;
    if (gone)
        (void)snprintf(reason, sizeof reason,
                       "The module %s is offline: it lost its supply, its Wi-Fi or the broker.",
                       module->client);
    else if (absent)
        (void)snprintf(
            reason, sizeof reason,
            "Nothing was received of a module with the client id %s: check topic, and MQTT "
            "on the module's page. `bl2mqtt openbeken find` lists what is there.",
            module->client);
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++) {
        if (gone || absent)
            source_set_offline(source, &module->chips[i], reason);
        else
            check_silence(source, &module->chips[i], boot_ms);
    }
    decide_unit(source, module, boot_ms);
}

void openbeken_source_tick(struct openbeken_source *source, int64_t boot_ms)
{
    while (source->first != NULL && boot_ms - source->first->window_ms >= OPENBEKEN_WINDOW_MS)
        source_deliver(source, source->first);
    ask_some(source, boot_ms);
    if (boot_ms - source->slow_tick_boot_ms < slow_tick_ms)
        return;
    source->slow_tick_boot_ms = boot_ms;
    source->pings = 0;
    for (size_t i = 0; i < source->module_count; i++)
        check_module(source, source->modules[i], boot_ms);
}

bool openbeken_source_statistics(const struct openbeken_source *source, unsigned channel,
                                 struct driver_statistics *statistics)
{
    if (channel >= source->channel_count || source->by_channel[channel] == NULL)
        return false;
    *statistics = source->by_channel[channel]->module->statistics;
    return true;
}
