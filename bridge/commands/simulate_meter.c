/* SPDX-License-Identifier: MIT */
/* `bl2mqtt simulate meter`: simulated BL0942 chips on a pseudo terminal, for people to try the
 * bridge without hardware and for tests to compare with. See bl2mqtt-simulate-meter(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/simulation.h"

#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/simulator/console.h"
#include "drivers/simulator/meter.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define NAME "simulate meter"
#define TRUTH_INTERVAL_MS 1000
#define UNPLUG_MAX_S 86400.0
#define COUNTER_MAX 0xFFFFFF

/* ---- what was asked for ---- */

struct options {
    struct simulator_meter_options meter;
    struct chip_options chip; /* what all chips have in common */
    struct load_options load;
    struct chip_faults faults;
    bool load_named, voltage_given, current_given, power_given;
    double frequency_hz;
    double unplug_every_s, unplug_for_s; /* 0: never */
    uint64_t seed;
    const char *truth_path; /* NULL: none */
    bool control, json;
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt simulate meter [OPTION...]\n\n"
        "Simulated BL0942 chips on a pseudo terminal. Prints its path and runs until Ctrl-C.\n\n"
        "  --link PATH            also make a symbolic link to the pseudo terminal\n"
        "  --address N            address 0..3 of a chip; may be given up to four times (default "
        "0)\n"
        "  --baud 4800|9600       rate that the chips' pins select (default 4800)\n"
        "  --load PROFILE         household (default), solar, idle or constant\n"
        "  --voltage V            nominal voltage (default 230), or the constant load's\n"
        "  --frequency HZ         nominal frequency (default 50), or the constant load's\n"
        "  --current A --power W  a constant load (power < 0: exported; default: V * A)\n"
        "  --calibration V,A,W    counts per volt, ampere, watt (default 15883.3,128118.9,317.9)\n"
        "  --first-count N        the energy counter at power-on\n"
        "  --seed N               of load, noise and faults\n"
        "  --fault NAME=P         probability per answer of junk_before, bit_flip, double_flip,\n"
        "                         truncate, silence, late, reset or wrong_address; repeatable\n"
        "  --unplug-every S --unplug-for S\n"
        "                         pull the adapter out now and then\n"
        "  --control -            take commands from standard input, one a line; ends with it\n"
        "  --truth FILE           write what really happened there every second and at the end\n"
        "  --json                 print port, link and chips as one JSON document\n"
        "  --help                 this text\n");
}

static enum status usage(const char *option, const char *value, const char *wanted)
{
    return command_bad_value(NAME, option, value, wanted);
}

static bool parse_real(const char *text, double low, double high, double *value)
{
    return number_parse_double(text, strlen(text), low, high, value);
}

static bool parse_whole(const char *text, int64_t low, int64_t high, int64_t *value)
{
    return number_parse_int(text, strlen(text), low, high, value);
}

static enum status add_address(struct options *options, const char *text)
{
    int64_t address;
    struct simulator_meter_options *meter = &options->meter;
    if (!parse_whole(text, 0, SIMULATOR_CHIPS_MAX - 1, &address))
        return usage("address", text, "0, 1, 2 or 3");
    for (size_t i = 0; i < meter->chip_count; i++)
        if (meter->chips[i].chip.address == (unsigned)address)
            return usage("address", text, "each address once");
    meter->chips[meter->chip_count++].chip.address = (unsigned)address;
    return STATUS_OK;
}

static enum status parse_calibration(struct options *options, const char *text)
{
    double *const factors[] = {&options->chip.counts_per_volt, &options->chip.counts_per_ampere,
                               &options->chip.counts_per_watt};
    const char *at = text;
    for (int i = 0; i < 3; i++) {
        size_t length = strcspn(at, ",");
        bool last = at[length] == '\0';
        if (last != (i == 2) || !number_parse_double(at, length, 1, 1e8, factors[i]))
            return usage("calibration", text, "three factors from 1 to 1e8, VOLTAGE,CURRENT,POWER");
        at += length + 1;
    }
    return STATUS_OK;
}

static enum status parse_fault(struct options *options, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL ||
        !console_set_fault(&options->faults, text, (size_t)(equals - text), equals + 1))
        return usage("fault", text,
                     "a fault's name (see --help), \"=\" and a probability from 0 to 1");
    return STATUS_OK;
}

static enum status parse_seconds(const char *option, const char *text, double *value)
{
    return parse_real(text, 0.1, UNPLUG_MAX_S, value)
               ? STATUS_OK
               : usage(option, text, "seconds from 0.1 to 86400");
}

static enum status parse_baud(struct options *options, const char *text)
{
    int64_t baud;
    if (!parse_whole(text, 4800, 9600, &baud) || (baud != 4800 && baud != 9600))
        return usage("baud", text, "4800 or 9600");
    options->chip.pin_baud = (uint32_t)baud;
    return STATUS_OK;
}

enum option_key {
    KEY_LINK = 1000,
    KEY_ADDRESS,
    KEY_BAUD,
    KEY_LOAD,
    KEY_VOLTAGE,
    KEY_CURRENT,
    KEY_POWER,
    KEY_FREQUENCY,
    KEY_CALIBRATION,
    KEY_FIRST_COUNT,
    KEY_SEED,
    KEY_FAULT,
    KEY_UNPLUG_EVERY,
    KEY_UNPLUG_FOR,
    KEY_CONTROL,
    KEY_TRUTH,
    KEY_JSON,
    KEY_HELP,
};

static const struct option option_table[] = {
    {"link", required_argument, NULL, KEY_LINK},
    {"address", required_argument, NULL, KEY_ADDRESS},
    {"baud", required_argument, NULL, KEY_BAUD},
    {"load", required_argument, NULL, KEY_LOAD},
    {"voltage", required_argument, NULL, KEY_VOLTAGE},
    {"current", required_argument, NULL, KEY_CURRENT},
    {"power", required_argument, NULL, KEY_POWER},
    {"frequency", required_argument, NULL, KEY_FREQUENCY},
    {"calibration", required_argument, NULL, KEY_CALIBRATION},
    {"first-count", required_argument, NULL, KEY_FIRST_COUNT},
    {"seed", required_argument, NULL, KEY_SEED},
    {"fault", required_argument, NULL, KEY_FAULT},
    {"unplug-every", required_argument, NULL, KEY_UNPLUG_EVERY},
    {"unplug-for", required_argument, NULL, KEY_UNPLUG_FOR},
    {"control", required_argument, NULL, KEY_CONTROL},
    {"truth", required_argument, NULL, KEY_TRUTH},
    {"json", no_argument, NULL, KEY_JSON},
    {"help", no_argument, NULL, KEY_HELP},
    {NULL, 0, NULL, 0},
};

/* The options that say what the chips measure. */
static enum status take_load_option(struct options *options, int key, const char *value)
{
    switch (key) {
    case KEY_LOAD:
        options->load_named = true;
        if (!load_profile_parse(value, &options->load.profile))
            return usage("load", value, "household, solar, idle or constant");
        return STATUS_OK;
    case KEY_VOLTAGE:
        options->voltage_given = true;
        if (!parse_real(value, 0, 400, &options->load.constant.voltage_v))
            return usage("voltage", value, "volts from 0 to 400");
        return STATUS_OK;
    case KEY_CURRENT:
        options->current_given = true;
        if (!parse_real(value, 0, 1000, &options->load.constant.current_a))
            return usage("current", value, "amperes from 0 to 1000");
        return STATUS_OK;
    case KEY_POWER:
        options->power_given = true;
        if (!parse_real(value, -400000, 400000, &options->load.constant.power_w))
            return usage("power", value, "watts from -400000 to 400000");
        return STATUS_OK;
    default:
        if (!parse_real(value, 40, 70, &options->frequency_hz))
            return usage("frequency", value, "hertz from 40 to 70");
        return STATUS_OK;
    }
}

static enum status take_option(struct options *options, int key, const char *value)
{
    int64_t number = 0;
    switch (key) {
    case KEY_LINK:
        options->meter.link = value;
        return STATUS_OK;
    case KEY_ADDRESS:
        return add_address(options, value);
    case KEY_BAUD:
        return parse_baud(options, value);
    case KEY_CALIBRATION:
        return parse_calibration(options, value);
    case KEY_FIRST_COUNT:
        if (!parse_whole(value, 0, COUNTER_MAX, &number))
            return usage("first-count", value, "a count from 0 to 16777215");
        options->chip.first_count = (uint32_t)number;
        return STATUS_OK;
    case KEY_SEED:
        if (!parse_whole(value, 0, INT64_MAX, &number))
            return usage("seed", value, "a whole number");
        options->seed = (uint64_t)number;
        return STATUS_OK;
    case KEY_FAULT:
        return parse_fault(options, value);
    case KEY_UNPLUG_EVERY:
        return parse_seconds("unplug-every", value, &options->unplug_every_s);
    case KEY_UNPLUG_FOR:
        return parse_seconds("unplug-for", value, &options->unplug_for_s);
    case KEY_CONTROL:
        options->control = true;
        return strcmp(value, "-") == 0 ? STATUS_OK
                                       : usage("control", value, "\"-\" (standard input)");
    case KEY_TRUTH:
        options->truth_path = value;
        return STATUS_OK;
    case KEY_JSON:
        options->json = true;
        return STATUS_OK;
    default:
        return take_load_option(options, key, value);
    }
}

static enum status settle_load(struct options *options)
{
    struct load_options *load = &options->load;
    bool constant_given = options->current_given || options->power_given;
    if (!options->load_named && constant_given)
        load->profile = LOAD_CONSTANT;
    if (constant_given && load->profile != LOAD_CONSTANT)
        return usage("load", load_profile_name(load->profile), "no --current or --power with it");
    double voltage = options->voltage_given ? load->constant.voltage_v : 230;
    load->constant.voltage_v = voltage;
    bool nominal = voltage >= 90 && voltage <= 300; /* else a later profile has the usual one */
    if (load->profile != LOAD_CONSTANT && !nominal)
        return usage("load", load_profile_name(load->profile),
                     "a --voltage from 90 to 300 with it");
    load->nominal_voltage_v = nominal ? voltage : 230;
    load->nominal_frequency_hz = load->constant.frequency_hz = options->frequency_hz;
    if (!options->power_given)
        load->constant.power_w = voltage * load->constant.current_a;
    if (!options->current_given && voltage > 0)
        load->constant.current_a = fabs(load->constant.power_w) / voltage;
    return STATUS_OK;
}

static enum status settle(struct options *options)
{
    enum status status = settle_load(options);
    if (status != STATUS_OK)
        return status;
    if ((options->unplug_every_s > 0) != (options->unplug_for_s > 0)) {
        (void)fprintf(stderr, "bl2mqtt " NAME ": Give --unplug-every and --unplug-for together.\n");
        return STATUS_USAGE;
    }
    struct simulator_meter_options *meter = &options->meter;
    if (meter->chip_count == 0)
        meter->chip_count = 1; /* at address 0 */
    for (size_t i = 0; i < meter->chip_count; i++) {
        struct simulator_meter_chip *one = &meter->chips[i];
        unsigned address = one->chip.address;
        one->chip = options->chip;
        one->chip.address = address;
        one->chip.seed = options->seed + address;
        one->load = options->load;
        one->load.seed = options->seed + address;
        one->faults = options->faults;
    }
    return STATUS_OK;
}

/* *done: --help was asked for and given. */
static enum status parse_arguments(int argc, char **argv, struct options *options, bool *done)
{
    int key;
    while ((key = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
        if (key == KEY_HELP) {
            print_help();
            *done = true;
            return STATUS_OK;
        }
        if (key == '?')
            return command_bad_option(NAME);
        enum status status = take_option(options, key, optarg);
        if (status != STATUS_OK)
            return status;
    }
    if (optind < argc)
        return command_extra_word(NAME, argv[optind]);
    return settle(options);
}

/* ---- running ---- */

struct session {
    struct simulation simulation;
    uv_timer_t truth_timer, unplug_timer;
    const struct options *options;
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
    const struct options *options = session->options;
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
    const struct options *options = session->options;
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

enum status command_simulate_meter(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    struct options options = {
        .chip = {.pin_baud = 4800,
                 .counts_per_volt = 15883.3,
                 .counts_per_ampere = 128118.9,
                 .counts_per_watt = 317.9,
                 .noise = 0.0003},
        .load = {.profile = LOAD_HOUSEHOLD},
        .frequency_hz = 50,
        .seed = 1,
    };
    bool done = false;
    enum status status = parse_arguments(argc, argv, &options, &done);
    if (status != STATUS_OK || done)
        return status;
    struct session *session memory_auto = memory_new(1, sizeof *session);
    session->options = &options;
    struct error error = {""};
    status = simulation_open(&session->simulation, NAME, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    status = run_session(session);
    simulation_close(&session->simulation);
    return status;
}
