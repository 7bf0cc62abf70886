/* SPDX-License-Identifier: MIT */
/* bl2mqtt check: says whether bridge.yaml can be used, and if not, all that is wrong with it. */
#include "bridge/commands/check_broker.h"
#include "bridge/commands/command.h"
#include "bridge/config/config.h"
#include "bridge/config/defaults.h"
#include "bridge/config/json.h"
#include "drivers/base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define NAME "check"

struct options {
    bool json, online, print_defaults, print_schema;
};

static json_t *problem_json(const struct config_problem *problem)
{
    return json_pack("{s:s,s:i,s:i,s:s,s:s}", "file", problem->file, "line", problem->line,
                     "column", problem->column, "severity",
                     problem->severity == CONFIG_ERROR ? "error" : "warning", "message",
                     problem->message);
}

static enum status answer_json(const struct config *config, const struct config_problems *problems)
{
    json_t *list = json_array();
    for (size_t i = 0; i < problems->count; i++)
        json_array_append_new(list, problem_json(&problems->list[i]));
    json_t *answer = json_pack("{s:b,s:o}", "valid", config != NULL, "problems", list);
    if (problems->more > 0)
        json_object_set_new(answer, "more", json_integer((json_int_t)problems->more));
    return command_print_json(NAME, answer, JSON_INDENT(2));
}

static void print_count(const char *separator, size_t count, const char *what)
{
    (void)printf("%s%zu %s%s", separator, count, what, count == 1 ? "" : "s");
}

/* No fault of the file, as the adapter may be plugged in at any time: so no warning, only a remark. */
static void remark_missing_ports(const struct config *config)
{
    size_t missing = 0;
    const char *first = NULL;
    for (size_t d = 0; d < config->device_count; d++) {
        const struct config_device *device = &config->devices[d];
        for (size_t c = 0; device->driver == DRIVER_BL0942 && c < device->channel_count; c++) {
            const char *port = device->channels[c].port;
            if (port[0] != '/' || access(port, F_OK) == 0) /* the network's answer for themselves */
                continue;
            first = first == NULL ? device->channels[c].port : first;
            missing++;
        }
    }
    if (missing == 1)
        (void)fprintf(
            stderr, "Its port %s is not there now; `bl2mqtt ports` lists those that are.\n", first);
    if (missing > 1)
        (void)fprintf(stderr,
                      "%zu of its ports are not there now, the first is %s; `bl2mqtt ports` lists "
                      "those that are.\n",
                      missing, first);
}

static void answer_text(const char *path, const struct config *config,
                        const struct config_problems *problems)
{
    config_problems_print(problems, stderr);
    if (config == NULL)
        return;
    size_t channels = 0;
    for (size_t i = 0; i < config->device_count; i++)
        channels += config->devices[i].channel_count;
    (void)printf("%s is fine:", path);
    print_count(" ", config->device_count, "device");
    print_count(", ", channels, "channel");
    if (problems->warnings > 0)
        print_count(", ", problems->warnings, "warning");
    (void)printf(".\n");
    (void)fflush(stdout);
    remark_missing_ports(config);
}

/* What is wrong beyond the file's text, added to the problems. */
static void add_problem(const struct command_context *context, struct config_problems *problems,
                        const struct error *error)
{
    problems->errors++;
    if (problems->count == CONFIG_PROBLEMS_MAX) {
        problems->more++;
        return;
    }
    struct config_problem *problem = &problems->list[problems->count++];
    *problem = (struct config_problem){.severity = CONFIG_ERROR};
    (void)snprintf(problem->file, sizeof problem->file, "%.255s", context->config_path);
    (void)snprintf(problem->message, sizeof problem->message, "%.399s", error->text);
}

static enum status check(const struct command_context *context, const struct options *options)
{
    struct error error = {""};
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct config *config = config_load(context->config_path, environ, problems);
    enum status status = config != NULL ? STATUS_OK : STATUS_USAGE;
    if (config != NULL)
        status = check_tls_files(&config->mqtt, &error);
    if (config != NULL && status == STATUS_OK && options->online)
        status = check_broker(config, &error);
    if (error.text[0] != '\0')
        add_problem(context, problems, &error);
    struct config *good = status == STATUS_OK ? config : NULL;
    if (options->json && answer_json(good, problems) != STATUS_OK)
        status = STATUS_FAILED;
    if (!options->json)
        answer_text(context->config_path, good, problems);
    if (!options->json && options->online && good != NULL)
        (void)puts("The broker answers.");
    config_free(config);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    if (options->print_defaults) {
        config_print_defaults(stdout);
        return fflush(stdout) == 0 ? STATUS_OK : STATUS_FAILED;
    }
    if (options->print_schema)
        return command_print_json(NAME, config_schema(), JSON_INDENT(2));
    return check(context, options);
}

static const struct option_row rows[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, json),
     .help = "one JSON document: {\"valid\", \"problems\": [...]}"},
    {.name = "online",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, online),
     .help =
         "also ask the broker: does it let this configuration in, and has another bridge the same "
         "base_topic?"},
    {.name = "print-defaults",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, print_defaults),
     .help = "print a bridge.yaml with every key, its default and its meaning"},
    {.name = "print-schema",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, print_schema),
     .help = "print the JSON Schema of bridge.yaml, for editors"},
    {.name = NULL},
};

const struct command command_check = {
    .line = {.name = NAME,
             .summary = "validate bridge.yaml, reporting all problems at once",
             .purpose = "Checks the configuration and reports all problems at once, each as "
                        "file:line:column: message. Exit status 0 if it can be used, perhaps with "
                        "warnings; 2 if not.",
             .tables = {rows},
             .size = sizeof(struct options)},
    .run = run,
};
