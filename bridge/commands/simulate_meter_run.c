/* SPDX-License-Identifier: MIT */
#include "bridge/commands/simulate_meter.h"

#include "bridge/commands/command.h"
#include "bridge/commands/simulation.h"
#include "drivers/base/memory.h"
#include "drivers/simulator/console.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define NAME "simulate meter"
#define TRUTH_INTERVAL_MS 1000

struct session {
    struct simulation simulation;
    uv_timer_t truth_timer, unplug_timer;
    const struct simulate_meter *options;
    struct simulator_meter *meter;
};

static void complain(const struct error *error)
{
    (void)command_fail(NAME, STATUS_FAILED, error);
}

static void write_truth(struct session *session)
{
    struct error error = {""};
    json_t *document = console_truth(session->meter);
    char *text memory_auto = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(document);
    if (text != NULL && simulation_write_file(session->options->truth_path, text, strlen(text),
                                              &error) == STATUS_OK)
        return;
    if (session->simulation.status != STATUS_OK)
        return; /* was said */
    complain(&error);
    session->simulation.status = STATUS_FAILED;
    simulation_stop(&session->simulation);
}

static void on_truth_timer(uv_timer_t *timer)
{
    write_truth(timer->data);
}

static void plug_in(struct session *session)
{
    struct error error = {""};
    if (simulator_meter_plug(session->meter, &error) != STATUS_OK)
        complain(&error);
    else
        (void)fprintf(stderr, "Plugged in at %s.\n", simulator_meter_port(session->meter));
}

static void pull_out(struct session *session)
{
    simulator_meter_unplug(session->meter);
    (void)fprintf(stderr, "Unplugged.\n");
}

static void on_unplug_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    bool plugged = simulator_meter_port(session->meter) != NULL;
    if (plugged)
        pull_out(session);
    else
        plug_in(session);
    const struct simulate_meter *options = session->options;
    double next_s = plugged ? options->unplug_for_s : options->unplug_every_s;
    (void)uv_timer_start(timer, on_unplug_timer, (uint64_t)(next_s * 1000), 0);
}

/* ---- commands on standard input ---- */

static void obey(void *context, char *line)
{
    struct session *session = context;
    struct error error = {""};
    if (line == NULL) {
        (void)error_set(&error, STATUS_USAGE, "A command has at most %d bytes.",
                        SIMULATION_LINE_SIZE - 1);
        complain(&error);
        return;
    }
    bool plugged = simulator_meter_port(session->meter) != NULL;
    switch (console_obey(session->meter, line, &error)) {
    case CONSOLE_DONE:
        if (plugged && simulator_meter_port(session->meter) == NULL)
            (void)fprintf(stderr, "Unplugged.\n");
        break;
    case CONSOLE_REPLUG:
        plug_in(session);
        break;
    case CONSOLE_TRUTH:
        simulation_print(&session->simulation, console_truth(session->meter));
        break;
    case CONSOLE_QUIT:
        simulation_stop(&session->simulation);
        break;
    case CONSOLE_WRONG:
        complain(&error);
        break;
    }
}

/* ---- start and end ---- */

static json_t *start_document(struct session *session)
{
    json_t *chips = json_array();
    const struct simulator_meter_options *meter = &session->options->meter;
    for (size_t i = 0; i < meter->chip_count; i++) {
        const struct chip_options *chip = &meter->chips[i].chip;
        json_t *one =
            json_pack("{s:i, s:i, s:s, s:{s:f, s:f, s:f}}", "address", (int)chip->address, "baud",
                      (int)chip->pin_baud, "load", load_profile_name(meter->chips[i].load.profile),
                      "calibration", "voltage", chip->counts_per_volt, "current",
                      chip->counts_per_ampere, "power", chip->counts_per_watt);
        (void)json_array_append_new(chips, one);
    }
    return json_pack("{s:s, s:s?, s:o}", "port", simulator_meter_port(session->meter), "link",
                     meter->link, "chips", chips);
}

static void announce(struct session *session)
{
    if (session->options->json) {
        simulation_print(&session->simulation, start_document(session));
        return;
    }
    const struct simulator_meter_options *meter = &session->options->meter;
    (void)printf("Port: %s\n", simulator_meter_port(session->meter));
    if (meter->link != NULL)
        (void)printf("Link: %s\n", meter->link);
    for (size_t i = 0; i < meter->chip_count; i++)
        (void)printf("Chip at address %u: %u baud, load %s\n", meter->chips[i].chip.address,
                     meter->chips[i].chip.pin_baud,
                     load_profile_name(meter->chips[i].load.profile));
    (void)fflush(stdout);
    (void)fprintf(stderr, "Stop with Ctrl-C.\n");
}

static void start_handles(struct session *session)
{
    const struct simulate_meter *options = session->options;
    uv_loop_t *loop = &session->simulation.loop;
    (void)uv_timer_init(loop, &session->truth_timer);
    (void)uv_timer_init(loop, &session->unplug_timer);
    session->truth_timer.data = session->unplug_timer.data = session;
    if (options->truth_path != NULL)
        (void)uv_timer_start(&session->truth_timer, on_truth_timer, 0, TRUTH_INTERVAL_MS);
    if (options->unplug_every_s > 0)
        (void)uv_timer_start(&session->unplug_timer, on_unplug_timer,
                             (uint64_t)(options->unplug_every_s * 1000), 0);
}

static enum status run_session(struct session *session)
{
    struct simulation *simulation = &session->simulation;
    struct error error = {""};
    enum status status = simulator_meter_create(&simulation->loop, &session->options->meter,
                                                &session->meter, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    start_handles(session);
    announce(session);
    if (session->options->control)
        simulation_control(simulation, obey, session);
    simulation_run(simulation);
    if (session->options->truth_path != NULL)
        write_truth(session);
    simulator_meter_close(session->meter);
    return simulation->status;
}

enum status simulate_meter_run(const struct simulate_meter *simulate)
{
    struct session *session memory_auto = memory_new(1, sizeof *session);
    session->options = simulate;
    struct error error = {""};
    enum status status = simulation_open(&session->simulation, NAME, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    status = run_session(session);
    simulation_close(&session->simulation);
    return status;
}
