/* SPDX-License-Identifier: MIT */
/* bl2mqtt run: loads the configuration, runs the service, and again after a reload. */
#include "bridge/commands/check_broker.h"
#include "bridge/commands/command.h"
#include "bridge/config/config.h"
#include "bridge/history/query/buckets.h"
#include "bridge/service/restoring.h"
#include "bridge/service/service.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "run"

static struct config *load(const char *path)
{
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct config *config = config_load(path, environ, problems);
    config_problems_print(problems, stderr);
    return config;
}

/* own_zone: TZ as the process was started. */
static enum status serve(const char *path, struct config *config, const char *own_zone,
                         struct log *log)
{
    restoring_discard(config);
    for (;;) {
        bucket_use_zone(config->history.time_zone, own_zone);
        log_set_level(log, config->bridge.log_level);
        if (strcmp(config->history.time_zone, "system") == 0 && !bucket_zone_usable(own_zone))
            log_warning(
                log,
                "The time zone \"%.100s\" of the environment (TZ) is none that this machine knows, "
                "and so days follow UTC. Correct it, or set history.time_zone.",
                own_zone);
        enum service_end end = SERVICE_STOPPED;
        struct error error = {""};
        enum status status = service_run(config, path, log, &end, &error);
        if (status != STATUS_OK) {
            log_error(log, "%s", error.text);
            config_free(config);
            return status;
        }
        if (end == SERVICE_STOPPED)
            break;
        restoring_apply(config, path, log);
        struct config *again = load(path);
        if (again == NULL) {
            log_error(log,
                      "The configuration in %s is not usable any more; going on with the old one.",
                      path);
            continue;
        }
        config_free(config);
        config = again;
    }
    config_free(config);
    return STATUS_OK;
}

/* The first start of all: the page leads on from here. A file that was named and is missing is a mistake. */
static enum status make_first(const struct command_context *context, struct error *error)
{
    static const char text[] =
        "# Written at the first start. The web page changes it, and you may, too:\n"
        "# `bl2mqtt check --print-defaults` shows every key.\n"
        "devices: []\n";
    if (context->config_named || access(context->config_path, F_OK) == 0)
        return STATUS_OK;
    enum status status = config_save(context->config_path, text, error);
    if (status == STATUS_OK)
        (void)fprintf(
            stderr, "There was no bridge.yaml, so a first one was written here. Add a meter in the "
                    "web page (\"Add a meter\").\n");
    return status;
}

static enum status run(const struct command_context *context, void *unused)
{
    (void)unused;
    struct error first = {""};
    if (make_first(context, &first) != STATUS_OK)
        return command_fail(NAME, STATUS_USAGE, &first);
    memory_stay_small();
    struct config *config = load(context->config_path);
    if (config == NULL)
        return command_fail(NAME, STATUS_USAGE,
                            &(struct error){"The configuration has errors; nothing was started."});
    struct error error = {""};
    if (check_tls_files(&config->mqtt, &error) != STATUS_OK) {
        config_free(config);
        return command_fail(NAME, STATUS_USAGE, &error);
    }
    struct log *log = log_create(config->bridge.log_level);
    const char *zone = getenv("TZ");
    char *own_zone memory_auto = zone == NULL ? NULL : memory_copy_text(zone);
    enum status status = serve(context->config_path, config, own_zone, log);
    log_free(log);
    return status;
}

const struct command command_run = {
    .line = {.name = NAME,
             .summary = "the service: reads meters, keeps history, publishes",
             .purpose =
                 "Runs the bridge until SIGTERM or SIGINT. SIGHUP loads the configuration again. "
                 "`bl2mqtt --config FILE run` names the configuration. Without any, a first "
                 "bridge.yaml is "
                 "written here, and the web page leads on."},
    .run = run,
};
