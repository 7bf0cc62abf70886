/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/driver.h"

#include "drivers/base/memory.h"
#include "drivers/bl0942/line.h"
#include "drivers/simulator/meter.h"

#define BAUD 4800
#define NOISE 0.0003
#define CONSTANT_W 1000.0

struct simulator_driver {
    unsigned channel;
    struct simulator_meter *meter;
    struct bl0942_line *line;
};

static enum status fill_load(const struct simulator_options *options, struct load_options *load,
                             struct error *error)
{
    load->profile = LOAD_HOUSEHOLD;
    if (options->load != NULL && options->load[0] != '\0' &&
        !load_profile_parse(options->load, &load->profile))
        return error_set(error, STATUS_USAGE,
                         "There is no load profile \"%s\"; choose household, solar, idle or "
                         "constant.",
                         options->load);
    load->seed = options->seed;
    load->nominal_voltage_v = options->mains_voltage_v;
    load->nominal_frequency_hz = options->mains_hz;
    load->constant = (struct chip_load){
        .voltage_v = options->mains_voltage_v,
        .current_a = CONSTANT_W / options->mains_voltage_v,
        .power_w = CONSTANT_W,
        .frequency_hz = options->mains_hz,
    };
    return STATUS_OK;
}

static struct bl0942_line *open_line(uv_loop_t *loop, const struct simulator_options *options,
                                     const char *port, const struct driver_sink *sink,
                                     struct log *log)
{
    const struct bl0942_line_options line = {
        .port = port,
        .baud = BAUD,
        .chip_count = 1,
        .chips = {{
            .channel = options->channel,
            .interval_ms = options->interval_ms,
            .mains_hz = options->mains_hz,
            .creep = -1,
        }},
    };
    return bl0942_line_create(loop, &line, sink, log);
}

struct simulator_driver *simulator_driver_create(uv_loop_t *loop,
                                                 const struct simulator_options *options,
                                                 const struct driver_sink *sink, struct log *log,
                                                 struct error *error)
{
    struct simulator_meter_options meter_options = {
        .chip_count = 1,
        .chips = {{.chip = {.pin_baud = BAUD,
                            .counts_per_volt = options->counts_per_volt,
                            .counts_per_ampere = options->counts_per_ampere,
                            .counts_per_watt = options->counts_per_watt,
                            .noise = NOISE,
                            .seed = options->seed}}},
    };
    struct simulator_meter *meter;
    if (fill_load(options, &meter_options.chips[0].load, error) != STATUS_OK ||
        simulator_meter_create(loop, &meter_options, &meter, error) != STATUS_OK)
        return NULL;
    struct simulator_driver *driver = memory_new(1, sizeof *driver);
    driver->channel = options->channel;
    driver->meter = meter;
    driver->line = open_line(loop, options, simulator_meter_port(meter), sink, log);
    return driver;
}

void simulator_driver_close(struct simulator_driver *driver)
{
    if (driver == NULL)
        return;
    bl0942_line_close(driver->line); /* before the hang-up, which it would report */
    simulator_meter_close(driver->meter);
    free(driver);
}

bool simulator_driver_statistics(const struct simulator_driver *driver,
                                 struct driver_statistics *statistics)
{
    return bl0942_line_statistics(driver->line, driver->channel, statistics);
}
