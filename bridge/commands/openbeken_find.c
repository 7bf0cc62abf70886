/* SPDX-License-Identifier: MIT */
/* `bl2mqtt openbeken find`: lists modules on the broker. See bl2mqtt-openbeken-find(1). */
#include "bridge/commands/command.h"

#include "bridge/config/config.h"
#include "bridge/service/search.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "openbeken find"
#define CLEAR_MS 3000 /* retained announcements come at once */

struct wishes {
    int64_t duration_ms;
    const char *clear_client; /* NULL */
    bool json;
};

static void print_help(void)
{
    (void)printf("Usage: bl2mqtt [--config FILE] openbeken find [--minutes N] [--clear TOPIC] "
                 "[--json]\n\n"
                 "Finds OpenBeken modules on the configured broker and prints the lines for "
                 "bridge.yaml.\n\n"
                 "  --minutes N    listen for so long, 0.1 to 60 (default 1.25: a module repeats "
                 "each\n                 value within 61 s)\n"
                 "  --clear TOPIC  remove what the module with this client id announced to Home\n"
                 "                 Assistant, and listen for 3 s only\n"
                 "  --json         one JSON document instead of text\n"
                 "  --help         this text\n");
}

static enum status wrong(const char *what, struct error *error)
{
    return error_set(error, STATUS_USAGE, "%s; see `bl2mqtt openbeken find --help`.", what);
}

static enum status parse_minutes(const char *text, struct wishes *wishes, struct error *error)
{
    double minutes;
    if (!number_parse_double(text, strlen(text), 0.1, 60, &minutes))
        return wrong("--minutes must be 0.1 to 60", error);
    wishes->duration_ms = (int64_t)(minutes * 60000);
    return STATUS_OK;
}

static enum status parse(int argc, char **argv, struct wishes *wishes, bool *help,
                         struct error *error)
{
    static const struct option options[] = {
        {"minutes", required_argument, NULL, 'm'},
        {"clear", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    enum status status = STATUS_OK;
    int option;
    while (status == STATUS_OK && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'm':
            status = parse_minutes(optarg, wishes, error);
            break;
        case 'c':
            wishes->clear_client = optarg;
            break;
        case 'j':
            wishes->json = true;
            break;
        case 'h':
            *help = true;
            return STATUS_OK;
        default:
            return wrong("An option is not understood", error);
        }
    }
    if (status == STATUS_OK && optind < argc)
        return wrong("There is one word too many", error);
    if (wishes->duration_ms == 0)
        wishes->duration_ms = wishes->clear_client != NULL ? CLEAR_MS : SEARCH_MODULE_REPEATS_MS;
    return status;
}

static void on_done(void *context)
{
    uv_stop(context);
}

static enum status search_modules(const struct config *config, const struct wishes *wishes,
                                  struct log *log, json_t **result, struct error *error)
{
    uv_loop_t loop;
    struct search *search = NULL;
    if (uv_loop_init(&loop) != 0)
        return error_set(error, STATUS_FAILED, "The event loop could not be created.");
    const struct search_options options = {
        .config = config,
        .duration_ms = wishes->duration_ms,
        .clear_client = wishes->clear_client,
        .log = log,
        .done = on_done,
        .context = &loop,
    };
    enum status status = search_start(&loop, &options, &search, error);
    if (status == STATUS_OK) {
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        *result = search_result(search);
        search_close(search);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return status;
}

static const char *text_of(const json_t *module, const char *key)
{
    const char *text = json_string_value(json_object_get(module, key));
    return text == NULL ? "" : text;
}

static void print_modules(const json_t *modules)
{
    size_t index, n;
    const json_t *module, *note;
    json_array_foreach(modules, index, module)
    {
        bool online = json_is_true(json_object_get(module, "online"));
        (void)printf(
            "# %s %s %s%s%s\n", text_of(module, "topic"), text_of(module, "long_name"),
            text_of(module, "page"), online ? ", online" : "",
            json_is_true(json_object_get(module, "configured")) ? ", in bridge.yaml already" : "");
        json_array_foreach(json_object_get(module, "notes"), n, note)
        {
            (void)printf("#   %s\n", json_string_value(note));
        }
        (void)printf("%s", text_of(module, "config"));
    }
}

static enum status judge(const json_t *result, const struct wishes *wishes, struct error *error)
{
    if (!json_is_true(json_object_get(result, "connected")))
        return error_set(error, STATUS_NO_ANSWER,
                         "The broker did not answer: check mqtt.server, user and password.");
    if (wishes->clear_client != NULL) {
        json_int_t count = json_integer_value(json_object_get(result, "cleared"));
        (void)fprintf(stderr, "%lld announcement(s) of %s were removed.\n", (long long)count,
                      wishes->clear_client);
        return count > 0 ? STATUS_OK
                         : error_set(error, STATUS_NO_ANSWER,
                                     "There was no announcement of %s on the broker.",
                                     wishes->clear_client);
    }
    if (json_array_size(json_object_get(result, "modules")) == 0)
        return error_set(error, STATUS_NO_ANSWER,
                         "No module was heard: does its MQTT page name this broker, and is "
                         "flag 10 on?");
    return STATUS_OK;
}

static enum status find(const struct config *config, const struct wishes *wishes,
                        struct error *error)
{
    struct log *log = log_create(LOG_LEVEL_WARNING);
    if (log == NULL)
        return error_set(error, STATUS_FAILED, "The log could not be opened.");
    json_t *result = NULL;
    (void)fprintf(stderr, "Listening for %lld s ...\n", (long long)wishes->duration_ms / 1000);
    enum status status = search_modules(config, wishes, log, &result, error);
    log_free(log);
    if (status != STATUS_OK)
        return status;
    if (wishes->json) {
        (void)json_dumpf(result, stdout, JSON_INDENT(2));
        (void)printf("\n");
    } else if (wishes->clear_client == NULL) {
        print_modules(json_object_get(result, "modules"));
    }
    status = judge(result, wishes, error);
    json_decref(result);
    return status;
}

enum status command_openbeken_find(const struct command_context *context, int argc, char **argv)
{
    struct wishes wishes = {0};
    struct error error = {""};
    bool help = false;
    enum status status = parse(argc, argv, &wishes, &help, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    if (help) {
        print_help();
        return STATUS_OK;
    }
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct config *config = config_load(context->config_path, environ, problems);
    config_problems_print(problems, stderr);
    if (config == NULL)
        return STATUS_USAGE;
    status = find(config, &wishes, &error);
    config_free(config);
    return status == STATUS_OK ? status : command_fail(NAME, status, &error);
}
