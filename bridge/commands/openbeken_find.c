/* SPDX-License-Identifier: MIT */
/* `bl2mqtt openbeken find`: lists modules on the broker. See bl2mqtt-openbeken-find(1). */
#include "bridge/commands/ask_service.h"
#include "bridge/commands/command.h"

#include "bridge/commands/openbeken_shared.h"
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
#define ADOPT_MS 10000

struct settings {
    int64_t duration_ms;
    const char *clear_client; /* NULL */
    const char *adopt;        /* a client id, or "all"; NULL */
    bool json;
    /* Instead of bridge.yaml; NULL where not given. */
    const char *server, *user, *password_file, *ca, *base_topic, *discovery_prefix;
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt [--config FILE] openbeken find [--minutes N] [--adopt TOPIC|all]\n"
        "                                              [--clear TOPIC] [--json]\n"
        "       bl2mqtt openbeken find --server URL [--user U] [--password-file F] ...\n\n"
        "Finds OpenBeken modules on the configured broker and prints the lines for "
        "bridge.yaml.\n\n"
        "  --minutes N    listen for so long, 0.02 to 60 (default 1.25: a module repeats "
        "each\n                 value within 61 s)\n"
        "  --clear TOPIC  remove what the module with this client id announced to Home\n"
        "                 Assistant, and listen for 3 s only\n"
        "  --adopt TOPIC  let the running service adopt the module with this client id; all:\n"
        "                 every one that is found and new\n"
        "  --json         one JSON document instead of text\n"
        "  --help         this text\n\n"
        "Without a bridge.yaml:\n"
        "  --server URL             mqtt://host or mqtts://host, with :port if it is not the "
        "usual\n"
        "  --user U                 user name at the broker\n"
        "  --password-file F        its password; else OBK_MQTT_PASSWORD, else it is asked "
        "for\n"
        "  --ca F                   certificate of the broker's authority (mqtts)\n"
        "  --base-topic T           of the service that is to adopt (default bl2mqtt)\n"
        "  --discovery-prefix P     of Home Assistant (default homeassistant)\n");
}

static enum status wrong(const char *what, struct error *error)
{
    return error_set(error, STATUS_USAGE, "%s; see `bl2mqtt openbeken find --help`.", what);
}

static enum status parse_minutes(const char *text, struct settings *settings, struct error *error)
{
    double minutes;
    if (!number_parse_double(text, strlen(text), 0.02, 60, &minutes))
        return wrong("--minutes must be 0.02 to 60", error);
    settings->duration_ms = (int64_t)(minutes * 60000);
    return STATUS_OK;
}

/* Where a long option's argument goes; NULL if it is not one of these. */
static const char **text_option(struct settings *settings, const char *name)
{
    const struct {
        const char *name, **target;
    } table[] = {
        {"clear", &settings->clear_client},
        {"adopt", &settings->adopt},
        {"server", &settings->server},
        {"user", &settings->user},
        {"password-file", &settings->password_file},
        {"ca", &settings->ca},
        {"base-topic", &settings->base_topic},
        {"discovery-prefix", &settings->discovery_prefix},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].target;
    return NULL;
}

static enum status check_settings(struct settings *settings, struct error *error)
{
    if (settings->clear_client != NULL && settings->adopt != NULL)
        return wrong("--clear and --adopt are two different errands", error);
    if (settings->server == NULL &&
        (settings->user != NULL || settings->password_file != NULL || settings->ca != NULL ||
         settings->base_topic != NULL || settings->discovery_prefix != NULL))
        return wrong("Without --server the broker is that of bridge.yaml, which has the other "
                     "settings too",
                     error);
    if (settings->duration_ms == 0)
        settings->duration_ms =
            settings->clear_client != NULL ? CLEAR_MS : SEARCH_MODULE_REPEATS_MS;
    return STATUS_OK;
}

static enum status parse(int argc, char **argv, struct settings *settings, bool *help,
                         struct error *error)
{
    static const struct option options[] = {
        {"minutes", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"clear", required_argument, NULL, 't'},
        {"adopt", required_argument, NULL, 't'},
        {"server", required_argument, NULL, 't'},
        {"user", required_argument, NULL, 't'},
        {"password-file", required_argument, NULL, 't'},
        {"ca", required_argument, NULL, 't'},
        {"base-topic", required_argument, NULL, 't'},
        {"discovery-prefix", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    enum status status = STATUS_OK;
    int option, index = 0;
    while (status == STATUS_OK && (option = getopt_long(argc, argv, "h", options, &index)) != -1) {
        switch (option) {
        case 'm':
            status = parse_minutes(optarg, settings, error);
            break;
        case 't':
            *text_option(settings, options[index].name) = optarg;
            break;
        case 'j':
            settings->json = true;
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
    return status == STATUS_OK ? check_settings(settings, error) : status;
}

/* ---- the broker ---- */

static void set_if_given(json_t *object, const char *key, const char *value)
{
    if (value != NULL)
        (void)json_object_set_new(object, key, json_string(value));
}

/* As if bridge.yaml said it, so that the same rules and messages hold. */
static struct config *config_of_options(const struct settings *settings, const char *password,
                                        struct config_problems *problems)
{
    json_t *mqtt = json_object(), *homeassistant = json_object();
    set_if_given(mqtt, "server", settings->server);
    set_if_given(mqtt, "user", settings->user);
    set_if_given(mqtt, "password", password[0] != '\0' ? password : NULL);
    set_if_given(mqtt, "ca", settings->ca);
    set_if_given(mqtt, "base_topic", settings->base_topic);
    set_if_given(homeassistant, "discovery_prefix", settings->discovery_prefix);
    json_t *root =
        json_pack("{s:o, s:o, s:[]}", "mqtt", mqtt, "homeassistant", homeassistant, "devices");
    char *text = json_dumps(root, 0);
    json_decref(root);
    struct config *config =
        text == NULL ? NULL : config_parse("the options", text, strlen(text), NULL, problems);
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
    return config;
}

static struct config *load_config(const struct command_context *context,
                                  const struct settings *settings, struct error *error)
{
    char password[SECRET_SIZE] = "";
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct config *config = NULL;
    if (settings->server == NULL) {
        config = config_load(context->config_path, environ, problems);
        config_problems_print(problems, stderr);
        if (config == NULL)
            (void)error_set(error, STATUS_USAGE,
                            "There is no usable bridge.yaml; --server names a broker without one.");
        return config;
    }
    if (secret_read("MQTT password", settings->password_file, "OBK_MQTT_PASSWORD",
                    settings->user != NULL, password, error) != STATUS_OK)
        return NULL;
    config = config_of_options(settings, settings->user != NULL ? password : "", problems);
    explicit_bzero(password, sizeof password);
    const struct config_problem *first = config_problems_first_error(problems);
    if (config == NULL)
        (void)error_set(error, STATUS_USAGE, "%s",
                        first != NULL ? first->message : "It is not UTF-8.");
    return config;
}

/* ---- looking ---- */

static void on_done(void *context)
{
    uv_stop(context);
}

static enum status search_modules(const struct config *config, const struct settings *settings,
                                  struct log *log, json_t **result, struct error *error)
{
    uv_loop_t loop;
    struct search *search = NULL;
    if (uv_loop_init(&loop) != 0)
        return error_set(error, STATUS_FAILED, "The event loop could not be created.");
    const struct search_options options = {
        .config = config,
        .duration_ms = settings->duration_ms,
        .clear_client = settings->clear_client,
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

static void print_heading(const json_t *module)
{
    static const char *const keys[] = {"long_name", "page"};
    const json_t *online = json_object_get(module, "online");
    const json_t *adopted = json_object_get(module, "adopted");
    (void)printf("# %s", text_of(module, "topic"));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (text_of(module, keys[i])[0] != '\0')
            (void)printf(" %s", text_of(module, keys[i]));
    if (online != NULL)
        (void)printf(", %s", json_is_true(online) ? "online" : "offline");
    if (adopted != NULL)
        (void)printf(", adopted as the device %s", text_of(adopted, "id"));
    else if (json_is_true(json_object_get(module, "configured")))
        (void)printf(", a device already");
    (void)printf("\n");
}

static void print_modules(const json_t *modules)
{
    size_t index, n;
    const json_t *module, *note;
    json_array_foreach(modules, index, module)
    {
        print_heading(module);
        json_array_foreach(json_object_get(module, "notes"), n, note)
        {
            (void)printf("#   %s\n", json_string_value(note));
        }
        if (json_object_get(module, "adopted") == NULL) /* its lines a second time would be wrong */
            (void)printf("%s", text_of(module, "config"));
    }
}

static enum status judge(const json_t *result, const struct settings *settings, struct error *error)
{
    if (!json_is_true(json_object_get(result, "connected")))
        return error_set(error, STATUS_NO_ANSWER,
                         "The broker did not answer: check mqtt.server, user and password.");
    if (settings->clear_client != NULL) {
        json_int_t count = json_integer_value(json_object_get(result, "cleared"));
        (void)fprintf(stderr, "%lld announcement(s) of %s were removed.\n", (long long)count,
                      settings->clear_client);
        return count > 0 ? STATUS_OK
                         : error_set(error, STATUS_NO_ANSWER,
                                     "There was no announcement of %s on the broker.",
                                     settings->clear_client);
    }
    if (json_array_size(json_object_get(result, "modules")) == 0)
        return error_set(error, STATUS_NO_ANSWER,
                         "No module was received: does its MQTT page name this broker, and is "
                         "flag 10 on?");
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
    enum status status =
        ask_service(config, "device/adopt", adopt_request(module), ADOPT_MS, &data, error);
    if (status == STATUS_OK) {
        (void)fprintf(stderr, "%s is the device %s now.\n", text_of(module, "topic"),
                      text_of(data, "id"));
        (void)json_object_set_new(module, "adopted", data);
        return STATUS_OK;
    }
    return error_prefix(error, status,
                        status == STATUS_NO_ANSWER ? "Only a running service can adopt. "
                                                   : "It was not adopted. ");
}

/* Each is tried; the first error is the one to tell. */
static enum status adopt(const struct config *config, const json_t *result,
                         const struct settings *settings, struct error *error)
{
    bool all = strcmp(settings->adopt, "all") == 0, found = false;
    enum status status = STATUS_OK;
    size_t index;
    json_t *module;
    json_array_foreach(json_object_get(result, "modules"), index, module)
    {
        if (!all && strcmp(text_of(module, "topic"), settings->adopt) != 0)
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
                         settings->adopt);
    return status;
}

static enum status find(const struct config *config, const struct settings *settings,
                        struct error *error)
{
    struct log *log = log_create(LOG_LEVEL_WARNING);
    if (log == NULL)
        return error_set(error, STATUS_FAILED, "The log could not be opened.");
    json_t *result = NULL;
    (void)fprintf(stderr, "Listening for %lld s ...\n", (long long)settings->duration_ms / 1000);
    enum status status = search_modules(config, settings, log, &result, error);
    log_free(log);
    if (status != STATUS_OK)
        return status;
    status = judge(result, settings, error);
    if (status == STATUS_OK && settings->adopt != NULL)
        status = adopt(config, result, settings, error);
    if (settings->json) {
        (void)json_dumpf(result, stdout, JSON_INDENT(2));
        (void)printf("\n");
    } else if (settings->clear_client == NULL) {
        print_modules(json_object_get(result, "modules"));
    }
    json_decref(result);
    return status;
}

enum status command_openbeken_find(const struct command_context *context, int argc, char **argv)
{
    struct settings settings = {0};
    struct error error = {""};
    bool help = false;
    enum status status = parse(argc, argv, &settings, &help, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    if (help) {
        print_help();
        return STATUS_OK;
    }
    struct config *config = load_config(context, &settings, &error);
    if (config == NULL)
        return command_fail(NAME, STATUS_USAGE, &error);
    status = find(config, &settings, &error);
    config_free(config);
    return status == STATUS_OK ? status : command_fail(NAME, status, &error);
}
