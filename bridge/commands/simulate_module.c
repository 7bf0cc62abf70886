/* SPDX-License-Identifier: MIT */
/* `bl2mqtt simulate module`: a simulated BK7231 module on a pseudo terminal, for people to try the
 * flasher without a module to lose and for tests to break. See bl2mqtt-simulate-module(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/simulation.h"

#include "drivers/base/file.h"
#include "drivers/base/log.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/simulator/module_contents.h"
#include "drivers/simulator/module_port.h"
#include "drivers/simulator/module_stats.h"

#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define NAME "simulate module"
#define STATS_INTERVAL_MS 1000
#define BOOT_INTERVAL_MS 50
#define FLASH_SIZE_MIN 0x200000
#define FLASH_SIZE_MAX 0x1000000
#define VAULT_ADDRESS 0x1EE000U
#define VAULT_SIZE_MAX 0x12000U

/* ---- what was asked for ---- */

struct options {
    struct module_options module;
    struct module_contents_options contents;
    struct module_port_options port;
    struct module_faults faults;
    const char *flash_path, *vault_path, *stats_path, *on_boot; /* NULL: none */
    bool control, json;
};

static void print_help(const struct module_faults *faults)
{
    (void)printf(
        "Usage: bl2mqtt simulate module [OPTION...]\n\n"
        "A simulated BK7231 module with a USB adapter on a pseudo terminal. Prints its path and\n"
        "runs until Ctrl-C.\n\n"
        "  --chip CHIP            BK7231N (default), BK7231T or BK7231M\n"
        "  --link PATH            also make a symbolic link to the pseudo terminal\n"
        "  --flash FILE           the flash's contents, if FILE exists, and stored there at the "
        "end\n"
        "  --contents KIND        without them: vendor (default), openbeken or blank\n"
        "  --vault FILE           the vendor's settings, put where they belong\n"
        "  --flash-size BYTES     2 MiB (default) to 16 MiB\n"
        "  --status N             the flash's status registers at power-on (default 0x7C)\n"
        "  --boot-version TEXT    what a BK7231T answers (default BK7231S_1.0.5)\n"
        "  --unknown-bootloader   one whose checksum no tool knows\n"
        "  --seed N               of contents and faults\n"
        "  --fault NAME=VALUE     turn a knob, see below; repeatable\n"
        "  --speed X              module and line are X times as fast\n"
        "  --reset-every S        unless linked, power-cycle every S seconds (default 2; 0: "
        "never)\n"
        "  --power-cycle-on-open  power-cycle whenever the port is opened\n"
        "  --control -            take commands from standard input, one a line; ends with it:\n"
        "                         power-cycle, unplug SECONDS, fault NAME VALUE, stats, dump "
        "FILE,\n"
        "                         quit\n"
        "  --on-boot PROGRAM      the application: run with the flash's FILE, which is written "
        "first,\n"
        "                         when one that runs on this chip starts; ended when it stops\n"
        "  --stats FILE           write what happened there every second and at the end\n"
        "  --json                 print port, link and chip as one JSON document\n"
        "  --help                 this text\n\n"
        "Faults, with their values for this chip:\n");
    const char *name;
    const char *help;
    double value;
    for (size_t i = 0; module_fault_describe(i, faults, &name, &value, &help); i++)
        (void)printf("  %-20s %8.7g  %s\n", name, value, help);
}

static enum status usage(const char *option, const char *value, const char *wanted)
{
    return command_bad_value(NAME, option, value, wanted);
}

static enum status fail(enum status status, const struct error *error)
{
    return command_fail(NAME, status, error);
}

static bool parse_whole(const char *text, int64_t low, int64_t high, int64_t *value)
{
    return number_parse_whole(text, strlen(text), low, high, value);
}

static enum status parse_fault(struct options *options, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals - text >= 64)
        return usage("fault", text, "a knob's name (see --help), \"=\" and a number");
    char name[64];
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = '\0';
    struct error error = {""};
    enum status status = module_fault_set(&options->faults, name, equals + 1, &error);
    return status == STATUS_OK ? STATUS_OK : fail(status, &error);
}

enum option_key {
    KEY_CHIP = 1000,
    KEY_LINK,
    KEY_FLASH,
    KEY_CONTENTS,
    KEY_VAULT,
    KEY_FLASH_SIZE,
    KEY_STATUS,
    KEY_BOOT_VERSION,
    KEY_UNKNOWN_BOOTLOADER,
    KEY_SEED,
    KEY_FAULT,
    KEY_SPEED,
    KEY_RESET_EVERY,
    KEY_POWER_CYCLE_ON_OPEN,
    KEY_CONTROL,
    KEY_STATS,
    KEY_ON_BOOT,
    KEY_JSON,
    KEY_HELP,
};

static const struct option option_table[] = {
    {"chip", required_argument, NULL, KEY_CHIP},
    {"link", required_argument, NULL, KEY_LINK},
    {"flash", required_argument, NULL, KEY_FLASH},
    {"contents", required_argument, NULL, KEY_CONTENTS},
    {"vault", required_argument, NULL, KEY_VAULT},
    {"flash-size", required_argument, NULL, KEY_FLASH_SIZE},
    {"status", required_argument, NULL, KEY_STATUS},
    {"boot-version", required_argument, NULL, KEY_BOOT_VERSION},
    {"unknown-bootloader", no_argument, NULL, KEY_UNKNOWN_BOOTLOADER},
    {"seed", required_argument, NULL, KEY_SEED},
    {"fault", required_argument, NULL, KEY_FAULT},
    {"speed", required_argument, NULL, KEY_SPEED},
    {"reset-every", required_argument, NULL, KEY_RESET_EVERY},
    {"power-cycle-on-open", no_argument, NULL, KEY_POWER_CYCLE_ON_OPEN},
    {"control", required_argument, NULL, KEY_CONTROL},
    {"stats", required_argument, NULL, KEY_STATS},
    {"on-boot", required_argument, NULL, KEY_ON_BOOT},
    {"json", no_argument, NULL, KEY_JSON},
    {"help", no_argument, NULL, KEY_HELP},
    {NULL, 0, NULL, 0},
};

/* Options about the module itself. --chip was taken in a scan of its own: the faults' defaults hang
 * on it. */
static enum status take_module_option(struct options *options, int key, const char *value)
{
    int64_t number = 0;
    switch (key) {
    case KEY_FLASH_SIZE:
        if (!parse_whole(value, FLASH_SIZE_MIN, FLASH_SIZE_MAX, &number) || number % NOR_BLOCK != 0)
            return usage("flash-size", value, "a multiple of 65536 from 2097152 to 16777216");
        options->module.flash_size = (uint32_t)number;
        return STATUS_OK;
    case KEY_STATUS:
        if (!parse_whole(value, 0, 0xFFFFFF, &number))
            return usage("status", value, "a number from 0 to 0xFFFFFF");
        options->module.status = (uint32_t)number;
        return STATUS_OK;
    case KEY_BOOT_VERSION:
        if (strlen(value) > 16)
            return usage("boot-version", value, "at most 16 characters");
        options->module.boot_version = value;
        return STATUS_OK;
    case KEY_UNKNOWN_BOOTLOADER:
        options->contents.unknown_bootloader = true;
        return STATUS_OK;
    case KEY_CONTENTS:
        return module_contents_parse(value, &options->contents.kind)
                   ? STATUS_OK
                   : usage("contents", value, "vendor, openbeken or blank");
    case KEY_SEED:
        if (!parse_whole(value, 0, INT64_MAX, &number))
            return usage("seed", value, "a whole number");
        options->module.seed = options->contents.seed = (uint64_t)number;
        return STATUS_OK;
    case KEY_FAULT:
        return parse_fault(options, value);
    default:
        return STATUS_OK;
    }
}

static enum status take_option(struct options *options, int key, const char *value)
{
    double seconds = 0;
    switch (key) {
    case KEY_LINK:
        options->port.link = value;
        return STATUS_OK;
    case KEY_FLASH:
        options->flash_path = value;
        return STATUS_OK;
    case KEY_VAULT:
        options->vault_path = value;
        return STATUS_OK;
    case KEY_SPEED:
        return number_parse_double(value, strlen(value), 0.1, 1000, &options->port.speed)
                   ? STATUS_OK
                   : usage("speed", value, "a factor from 0.1 to 1000");
    case KEY_RESET_EVERY:
        if (!number_parse_double(value, strlen(value), 0, 86400, &seconds))
            return usage("reset-every", value, "seconds from 0 to 86400");
        options->port.power_cycle_ms = (int64_t)(seconds * 1000);
        return STATUS_OK;
    case KEY_POWER_CYCLE_ON_OPEN:
        options->port.power_cycle_on_open = true;
        return STATUS_OK;
    case KEY_CONTROL:
        options->control = true;
        return strcmp(value, "-") == 0 ? STATUS_OK
                                       : usage("control", value, "\"-\" (standard input)");
    case KEY_STATS:
        options->stats_path = value;
        return STATUS_OK;
    case KEY_ON_BOOT:
        options->on_boot = value;
        return STATUS_OK;
    case KEY_JSON:
        options->json = true;
        return STATUS_OK;
    default:
        return take_module_option(options, key, value);
    }
}

static enum status find_chip(int argc, char **argv, struct options *options)
{
    int key;
    opterr = 0;
    while ((key = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
        if (key == KEY_CHIP && !module_chip_parse(optarg, &options->module.chip))
            return usage("chip", optarg, "BK7231N, BK7231T or BK7231M");
    }
    opterr = 1;
    optind = 0; /* glibc: start a new scan */
    options->contents.chip = options->module.chip;
    module_faults_default(options->module.chip, &options->faults);
    return STATUS_OK;
}

/* *done: --help was asked for and given. */
static enum status parse_arguments(int argc, char **argv, struct options *options, bool *done)
{
    enum status status = find_chip(argc, argv, options);
    int key;
    while (status == STATUS_OK && (key = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
        if (key == KEY_HELP) {
            print_help(&options->faults);
            *done = true;
            return STATUS_OK;
        }
        if (key == '?')
            return command_bad_option(NAME);
        status = take_option(options, key, optarg);
    }
    if (status == STATUS_OK && optind < argc)
        return command_extra_word(NAME, argv[optind]);
    if (status == STATUS_OK && options->on_boot != NULL && options->flash_path == NULL)
        return usage("on-boot", options->on_boot, "--flash FILE too, which the program is to read");
    options->module.window_scale = options->port.speed;
    return status;
}

/* ---- files ---- */

static enum status make_contents(const struct options *options, uint8_t *flash, size_t size,
                                 struct error *error)
{
    module_contents_fill(&options->contents, flash, size);
    if (options->flash_path != NULL) {
        char *stored memory_auto = NULL;
        size_t length = 0;
        enum status status = file_read(options->flash_path, size, &stored, &length, error);
        if (status != STATUS_OK && status != STATUS_NO_ANSWER) /* which is made at the end */
            return status;
        if (status == STATUS_OK) {
            memset(flash, 0xFF, size);
            memcpy(flash, stored, length);
        }
    }
    if (options->vault_path == NULL)
        return STATUS_OK;
    char *vault memory_auto = NULL;
    size_t length = 0;
    enum status status = file_read(options->vault_path, VAULT_SIZE_MAX, &vault, &length, error);
    if (status == STATUS_OK)
        memcpy(flash + VAULT_ADDRESS, vault, length);
    return status == STATUS_NO_ANSWER ? STATUS_FAILED : status;
}

/* ---- running ---- */

struct session {
    struct simulation simulation;
    uv_timer_t stats_timer, boot_timer;
    uint64_t boots_seen;
    pid_t application; /* 0: none runs */
    const struct options *options;
    struct log *log;
    struct module *module;
    struct module_port *port;
};

static enum status write_stats(struct session *session, struct error *error)
{
    if (session->options->stats_path == NULL)
        return STATUS_OK;
    json_t *document = module_stats(session->module);
    char *text memory_auto = json_dumps(document, JSON_INDENT(2));
    json_decref(document);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "The statistics cannot be put into words.");
    return simulation_write_file(session->options->stats_path, text, strlen(text), error);
}

static enum status store_flash(struct session *session, const char *path, struct error *error)
{
    struct nor *nor = module_flash(session->module);
    return simulation_write_file(path, nor_cells(nor), nor_size(nor), error);
}

static void on_stats_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    struct error error = {""};
    if (write_stats(session, &error) != STATUS_OK)
        (void)fail(STATUS_FAILED, &error);
}

/* ---- the application ---- */

/* As if its power were taken away. */
static void end_application(struct session *session)
{
    if (session->application == 0)
        return;
    (void)kill(session->application, SIGKILL);
    (void)waitpid(session->application, NULL, 0);
    session->application = 0;
}

static void look_after_application(struct session *session)
{
    if (session->application != 0 && waitpid(session->application, NULL, WNOHANG) != 0)
        session->application = 0; /* it ended by itself */
}

/* What it prints goes to standard error, because standard output speaks JSON. */
static enum status spawn(const char *program, const char *file, pid_t *pid, struct error *error)
{
    char *arguments[] = {memory_copy_text(program), memory_copy_text(file), NULL};
    posix_spawn_file_actions_t actions;
    int result = posix_spawn_file_actions_init(&actions);
    if (result == 0) {
        (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        (void)posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        result = posix_spawnp(pid, arguments[0], &actions, NULL, arguments, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    free(arguments[0]);
    free(arguments[1]);
    if (result == 0)
        return STATUS_OK;
    *pid = 0;
    return error_set(error, STATUS_FAILED, "%s cannot be run: %s.", program, strerror(result));
}

static void start_application(struct session *session)
{
    const struct options *options = session->options;
    struct error error = {""};
    enum status status = store_flash(session, options->flash_path, &error);
    if (status == STATUS_OK)
        status = spawn(options->on_boot, options->flash_path, &session->application, &error);
    if (status != STATUS_OK)
        (void)fail(status, &error);
}

static void on_boot_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    struct module_counters counters;
    look_after_application(session);
    module_counters(session->module, &counters);
    bool runs = module_state(session->module) == MODULE_APPLICATION &&
                module_application_runs(session->module);
    if (!runs || counters.application_boots != session->boots_seen)
        end_application(session);
    if (runs && counters.application_boots != session->boots_seen) {
        session->boots_seen = counters.application_boots;
        start_application(session);
    }
}

/* ---- commands on standard input ---- */

static json_t *done_or_not(enum status status, const struct error *error)
{
    if (status == STATUS_OK)
        return json_pack("{s:b}", "ok", 1);
    return json_pack("{s:b, s:s}", "ok", 0, "error", error->text);
}

static enum status do_fault(struct session *session, char *argument, struct error *error)
{
    char *value = argument;
    const char *name = strsep(&value, " ");
    if (value == NULL)
        return error_set(error, STATUS_USAGE, "Say: fault NAME VALUE.");
    struct module_faults faults;
    module_get_faults(session->module, &faults);
    enum status status = module_fault_set(&faults, name, value, error);
    if (status == STATUS_OK)
        module_set_faults(session->module, module_port_now_us(session->port), &faults);
    return status;
}

static enum status do_unplug(struct session *session, const char *argument, struct error *error)
{
    double seconds;
    if (!number_parse_double(argument, strlen(argument), 0.01, 3600, &seconds))
        return error_set(error, STATUS_USAGE, "Say: unplug SECONDS.");
    module_port_vanish(session->port, (int64_t)(seconds * 1000));
    return STATUS_OK;
}

static void obey(void *context, char *line)
{
    struct session *session = context;
    struct error error = {""};
    if (line == NULL) {
        (void)error_set(&error, STATUS_USAGE, "A command has at most %d bytes.",
                        SIMULATION_LINE_SIZE - 1);
        simulation_print(&session->simulation, done_or_not(STATUS_USAGE, &error));
        return;
    }
    enum status status = STATUS_OK;
    char *argument = line;
    const char *verb = strsep(&argument, " ");
    if (*verb == '\0')
        return;
    if (strcmp(verb, "stats") == 0) {
        simulation_print(&session->simulation, module_stats(session->module));
        return;
    }
    if (strcmp(verb, "power-cycle") == 0)
        module_port_power_cycle(session->port);
    else if (strcmp(verb, "quit") == 0)
        simulation_stop(&session->simulation);
    else if (strcmp(verb, "fault") == 0 && argument != NULL)
        status = do_fault(session, argument, &error);
    else if (strcmp(verb, "unplug") == 0 && argument != NULL)
        status = do_unplug(session, argument, &error);
    else if (strcmp(verb, "dump") == 0 && argument != NULL && *argument != '\0')
        status = store_flash(session, argument, &error);
    else
        status = error_set(&error, STATUS_USAGE,
                           "Not understood. Say power-cycle, unplug SECONDS, fault NAME VALUE, "
                           "stats, dump FILE or quit.");
    simulation_print(&session->simulation, done_or_not(status, &error));
}

/* ---- beginning and end ---- */

static void announce(struct session *session)
{
    const struct options *options = session->options;
    const char *tty = module_port_tty(session->port);
    const char *link = options->port.link;
    if (!options->json) {
        (void)printf("%s\n", link != NULL ? link : tty);
        (void)fflush(stdout);
        return;
    }
    uint8_t mac[6];
    char mac_text[18];
    module_contents_mac(options->contents.seed, mac);
    (void)snprintf(mac_text, sizeof mac_text, "%02X:%02X:%02X:%02X:%02X:%02X", mac[0], mac[1],
                   mac[2], mac[3], mac[4], mac[5]);
    simulation_print(&session->simulation,
                     json_pack("{s:s, s:s?, s:s, s:s}", "port", tty, "link", link, "chip",
                               module_chip_name(options->module.chip), "mac", mac_text));
}

static enum status run(struct session *session, struct error *error)
{
    const struct options *options = session->options;
    struct simulation *simulation = &session->simulation;
    enum status status =
        module_port_open(&simulation->loop, session->module, &options->port, &session->port, error);
    if (status != STATUS_OK)
        return status;
    session->stats_timer.data = session;
    (void)uv_timer_init(&simulation->loop, &session->stats_timer);
    if (options->stats_path != NULL)
        (void)uv_timer_start(&session->stats_timer, on_stats_timer, STATS_INTERVAL_MS,
                             STATS_INTERVAL_MS);
    session->boot_timer.data = session;
    (void)uv_timer_init(&simulation->loop, &session->boot_timer);
    if (options->on_boot != NULL)
        (void)uv_timer_start(&session->boot_timer, on_boot_timer, BOOT_INTERVAL_MS,
                             BOOT_INTERVAL_MS);
    announce(session);
    if (options->control)
        simulation_control(simulation, obey, session);
    simulation_run(simulation);
    end_application(session);
    status = write_stats(session, error);
    if (status == STATUS_OK && options->flash_path != NULL)
        status = store_flash(session, options->flash_path, error);
    module_port_close(session->port);
    return status == STATUS_OK ? simulation->status : status;
}

static enum status simulate(struct options *options, struct error *error)
{
    struct session *session memory_auto = memory_new(1, sizeof *session);
    size_t size = options->module.flash_size;
    uint8_t *contents memory_auto = memory_new(size, 1);
    enum status status = make_contents(options, contents, size, error);
    if (status != STATUS_OK)
        return status;
    status = simulation_open(&session->simulation, NAME, error);
    if (status != STATUS_OK)
        return status;
    session->log = log_create(LOG_LEVEL_INFO);
    options->port.log = session->log;
    options->module.contents = contents;
    session->options = options;
    session->module = module_create(&options->module, &options->faults, 0);
    status = run(session, error);
    simulation_close(&session->simulation);
    module_free(session->module);
    log_free(session->log);
    return status;
}

enum status command_simulate_module(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    struct options options = {
        .module = {.chip = MODULE_BK7231N, .flash_size = FLASH_SIZE_MIN, .status = 0x7C, .seed = 1},
        .contents = {.kind = MODULE_CONTENTS_VENDOR, .seed = 1},
        .port = {.speed = 1, .power_cycle_ms = 2000},
    };
    bool done = false;
    enum status status = parse_arguments(argc, argv, &options, &done);
    if (status != STATUS_OK || done)
        return status;
    struct error error = {""};
    status = simulate(&options, &error);
    if (status != STATUS_OK && error.text[0] != '\0')
        (void)fail(status, &error);
    return status;
}
