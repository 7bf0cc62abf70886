/* SPDX-License-Identifier: MIT */
/* `bl2mqtt openbeken provision`: sets up a module and sees its first readings on the broker. See
 * bl2mqtt-openbeken-provision(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/openbeken_shared.h"
#include "bridge/commands/profiles.h"

#include "bridge/mqtt/server_address.h"
#include "bridge/provision/proof.h"
#include "bridge/provision/provision.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <stdio.h>
#include <string.h>

#define NAME "openbeken provision"
#define SNIPPET_SIZE 4096

struct options {
    struct openbeken_target target;
    const char *server, *client_id, *name, *profile, *user, *password_file, *wait;
    bool dry_run, json, list, help;
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt openbeken provision --host H --mqtt SERVER --id ID [OPTION...]\n"
        "       bl2mqtt openbeken provision --list-profiles\n\n"
        "Sets up an OpenBeken module that is on the network: script and flags of a profile,\n"
        "names, MQTT; restarts it and waits for its first readings on the broker. Changes only\n"
        "what differs. If a step fails, what was changed is put back.\n\n" OPENBEKEN_TARGET_HELP
        "  --mqtt SERVER            the broker, as the module reaches it: mqtt://192.168.1.2\n"
        "  --id ID                  the module's client id: its topics begin with it\n"
        "  --mqtt-user U            user at the broker\n"
        "  --mqtt-password-file F   its password; else OBK_MQTT_PASSWORD, else it is asked for\n"
        "  --name N                 the module's name (default: stays as it is)\n"
        "  --profile NAME           kind of meter, or a profile's file; without it, script and\n"
        "                           flags stay as they are\n"
        "  --wait S                 seconds to wait for the restart and readings (default %d;\n"
        "                           0: do not wait)\n"
        "  --dry-run                show each request, send nothing\n"
        "  --list-profiles          list the profiles that are built in\n"
        "  --json                   one JSON document instead of text\n"
        "  --help                   this text\n",
        PROOF_WAIT_DEFAULT_S);
}

static enum status parse(int argc, char **argv, struct options *options)
{
    const struct words_row own[] = {
        {"mqtt", &options->server, NULL},
        {"id", &options->client_id, NULL},
        {"mqtt-user", &options->user, NULL},
        {"mqtt-password-file", &options->password_file, NULL},
        {"name", &options->name, NULL},
        {"profile", &options->profile, NULL},
        {"wait", &options->wait, NULL},
        {"dry-run", NULL, &options->dry_run},
        {"list-profiles", NULL, &options->list},
        {"json", NULL, &options->json},
        {NULL, NULL, NULL},
    };
    return openbeken_parse(NAME, own, argc, argv, &options->target, &options->help, NULL);
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

/* The same word means this machine here and the module there. */
static enum status check_loopback(const struct options *options, const char *broker,
                                  struct error *error)
{
    const char *host = options->target.host;
    if (strncmp(host, "http://", 7) == 0)
        host += 7;
    bool module_is_here = strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
                          strncmp(host, "[::1]", 5) == 0;
    if (!is_loopback(broker) || module_is_here)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "--mqtt %s would be the module itself to the module. Give this machine's "
                     "address on the network.",
                     options->server);
}

static enum status check_broker(const struct options *options, struct server_address *address,
                                struct error *error)
{
    if (options->server == NULL)
        return error_set(error, STATUS_USAGE, "Say with --mqtt which broker it shall use.");
    if (server_address_parse(options->server, address, NULL) != STATUS_OK)
        return error_set(error, STATUS_USAGE,
                         "--mqtt \"%.100s\" must look like mqtt://192.168.1.2 or "
                         "mqtt://192.168.1.2:1883; user and password have options of their own.",
                         options->server);
    if (address->tls)
        return error_set(error, STATUS_USAGE,
                         "--mqtt must begin with mqtt://, because OpenBeken's published images "
                         "for these chips speak MQTT without TLS.");
    if (strlen(address->host) > OBK_MQTT_HOST_MAX)
        return error_set(error, STATUS_USAGE, "The broker's name is longer than %d bytes.",
                         OBK_MQTT_HOST_MAX);
    return check_loopback(options, address->host, error);
}

static enum status check_texts(const struct options *options, struct error *error)
{
    enum status status = provision_check_client_id("--id", options->client_id, error);
    if (status == STATUS_OK && options->name != NULL)
        status = obk_check_text("name", options->name, OBK_NAME_MAX, error);
    if (status == STATUS_OK && options->user != NULL)
        status = obk_check_text("user", options->user, OBK_USER_MAX, error);
    if (status == STATUS_OK && options->user == NULL && options->password_file != NULL)
        return error_set(error, STATUS_USAGE, "A password needs a user; give --mqtt-user too.");
    return status;
}

static enum status read_wait(const char *text, int64_t *wait_ms, struct error *error)
{
    int64_t seconds = PROOF_WAIT_DEFAULT_S;
    if (text != NULL && !number_parse_int(text, strlen(text), 0, 3600, &seconds))
        return error_set(error, STATUS_USAGE, "--wait must be whole seconds from 0 to 3600.");
    *wait_ms = seconds * 1000;
    return STATUS_OK;
}

static enum status load_profile(const char *name, struct profile **profile, struct error *error)
{
    if (name == NULL)
        return STATUS_OK;
    enum status status = profile_load(name, profile, error);
    if (status != STATUS_OK)
        return status;
    if ((*profile)->pin_count > 0)
        return error_set(error, STATUS_USAGE,
                         "The profile %s sets pins, which goes over the cable only "
                         "(`bl2mqtt flash provision`); for a module on the network take them out "
                         "of the profile and set them on its web page.",
                         name);
    if ((*profile)->openbeken)
        return STATUS_OK;
    char snippet[SNIPPET_SIZE];
    struct text text;
    text_init(&text, snippet, sizeof snippet);
    profile_append_bridge(*profile, "meter", "", &text);
    return error_set(error, STATUS_USAGE,
                     "The profile %s is wired to this machine: there is no module to set up. For "
                     "bridge.yaml:\n\n%.600s",
                     name, snippet);
}

/* ---- dry run ---- */

struct showing {
    const char *host;
    json_t *requests;
    bool json;
};

static void show_request(void *context, const char *why, const struct obk_request *request)
{
    struct showing *showing = context;
    const char *method = request->post ? "POST" : "GET";
    if (showing->json) {
        (void)json_array_append_new(showing->requests,
                                    json_pack("{s:s, s:s, s:s, s:s}", "method", method, "path",
                                              request->shown, "body", request->body, "why", why));
        return;
    }
    (void)printf("# %s\n%s http://%s%s\n", why, method, showing->host, request->shown);
    bool line_begins = true;
    for (const char *c = request->body; *c != '\0'; c++) {
        (void)printf(line_begins ? "    %c" : "%c", *c);
        line_begins = *c == '\n';
    }
    (void)printf(line_begins ? "\n" : "\n\n");
}

static enum status dry_run(const struct provision_options *options, const struct module *module,
                           bool json, struct error *error)
{
    struct showing showing = {.host = module_host(module), .requests = json_array(), .json = json};
    enum status status = provision_show(options, &showing, show_request, error);
    if (status == STATUS_OK && json)
        return openbeken_print_json(json_pack("{s:b, s:s, s:o}", "dry_run", 1, "host", showing.host,
                                              "requests", showing.requests),
                                    error);
    json_decref(showing.requests);
    if (status == STATUS_OK)
        (void)fprintf(stderr, "Nothing was sent.\n");
    return status;
}

/* ---- the answer ---- */

static void print_progress(void *context, const char *sentence)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", sentence);
}

static json_t *report_json(const struct provision_options *options, const char *host,
                           const struct provision_report *report, const char *snippet,
                           enum status status, const struct error *failure)
{
    json_t *changed = json_array();
    for (size_t i = 0; i < report->changed_count; i++)
        (void)json_array_append_new(changed, json_string(report->changed[i]));
    json_t *online = report->waited ? json_boolean(report->sight.online) : json_null();
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:b, s:o, s:o, s:o, s:s}", "host",
                             host, "chipset", report->info.chipset, "build", report->info.build,
                             "mac", report->info.mac, "client_id", options->mqtt.client_id,
                             "changed", changed, "kept_old_script", report->kept_old_script,
                             "restarted", report->restarted, "online", online, "channels",
                             openbeken_channels_json(report->waited ? &report->sight : NULL),
                             "warnings", openbeken_advice_json(&report->advice), "config", snippet);
    (void)json_object_set_new(json, "error",
                              status == STATUS_OK ? json_null() : json_string(failure->text));
    return json;
}

static void print_report(const struct provision_report *report, const char *snippet)
{
    openbeken_print_advice(&report->advice);
    if (report->kept_old_script)
        (void)fprintf(stderr, "The script that was there before is now autoexec.old.\n");
    if (report->waited) {
        openbeken_print_channels(&report->sight);
        openbeken_warn_of_power(&report->sight);
    }
    if (snippet[0] != '\0')
        (void)printf("\nFor bridge.yaml:\n\n%s", snippet);
}

static void make_snippet(const struct provision_options *options, char *snippet)
{
    struct text text;
    text_init(&text, snippet, SNIPPET_SIZE);
    if (options->profile != NULL)
        profile_append_bridge(options->profile, options->mqtt.client_id, options->name, &text);
}

static enum status provision(const struct provision_options *options, struct module *module,
                             bool json, struct error *error)
{
    struct provision_report *report memory_auto = memory_new(1, sizeof *report);
    const struct provision_listener listener = {.say = print_progress};
    char snippet[SNIPPET_SIZE];
    make_snippet(options, snippet);
    enum status status = provision_run(options, module, &listener, report, error);
    if (json) {
        enum status printed = openbeken_print_json(
            report_json(options, module_host(module), report, snippet, status, error),
            status == STATUS_OK ? error : NULL);
        return status == STATUS_OK ? printed : status;
    }
    if (status == STATUS_OK)
        print_report(report, snippet);
    return status;
}

static enum status prepare(const struct options *options, struct provision_options *prepared,
                           struct server_address *address, struct profile **profile,
                           char password[SECRET_SIZE], struct error *error)
{
    if (options->target.host == NULL)
        return error_set(error, STATUS_USAGE, "Say which module with --host.");
    enum status status = check_broker(options, address, error);
    if (status == STATUS_OK)
        status = check_texts(options, error);
    if (status == STATUS_OK)
        status = read_wait(options->wait, &prepared->wait_ms, error);
    if (status == STATUS_OK)
        status = load_profile(options->profile, profile, error);
    if (status == STATUS_OK && options->user != NULL)
        status = secret_read("MQTT password", options->password_file, "OBK_MQTT_PASSWORD",
                             !options->dry_run, password, error);
    if (status == STATUS_OK && options->user != NULL && options->dry_run && password[0] == '\0')
        (void)snprintf(password, SECRET_SIZE, "?"); /* so that it is shown where it will stand */
    if (status == STATUS_OK && password[0] != '\0')
        status = obk_check_text("MQTT password", password, OBK_PASSWORD_MAX, error);
    prepared->mqtt = (struct obk_mqtt){.host = address->host,
                                       .port = address->port,
                                       .client_id = options->client_id,
                                       .user = options->user != NULL ? options->user : "",
                                       .password = password};
    prepared->server = address->uri;
    prepared->name = options->name != NULL ? options->name : "";
    prepared->profile = *profile;
    return status;
}

static enum status run(const struct options *options, struct error *error)
{
    char password[SECRET_SIZE] = "";
    struct server_address address = {.port = 0};
    struct provision_options prepared = {.wait_ms = 0};
    struct profile *profile = NULL;
    struct module *module = NULL;
    enum status status = prepare(options, &prepared, &address, &profile, password, error);
    if (status == STATUS_OK)
        status = openbeken_open(&options->target, &module, error);
    if (status == STATUS_OK)
        status = options->dry_run ? dry_run(&prepared, module, options->json, error)
                                  : provision(&prepared, module, options->json, error);
    module_close(module);
    profile_free(profile);
    explicit_bzero(password, sizeof password);
    return status;
}

enum status command_openbeken_provision(const struct command_context *context, int argc,
                                        char **argv)
{
    (void)context;
    struct options options = {.server = NULL};
    struct error error = {.text = ""};
    enum status status = parse(argc, argv, &options);
    if (status != STATUS_OK)
        return status;
    if (options.help) {
        print_help();
        return STATUS_OK;
    }
    status = options.list ? profiles_list(NAME, options.json, &error) : run(&options, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(NAME, status, &error);
}
