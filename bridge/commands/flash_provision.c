/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash provision`: from a module as it was bought to its readings on the broker. See
 * bl2mqtt-flash-provision(1). */
#include "bridge/commands/adopt.h"
#include "bridge/commands/command.h"
#include "bridge/commands/flash_provision_rows.h"
#include "bridge/commands/flash_session.h"
#include "bridge/commands/openbeken_shared.h"

#include "bridge/meter/calibration.h"
#include "bridge/provision/esphome_yaml.h"
#include "bridge/provision/serial_setup.h"
#include "drivers/base/memory.h"
#include "drivers/beken/backup_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "flash provision"
enum { SNIPPET_SIZE = 4096 };

/* ---- the answer ---- */

static void make_snippet(const struct serial_setup *setup, char snippet[SNIPPET_SIZE])
{
    const struct provision_texts *own = &setup->inputs->texts;
    struct text text;
    text_init(&text, snippet, SNIPPET_SIZE);
    const char *name = own->name != NULL ? own->name : "";
    if (setup->inputs->app.esphome)
        esphome_bridge_append(setup->inputs->profile, own->client_id, name, &text);
    else
        profile_append_bridge(setup->inputs->profile, own->client_id, name, &text);
}

static json_t *vendor_json(const struct serial_setup *setup)
{
    if (setup->vendor_path[0] == '\0')
        return json_null();
    return json_pack("{s:b, s:o, s:s}", "found", setup->vendor.found, "reason",
                     flash_json_text(setup->vendor.reason), "file", setup->vendor_path);
}

static json_t *write_json(const struct flasher_result *result)
{
    if (result->sectors == 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "sectors", (json_int_t)result->sectors,
                     "written", (json_int_t)result->written, "equal", (json_int_t)result->equal,
                     "retries", (json_int_t)result->retries, "reconnects",
                     (json_int_t)result->reconnects, "baud", (json_int_t)result->baud);
}

static json_t *describe(const struct serial_setup *setup, enum status status,
                        const struct error *error)
{
    const struct app *app = &setup->inputs->app;
    char mac[18] = "", snippet[SNIPPET_SIZE];
    if (setup->module.has_mac)
        backup_file_format_mac(setup->module.mac, mac);
    make_snippet(setup, snippet);
    json_t *firmware =
        json_pack("{s:s, s:s, s:b}", "kind", image_kind_name(setup->inputs->info.kind), "version",
                  app->version, "twin", app->twin);
    return json_pack(
        "{s:s, s:o, s:b, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:O, s:o, s:s, s:O, s:o}",
        "chip", beken_chip_name(setup->module.chip), "mac", flash_json_text(mac), "dry_run",
        setup->inputs->texts.dry_run, "client_id", setup->inputs->texts.client_id, "firmware",
        firmware, "backup", flash_json_text(setup->backup_path), "vendor", vendor_json(setup),
        "write", write_json(&setup->result), "configured", setup->config_changed, "online",
        setup->waited ? json_boolean(setup->observation.online) : json_null(), "ip",
        flash_json_text(setup->observation.ip), "channels",
        openbeken_channels_json(setup->waited ? &setup->observation : NULL), "warnings",
        setup->warnings, "adopted",
        setup->adopted != NULL ? json_incref(setup->adopted) : json_null(), "config", snippet,
        "steps", setup->steps, "error",
        status == STATUS_OK ? json_null() : json_string(error->text));
}

static void print(const struct serial_setup *setup)
{
    char snippet[SNIPPET_SIZE];
    if (setup->inputs->texts.dry_run) {
        (void)printf("Nothing was changed.\n");
        return;
    }
    if (setup->waited)
        openbeken_print_channels(&setup->observation);
    else
        (void)printf("The module starts now. It joins the Wi-Fi within about 15 s.\n");
    make_snippet(setup, snippet);
    if (setup->adopted == NULL)
        (void)printf("\nFor bridge.yaml:\n\n%s", snippet);
}

/* ---- what the steps need ---- */

struct running {
    const struct command_context *context;
    const struct options *options;
    struct flash_session *session;
    const struct provision_inputs *inputs;
};

static void say(void *context, const char *sentence)
{
    const struct running *running = context;
    flash_session_say(running->session, "%s", sentence);
}

static enum status open_session(void *context, struct flasher **flasher, struct error *error)
{
    struct running *running = context;
    enum status status = flash_session_open(&command_flash_provision.line, &running->options->flash,
                                            &running->session, error);
    if (status == STATUS_OK)
        *flasher = flash_session_flasher(running->session);
    return status;
}

static void disconnect(void *context)
{
    const struct running *running = context;
    flash_session_disconnect(running->session);
}

static enum status keep_backup(void *context, const char *path, uint8_t **bytes, bool *fresh,
                               struct error *error)
{
    const struct running *running = context;
    return flash_keep_backup(running->session, path, bytes, fresh, error);
}

static bool stopped(void *context)
{
    (void)context;
    return flash_session_stopped();
}

static enum status hand_over(void *context, const struct profile *profile, const char *client_id,
                             const char *name, json_t **answer, struct error *error)
{
    const struct running *running = context;
    return adopt(running->context, running->inputs->app.esphome, profile, client_id, name, answer,
                 error);
}

/* ---- the command ---- */

static enum status confirm(const struct options *options, const struct provision_inputs *inputs,
                           struct error *error)
{
    char line[20] = "";
    if (options->yes || inputs->texts.dry_run)
        return STATUS_OK;
    if (isatty(STDIN_FILENO) == 0)
        return error_set(
            error, STATUS_USAGE,
            "This replaces the module's firmware: say --yes, or run it on a terminal.");
    (void)fprintf(stderr,
                  "This replaces the firmware of the module at %s by %s%s, after a backup.\n"
                  "Type \"yes\" to go on: ",
                  options->flash.port, inputs->app.esphome ? "ESPHome" : "OpenBeken ",
                  inputs->app.version);
    if (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "yes\n") == 0)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED, "Not confirmed; nothing was done.");
}

static enum status answer(struct serial_setup *setup, const struct running *running,
                          enum status status, const struct error *error)
{
    bool asked = json_array_size(setup->steps) > 0; /* before that there is only a sentence */
    if (status != STATUS_OK)
        (void)flash_fail(&command_flash_provision.line, running->session, status, error);
    if (running->options->flash.json && asked) {
        enum status printed =
            command_print_json(NAME, describe(setup, status, error), JSON_INDENT(2));
        return status == STATUS_OK ? printed : status;
    }
    if (status == STATUS_OK || serial_setup_all_seen(setup)) /* only the service was not reached */
        print(setup);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {""};
    struct running running = {.context = context, .options = options};
    const struct calibration usual = calibration_default(READING_BL0942);
    const struct serial_setup_host host = {.context = &running,
                                           .say = say,
                                           .open = open_session,
                                           .disconnect = disconnect,
                                           .keep_backup = keep_backup,
                                           .stopped = stopped,
                                           .adopt = hand_over};
    struct provision_inputs *inputs memory_auto = memory_new(1, sizeof *inputs);
    struct serial_setup *setup memory_auto = memory_new(1, sizeof *setup);
    inputs->texts = options->texts;
    inputs->adopt = options->adopt;
    inputs->factors = (struct esphome_factors){usual.voltage, usual.current, usual.power};
    running.inputs = inputs;
    /* A module is handed over when it has been seen. */
    inputs->wait_ms = options->wait || options->adopt || options->wait_s != 0
                          ? (options->wait_s != 0 ? options->wait_s : PROOF_WAIT_DEFAULT_S) * 1000
                          : 0;
    serial_setup_begin(setup, inputs, &host);
    running.session = flash_session_create(&command_flash_provision.line, &options->flash);
    enum status status = provision_inputs_check(inputs, &error);
    if (status == STATUS_OK)
        status = confirm(options, inputs, &error);
    if (status == STATUS_OK)
        status = serial_setup_run(setup, &error);
    status = answer(setup, &running, status, &error);
    flash_session_close(running.session);
    serial_setup_end(setup);
    provision_inputs_free(inputs);
    return status;
}

const struct command command_flash_provision = {
    .line = {.name = NAME,
             .summary = "from a module as it was bought to its readings on the broker",
             .purpose =
                 "The whole way from a module as it was bought to its readings on the broker: "
                 "probe, line test, backup, vendor's settings, firmware, configuration, restart, "
                 "proof. Each step says what it does, and if it fails, what to do by hand. Run it "
                 "again after an interruption: what is done already is not done again.",
             .tables = {flash_provision_rows, flash_module_rows, flash_json_rows},
             .size = sizeof(struct options)},
    .run = run,
};
