/* SPDX-License-Identifier: MIT */
/* `bl2mqtt openbeken provision`: sets up a module and sees its first readings on the broker. See
 * bl2mqtt-openbeken-provision(1). */
#include "bridge/commands/adopt.h"
#include "bridge/commands/command.h"
#include "bridge/commands/openbeken_report.h"
#include "bridge/commands/openbeken_shared.h"
#include "bridge/commands/profiles.h"

#include "bridge/mqtt/server_address.h"
#include "bridge/provision/proof.h"
#include "bridge/provision/provision.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

#define NAME "openbeken provision"

struct options {
    struct openbeken_target target;
    const char *server, *client_id, *name, *profile, *user, *password_file;
    int64_t wait_s;
    enum openbeken_progress progress;
    bool adopt, dry_run, list;
};

static const char *const progress_modes[] = {"auto", "json", "none", NULL};

/* The same word means this machine here and the module there. */
static enum status check_loopback(const struct options *options, const char *broker,
                                  struct error *error)
{
    const char *host = options->target.host;
    if (strncmp(host, "http://", 7) == 0)
        host += 7;
    bool module_is_here = strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
                          strncmp(host, "[::1]", 5) == 0;
    if (!provision_is_loopback(broker) || module_is_here)
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
    enum status status = provision_check_client_id("--client-id", options->client_id, error);
    if (status == STATUS_OK && options->name != NULL)
        status = obk_check_text("name", options->name, OBK_NAME_MAX, error);
    if (status == STATUS_OK && options->user != NULL)
        status = obk_check_text("user", options->user, OBK_USER_MAX, error);
    if (status == STATUS_OK && options->user == NULL && options->password_file != NULL)
        return error_set(error, STATUS_USAGE, "A password needs a user; give --mqtt-user too.");
    return status;
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

/* ---- the work ---- */

static enum status provision(const struct command_context *context, const struct options *options,
                             const struct provision_options *prepared, struct module *module,
                             struct error *error)
{
    struct provision_report *report memory_auto = memory_new(1, sizeof *report);
    enum openbeken_progress progress = options->progress;
    const struct provision_listener listener = {.context = &progress,
                                                .say = openbeken_print_progress,
                                                .stage = openbeken_print_stage,
                                                .stopped = openbeken_stopped};
    char snippet[SNIPPET_SIZE];
    json_t *adopted = NULL;
    openbeken_make_snippet(prepared, snippet);
    openbeken_catch_stop();
    enum status status = provision_run(prepared, module, &listener, report, error);
    bool seen = status == STATUS_OK;
    if (seen && options->adopt)
        status = adopt(context, false, prepared->profile, prepared->mqtt.client_id, prepared->name,
                       &adopted, error);
    if (seen && status != STATUS_OK)
        (void)error_prefix(error, status, "The module is set up, but was not added: ");
    if (options->target.json) {
        enum status printed =
            openbeken_print_json(openbeken_report_json(prepared, module_host(module), report,
                                                       snippet, adopted, status, error),
                                 status == STATUS_OK ? error : NULL);
        status = status == STATUS_OK ? printed : status;
    } else if (seen) {
        openbeken_print_report(report, adopted == NULL ? snippet : "");
    }
    json_decref(adopted);
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
    prepared->wait_ms = options->wait_s * 1000;
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

static enum status set_up(const struct command_context *context, const struct options *options,
                          struct error *error)
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
        status = options->dry_run
                     ? openbeken_show_requests(&prepared, module, options->target.json, error)
                     : provision(context, options, &prepared, module, error);
    module_close(module);
    profile_free(profile);
    explicit_bzero(password, sizeof password);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {.text = ""};
    enum status status = options->list ? profiles_list(NAME, options->target.json, &error)
                                       : set_up(context, options, &error);
    if (status == STATUS_OK || options->progress != OPENBEKEN_JSON)
        return command_end(NAME, status, &error);
    openbeken_print_message(error.text, (int)status);
    return status;
}

/* clang-format off */
static const struct option_row rows[] = {
    {.name = "mqtt", .argument = "SERVER", .at = offsetof(struct options, server),
     .in_usage = true, .help = "the broker, as the module reaches it: mqtt://192.168.1.2"},
    {.name = "client-id", .argument = "ID", .at = offsetof(struct options, client_id),
     .in_usage = true, .help = "the module's client id: its topics begin with it"},
    {.name = "id", .kind = OPTION_ALIAS, .argument = "client-id"},
    {.name = "mqtt-user", .argument = "U", .at = offsetof(struct options, user),
     .help = "user at the broker"},
    {.name = "mqtt-password-file", .argument = "F", .at = offsetof(struct options, password_file),
     .file = true, .help = "its password; else OBK_MQTT_PASSWORD, else it is asked for"},
    {.name = "name", .argument = "N", .at = offsetof(struct options, name),
     .help = "the module's name (default: stays as it is)"},
    {.name = "profile", .argument = "NAME", .at = offsetof(struct options, profile), .file = true,
     .help = "kind of meter, or a profile's file; without it, script and flags stay as they are"},
    {.name = "wait-time", .kind = OPTION_INTEGER, .argument = "S",
     .at = offsetof(struct options, wait_s), .low = 0, .high = 3600, .preset = "150",
     .wanted = "whole seconds from 0 to 3600",
     .help = "seconds to wait for the restart and readings; 0: do not wait"},
    {.name = "wait", .kind = OPTION_ALIAS, .argument = "wait-time"},
    {.name = "adopt", .kind = OPTION_FLAG, .at = offsetof(struct options, adopt),
     .help = "then add it to the running service (of --config)"},
    {.name = "progress", .kind = OPTION_CHOICE, .argument = "KIND",
     .at = offsetof(struct options, progress), .choices = progress_modes, .preset = "auto",
     .help = "how progress is shown on stderr: auto (sentences), json (a line for each), none"},
    {.name = "dry-run", .kind = OPTION_FLAG, .at = offsetof(struct options, dry_run),
     .help = "show each request, send nothing"},
    {.name = "list-profiles", .kind = OPTION_FLAG, .at = offsetof(struct options, list),
     .help = "list the profiles that are built in"},
    {.name = NULL},
};
/* clang-format on */

_Static_assert(PROOF_WAIT_DEFAULT_S == 150, "the preset of --wait-time");

const struct command command_openbeken_provision = {
    .line =
        {.name = NAME,
         .summary = "set up an OpenBeken module",
         .purpose =
             "Sets up an OpenBeken module that is on the network: script and flags of a profile, "
             "names, MQTT; restarts it and waits for its first readings on the broker. Changes "
             "only what differs. If a step fails, what was changed is put back.",
         .usage = "--list-profiles",
         .tables = {openbeken_target_rows, rows, openbeken_json_rows},
         .size = sizeof(struct options)},
    .run = run,
};
