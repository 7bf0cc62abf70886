/* SPDX-License-Identifier: MIT */
#include "bridge/commands/simulate_module.h"

#include "bridge/commands/command.h"
#include "bridge/commands/simulation.h"
#include "drivers/base/log.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/simulator/module_stats.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define NAME "simulate module"
#define STATS_INTERVAL_MS 1000
#define BOOT_INTERVAL_MS 50

struct session {
    struct simulation simulation;
    uv_timer_t stats_timer, boot_timer;
    uint64_t boots_seen;
    pid_t application; /* 0: none runs */
    const struct simulate_module *options;
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
    const char *what = text != NULL ? text : "{}"; /* all of it is ASCII, so it can be written */
    return simulation_write_file(session->options->stats_path, what, strlen(what), error);
}

static enum status store_flash(struct session *session, const char *path, struct error *error)
{
    struct nor *nor = module_flash(session->module);
    return simulation_write_file(path, nor_cells(nor), nor_size(nor), error);
}

static void on_stats_timer(uv_timer_t *timer)
{
    struct error error = {""};
    (void)command_end(NAME, write_stats(timer->data, &error), &error);
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

static void start_application(struct session *session)
{
    const struct simulate_module *options = session->options;
    struct error error = {""};
    enum status status = store_flash(session, options->flash_path, &error);
    if (status == STATUS_OK)
        status = simulate_module_spawn(options->on_boot, options->flash_path, &session->application,
                                       &error);
    if (status != STATUS_OK)
        (void)command_fail(NAME, status, &error);
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
    const struct simulate_module *options = session->options;
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
    const struct simulate_module *options = session->options;
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

static enum status simulate(struct simulate_module *options, struct error *error)
{
    struct session *session memory_auto = memory_new(1, sizeof *session);
    size_t size = options->module.flash_size;
    uint8_t *contents memory_auto = memory_new(size, 1);
    enum status status = simulate_module_contents(options, contents, size, error);
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

enum status simulate_module_run(struct simulate_module *options)
{
    struct error error = {""};
    return command_end(NAME, simulate(options, &error), &error);
}
