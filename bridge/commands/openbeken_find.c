/* SPDX-License-Identifier: MIT */
/* `bl2mqtt find`, also `bl2mqtt openbeken find`: lists modules on the broker. See
 * bl2mqtt-openbeken-find(1). */
#include "bridge/commands/ask_service.h"
#include "bridge/commands/broker_config.h"
#include "bridge/commands/openbeken_found.h"
#include "bridge/service/search.h"

#include <stdio.h>
#include <string.h>

#define CLEAR_MS 3000 /* retained announcements come at once */
#define ADOPT_MS 10000

struct options {
    struct broker_options_given broker;
    double minutes;           /* 0: not given */
    const char *clear_client; /* NULL */
    const char *adopt;        /* a client id, or "all"; NULL */
    bool json;
};

static int64_t duration_of(const struct options *options)
{
    if (options->minutes > 0)
        return (int64_t)(options->minutes * 60000);
    return options->clear_client != NULL ? CLEAR_MS : SEARCH_MODULE_REPEATS_MS;
}

/* ---- looking ---- */

static void on_done(void *context)
{
    uv_stop(context);
}

static enum status search_modules(const struct config *config, const struct options *options,
                                  struct log *log, json_t **result, struct error *error)
{
    uv_loop_t loop;
    struct search *search = NULL;
    if (uv_loop_init(&loop) != 0)
        return error_set(error, STATUS_FAILED, "The event loop could not be created.");
    const struct search_options wanted = {
        .config = config,
        .duration_ms = duration_of(options),
        .clear_client = options->clear_client,
        .log = log,
        .done = on_done,
        .context = &loop,
    };
    enum status status = search_start(&loop, &wanted, &search, error);
    if (status == STATUS_OK) {
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        *result = search_result(search);
        search_close(search);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return status;
}

static enum status judge(const json_t *result, const struct options *options, struct error *error)
{
    if (!json_is_true(json_object_get(result, "connected")))
        return error_set(error, STATUS_NO_ANSWER,
                         "The broker did not answer: check mqtt.server, user and password.");
    if (options->clear_client != NULL) {
        json_int_t count = json_integer_value(json_object_get(result, "cleared"));
        (void)fprintf(stderr, "%lld announcement(s) of %s were removed.\n", (long long)count,
                      options->clear_client);
        return count > 0 ? STATUS_OK
                         : error_set(error, STATUS_NO_ANSWER,
                                     "There was no announcement of %s on the broker.",
                                     options->clear_client);
    }
    if (json_array_size(json_object_get(result, "modules")) == 0)
        return error_set(error, STATUS_NO_ANSWER,
                         "No module or meter was received: does it name this broker? OpenBeken "
                         "modules need flag 10.");
    return STATUS_OK;
}

/* ---- adopting ---- */

static json_t *adopt_request(const json_t *module)
{
    json_t *channels = json_array();
    bool second = json_is_true(json_object_get(module, "chip_b"));
    if (json_is_true(json_object_get(module, "chip_a")) || !second)
        (void)json_array_append_new(channels, json_string("a"));
    if (second)
        (void)json_array_append_new(channels, json_string("b"));
    return json_pack("{s:O, s:o}", "topic", json_object_get(module, "topic"), "channels", channels);
}

static enum status adopt_one(const struct config *config, json_t *module, struct error *error)
{
    json_t *data = NULL;
    json_t *device = json_object_get(module, "device"); /* of meters that are no OpenBeken module */
    enum status status =
        device != NULL
            ? ask_service(config, "device/add", json_incref(device), ADOPT_MS, &data, error)
            : ask_service(config, "device/adopt", adopt_request(module), ADOPT_MS, &data, error);
    if (status == STATUS_OK) {
        (void)fprintf(stderr, "%s is the device %s now.\n", found_text(module, "topic"),
                      found_text(data, "id"));
        (void)json_object_set_new(module, "adopted", data);
        return STATUS_OK;
    }
    return error_prefix(error, status,
                        status == STATUS_NO_ANSWER ? "Only a running service can adopt. "
                                                   : "It was not adopted. ");
}

/* Each is tried; the first error is the one to tell. */
static enum status adopt(const struct config *config, const json_t *result,
                         const struct options *options, struct error *error)
{
    bool all = strcmp(options->adopt, "all") == 0, found = false;
    enum status status = STATUS_OK;
    size_t index;
    json_t *module;
    json_array_foreach(json_object_get(result, "modules"), index, module)
    {
        bool gone = json_is_false(json_object_get(module, "live")); /* it may be long gone */
        if (all ? gone : strcmp(found_text(module, "topic"), options->adopt) != 0)
            continue;
        found = true;
        struct error problem = {""};
        enum status one = json_is_true(json_object_get(module, "configured"))
                              ? STATUS_OK
                              : adopt_one(config, module, &problem);
        if (one != STATUS_OK && status == STATUS_OK)
            status = error_set(error, one, "%s", problem.text);
        if (one == STATUS_NO_ANSWER)
            break;
    }
    if (!found && !all)
        return error_set(error, STATUS_NO_ANSWER, "No module with the client id %s was received.",
                         options->adopt);
    return status;
}

static enum status find(const struct config *config, const struct options *options,
                        struct error *error)
{
    struct log *log = log_create(LOG_LEVEL_WARNING);
    if (log == NULL)
        return error_set(error, STATUS_FAILED, "The log could not be opened.");
    json_t *result = NULL;
    (void)fprintf(stderr, "Listening for %lld s ...\n", (long long)duration_of(options) / 1000);
    enum status status = search_modules(config, options, log, &result, error);
    log_free(log);
    if (status != STATUS_OK)
        return status;
    status = judge(result, options, error);
    if (status == STATUS_OK && options->adopt != NULL)
        status = adopt(config, result, options, error);
    if (options->json) {
        (void)json_dumpf(result, stdout, JSON_INDENT(2));
        (void)printf("\n");
    } else if (options->clear_client == NULL) {
        found_print(json_object_get(result, "modules"));
    }
    json_decref(result);
    return status;
}

/* ---- the command ---- */

static enum status run(const char *name, const struct command_context *context,
                       const struct options *options)
{
    struct error error = {""};
    if (options->clear_client != NULL && options->adopt != NULL)
        return command_fail(
            name, STATUS_USAGE,
            &(struct error){"--clear and --adopt are two different errands; see --help."});
    struct config *config = broker_config(context, &options->broker, &error);
    if (config == NULL)
        return command_fail(name, STATUS_USAGE, &error);
    enum status status = find(config, options, &error);
    config_free(config);
    return command_end(name, status, &error);
}

/* clang-format off */
static const struct option_row rows[] = {
    {.name = "minutes", .kind = OPTION_NUMBER, .argument = "N",
     .at = offsetof(struct options, minutes), .low = 0.02, .high = 60, .wanted = "0.02 to 60",
     .help = "listen for so long (default 1.25: a module repeats each value within 61 s)"},
    {.name = "clear", .argument = "TOPIC", .at = offsetof(struct options, clear_client),
     .help = "remove what the module with this client id announced to Home Assistant, and listen "
             "for 3 s only"},
    {.name = "adopt", .argument = "TOPIC", .at = offsetof(struct options, adopt),
     .help = "let the running service adopt the module with this client id; all: every one that "
             "is found and new"},
    {.name = "json", .kind = OPTION_FLAG, .at = offsetof(struct options, json),
     .help = "one JSON document instead of text"},
    {.name = "discovery-prefix", .argument = "P",
     .at = offsetof(struct options, broker.discovery_prefix),
     .help = "of Home Assistant, without a bridge.yaml (default homeassistant)"},
    {.name = NULL},
};
/* clang-format on */

#define SUMMARY "list modules and meters on the broker, with their lines for bridge.yaml"
#define PURPOSE                                                                                    \
    "Finds modules (OpenBeken, ESPHome, Tasmota, Zigbee2MQTT, Shelly) on the configured broker "   \
    "and prints "                                                                                  \
    "the lines for bridge.yaml."

static enum status run_short(const struct command_context *context, void *options)
{
    return run("find", context, options);
}

const struct command command_find = {
    .line = {.name = "find",
             .summary = SUMMARY,
             .purpose = PURPOSE,
             .tables = {rows, broker_rows},
             .size = sizeof(struct options)},
    .run = run_short,
};

static enum status run_long(const struct command_context *context, void *options)
{
    return run("openbeken find", context, options);
}

const struct command command_openbeken_find = {
    .line = {.name = "openbeken find",
             .summary = "the same as find",
             .purpose = PURPOSE,
             .tables = {rows, broker_rows},
             .size = sizeof(struct options)},
    .run = run_long,
};
