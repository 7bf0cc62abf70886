/* SPDX-License-Identifier: MIT */
#include "bridge/provision/serial_setup.h"

#include "bridge/provision/module.h"
#include "bridge/provision/obk_request.h"
#include "bridge/provision/proof.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"
#include "drivers/beken/backup_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BROKER_TIMEOUT_MS = 10000, ASK_TIMEOUT_MS = 5000 };

__attribute__((format(printf, 2, 3))) static void say(struct serial_setup *setup,
                                                      const char *format, ...)
{
    char sentence[900];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    setup->host->say(setup->host->context, sentence);
}

__attribute__((format(printf, 2, 3))) static void warn(struct serial_setup *setup,
                                                       const char *format, ...)
{
    char sentence[900];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    (void)json_array_append_new(setup->warnings, json_string(sentence));
    say(setup, "warning: %s", sentence);
}

static void say_nothing(void *context, const char *sentence)
{
    (void)context;
    (void)sentence;
}

/* ------------------------------------------------------------------ looking */

static enum status look_at_broker(struct serial_setup *setup, struct error *error)
{
    const struct provision_texts *own = &setup->inputs->texts;
    if (own->dry_run && own->mqtt_user != NULL && setup->inputs->mqtt_password[0] == '\0') {
        say(setup, "Left out: the broker's password is not asked for in a dry run.");
        return STATUS_OK;
    }
    const struct broker_watch_options options = {
        .server = setup->inputs->broker.uri,
        .user = own->mqtt_user != NULL ? own->mqtt_user : "",
        .password = setup->inputs->mqtt_password,
        .client_id = own->client_id,
        .esphome = setup->inputs->app.esphome,
        .factors = setup->inputs->factors,
    };
    enum status status = broker_watch_open(&options, BROKER_TIMEOUT_MS, &setup->watch, error);
    if (status != STATUS_OK)
        return status;
    status = broker_watch_wait(setup->watch, 0, &setup->observation, error);
    setup->foreign_online = setup->observation.reported && setup->observation.online;
    return status;
}

static enum status probe(struct serial_setup *setup, struct error *error)
{
    return setup->host->open(setup->host->context, &setup->flasher, error);
}

static enum status test_line(struct serial_setup *setup, struct error *error)
{
    enum status status = flasher_choose_baud(setup->flasher, true, error);
    if (status != STATUS_OK)
        return status;
    say(setup, "The line is good for %" PRIu32 " baud.", flasher_baud(setup->flasher));
    return flasher_identify_contents(setup->flasher, error);
}

static enum status check_chip(struct serial_setup *setup, struct error *error)
{
    const struct beken_module *module = flasher_module(setup->flasher);
    const struct profile *profile = setup->inputs->profile;
    char chips[200];
    struct text text;
    if (profile_fits_chip(profile, module->chip) || setup->inputs->texts.force)
        return STATUS_OK;
    text_init(&text, chips, sizeof chips);
    profile_append_chips(profile, &text);
    return error_set(
        error, STATUS_REFUSED,
        "The module is a %s, but a meter of the profile %s has %s inside: is it another "
        "meter? Choose its profile, or say --force.",
        beken_chip_name(module->chip), profile->name, chips);
}

/* Two modules with one client id throw each other out forever. The module may itself be the one that
 * the broker still takes for online. */
static enum status check_client_id(struct serial_setup *setup, struct error *error)
{
    char client_id[OBK_CONFIG_TEXT_SIZE];
    if (setup->inputs->app
            .esphome) { /* it may be this module, whose last will the broker still waits to send */
        if (setup->foreign_online)
            warn(setup,
                 "The broker has a module online as %s. If it is another one, both would "
                 "disconnect each other again and again: give this one another name.",
                 setup->inputs->texts.client_id);
        return STATUS_OK;
    }
    enum status status = config_sector_read(setup->flasher, &setup->sector, error);
    if (status != STATUS_OK)
        return status;
    obk_config_get(&setup->sector.config, "mqtt_client_id", client_id);
    bool own = setup->sector.state == OBK_CONFIG_GOOD &&
               strcmp(client_id, setup->inputs->texts.client_id) == 0;
    if (!setup->foreign_online || own)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "Another module is online as %s on this broker. Two with one client id would "
                     "disconnect each other again and again: choose another --client-id.",
                     setup->inputs->texts.client_id);
}

static enum status check_fit(struct serial_setup *setup, struct error *error)
{
    const struct plan_rules rules = {.force = setup->inputs->texts.force};
    const struct beken_module *module = flasher_module(setup->flasher);
    enum status status =
        plan_check_image(module, &setup->inputs->info, &rules, &setup->place, error);
    if (status == STATUS_OK)
        status = check_chip(setup, error);
    if (status == STATUS_OK)
        status = check_client_id(setup, error);
    if (status == STATUS_OK)
        say(setup, "The module is a %s with %s on it; the firmware is %s%s for it.",
            beken_chip_name(module->chip), beken_application_name(module->application),
            setup->inputs->app.esphome ? "ESPHome" : "OpenBeken ", setup->inputs->app.version);
    return status;
}

/* ------------------------------------------------------------------ changing */

/* Without a time in it: a second run must find it. */
static void name_backup(struct serial_setup *setup)
{
    const struct beken_module *module = flasher_module(setup->flasher);
    char mac[13] = "unknown";
    if (module->has_mac)
        (void)snprintf(mac, sizeof mac, "%02x%02x%02x%02x%02x%02x", module->mac[0], module->mac[1],
                       module->mac[2], module->mac[3], module->mac[4], module->mac[5]);
    if (setup->inputs->texts.backup != NULL)
        (void)snprintf(setup->backup_path, sizeof setup->backup_path, "%s",
                       setup->inputs->texts.backup);
    else
        (void)snprintf(setup->backup_path, sizeof setup->backup_path, "bl2mqtt-%s-%s.bin",
                       beken_chip_name(module->chip), mac);
}

static enum status back_up(struct serial_setup *setup, struct error *error)
{
    name_backup(setup);
    return setup->host->keep_backup(setup->host->context, setup->backup_path, &setup->backup,
                                    &setup->backup_is_fresh, error);
}

static void describe_vendor(struct serial_setup *setup)
{
    const struct tuya_report *vendor = &setup->vendor;
    if (vendor->found)
        say(setup, "The vendor's settings are in %s; passwords and keys in it are masked.",
            setup->vendor_path);
    else
        say(setup,
            "The vendor's settings cannot be read: %s They are not needed; what is known "
            "all the same is in %s.",
            vendor->reason, setup->vendor_path);
}

/* A profile of a BL0942 meter shows nothing on a board with another chip, and writing it would cost the
 * vendor's firmware that does. */
static enum status check_meter(struct serial_setup *setup, struct error *error)
{
    const struct tuya_pins *pins = &setup->vendor.pins;
    bool other = pins->meter == TUYA_METER_HLW8032 || pins->meter == TUYA_METER_PULSES;
    if (pins->meter == TUYA_METER_OTHER)
        warn(setup,
             "The vendor's settings name a meter chip that is not known here (chip_type %d). If it "
             "is no BL0942, there will be no readings.",
             pins->meter_type);
    if (!other || setup->inputs->texts.force)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "The vendor's settings name another meter chip than a BL0942: %s. Nothing was "
                     "written. If the settings are wrong, use --force.",
                     tuya_meter_name(pins->meter));
}

/* The decoder may think for a while, during which the module must not fall asleep. */
static void read_vendor(void *context)
{
    struct serial_setup *setup = context;
    tuya_report_make(setup->backup, flasher_module(setup->flasher)->flash_size, &setup->vendor);
}

static enum status save_vendor(struct serial_setup *setup, struct error *error)
{
    flasher_while(setup->flasher, read_vendor, setup);
    int length = snprintf(setup->vendor_path, sizeof setup->vendor_path, "%s.vendor.json",
                          setup->backup_path);
    if (length < 0 || length >= (int)sizeof setup->vendor_path)
        return error_set(error, STATUS_USAGE, "The path of the backup is too long.");
    json_t *document = tuya_report_json(&setup->vendor, false);
    char *text memory_auto = json_dumps(document, JSON_INDENT(2));
    json_decref(document);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "The vendor's settings cannot be put into JSON.");
    enum status status = file_replace(setup->vendor_path, text, strlen(text), 0600, error);
    if (status != STATUS_OK)
        return status;
    describe_vendor(setup);
    return check_meter(setup, error);
}

static enum status write_firmware(struct serial_setup *setup, struct error *error)
{
    const struct flasher_job job = {
        .address = setup->place.address,
        .bytes = setup->inputs->image + setup->place.skip,
        .length = setup->inputs->image_length - setup->place.skip,
        .current = setup->backup_is_fresh ? setup->backup : NULL,
        .reference = setup->backup,
    };
    enum status status = flasher_write(setup->flasher, &job, &setup->result, error);
    if (status == STATUS_OK)
        say(setup,
            "Verified: %zu sectors, %zu written, %zu were right already, %" PRIu64 " retries.",
            setup->result.sectors, setup->result.written, setup->result.equal,
            setup->result.retries);
    return status;
}

static enum status set_texts(const struct serial_setup *setup, struct obk_config *config,
                             struct error *error)
{
    const struct provision_inputs *inputs = setup->inputs;
    const struct provision_texts *own = &inputs->texts;
    char port[8], short_name[OBK_SHORT_NAME_MAX + 1], startup[OBK_CONFIG_TEXT_SIZE];
    struct text text;
    text_init(&text, startup, sizeof startup);
    profile_append_startup(inputs->profile, &text);
    obk_short_name(own->client_id, short_name, sizeof short_name);
    (void)snprintf(port, sizeof port, "%d", inputs->broker.port);
    /* NULL: as it is. Without a user the module logs in as nobody, which is what the broker was asked
     * for, too: the firmware's factory user is known to no broker, and the one of an earlier broker is
     * none of this one's business. */
    const struct {
        const char *field, *value;
    } fields[] = {
        {"wifi_ssid", own->wifi_ssid},
        {"wifi_password", inputs->wifi_password},
        {"mqtt_host", inputs->broker.host},
        {"mqtt_port", port},
        {"mqtt_client_id", own->client_id},
        {"mqtt_user", own->mqtt_user != NULL ? own->mqtt_user : ""},
        {"mqtt_password", own->mqtt_user != NULL ? inputs->mqtt_password : ""},
        {"short_name", own->name != NULL ? short_name : NULL},
        {"name", own->name},
        {"startup_command", startup},
    };
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && status == STATUS_OK; i++)
        if (fields[i].value != NULL)
            status = obk_config_set(config, fields[i].field, fields[i].value, error);
    return status;
}

static void set_flags_and_pins(const struct profile *profile, struct obk_config *config)
{
    for (size_t i = 0; i < profile->flag_count; i++)
        obk_config_set_flag(config, profile->flags[i].flag, profile->flags[i].set);
    for (size_t i = 0; i < profile->pin_count; i++) {
        struct obk_config_pin pin = obk_config_pin(config, profile->pins[i].pin);
        pin.role = profile->pins[i].role_number;
        pin.channel = (uint8_t)profile->pins[i].channel;
        obk_config_set_pin(config, profile->pins[i].pin, pin);
    }
}

/* Not that somebody wonders why the broker does not let it in any more. */
static void say_lost_user(struct serial_setup *setup)
{
    char user[OBK_CONFIG_TEXT_SIZE];
    obk_config_get(&setup->sector.config, "mqtt_user", user);
    if (setup->sector.state == OBK_CONFIG_GOOD && user[0] != '\0' &&
        setup->inputs->texts.mqtt_user == NULL)
        say(setup,
            "The module had the user \"%s\" for its broker; it has none now, because there is no "
            "--mqtt-user.",
            user);
}

static enum status configure(struct serial_setup *setup, struct error *error)
{
    struct flasher_result result;
    enum status status = config_sector_read(setup->flasher, &setup->sector, error);
    if (status != STATUS_OK)
        return status;
    struct obk_config *before memory_auto = memory_new(1, sizeof *before);
    *before = setup->sector.config;
    say_lost_user(setup);
    status = set_texts(setup, &setup->sector.config, error);
    if (status != STATUS_OK)
        return status;
    set_flags_and_pins(setup->inputs->profile, &setup->sector.config);
    setup->config_changed =
        setup->sector.state != OBK_CONFIG_GOOD ||
        memcmp(before->bytes, setup->sector.config.bytes, sizeof before->bytes) != 0;
    if (!setup->config_changed) {
        say(setup, "It is so already.");
        return STATUS_OK;
    }
    /* Whatever stands there is in the backup. */
    return config_sector_write(setup->flasher, &setup->sector, true, setup->backup, &result, error);
}

static void end_session(struct serial_setup *setup)
{
    if (setup->flasher != NULL)
        setup->module = *flasher_module(setup->flasher);
    setup->flasher = NULL;
    setup->host->disconnect(setup->host->context);
}

static enum status restart(struct serial_setup *setup, struct error *error)
{
    int64_t before = clock_boot_ms();
    enum status status = flasher_reboot(setup->flasher, error);
    end_session(setup);
    setup->deadline_boot_ms = clock_boot_ms() + setup->inputs->wait_ms;
    if (setup->watch != NULL)
        broker_watch_forget(setup->watch, before);
    return status;
}

/* ------------------------------------------------------------------ proof */

static void say_sentence(void *context, const char *sentence)
{
    const struct serial_setup *setup = context;
    setup->host->say(setup->host->context, sentence);
}

static bool stopped(void *context)
{
    const struct serial_setup *setup = context;
    return setup->host->stopped(setup->host->context);
}

static struct proof make_proof(struct serial_setup *setup)
{
    return (struct proof){
        .server = setup->inputs->broker.uri,
        .client_id = setup->inputs->texts.client_id,
        .wait_ms = setup->inputs->wait_ms,
        .context = setup,
        .say = say_sentence,
        .stopped = stopped,
    };
}

static enum status see_it_connect(struct serial_setup *setup, struct error *error)
{
    const struct proof proof = make_proof(setup);
    return proof_wait(&proof, setup->watch, setup->deadline_boot_ms, &setup->waited,
                      &setup->observation, error);
}

/* Its address comes with the first messages after connecting. */
static const char *find_host(struct serial_setup *setup)
{
    if (setup->inputs->texts.module_host != NULL)
        return setup->inputs->texts.module_host;
    int64_t until = clock_boot_ms() + ASK_TIMEOUT_MS;
    while (setup->observation.ip[0] == '\0' && clock_boot_ms() < until)
        if (broker_watch_wait(setup->watch, until, &setup->observation, NULL) != STATUS_OK)
            break;
    return setup->observation.ip;
}

static enum status judge_firmware(struct serial_setup *setup, struct module *module,
                                  struct obk_info *info, struct obk_status *reported,
                                  struct error *error)
{
    const struct profile *profile = setup->inputs->profile;
    bool twin = true;
    enum status status = module_info(module, info, error);
    if (status == STATUS_OK)
        status = module_status(module, 0, reported, error);
    if (status == STATUS_OK && profile->image.twin)
        status = module_has_twin(module, &twin, error);
    if (status != STATUS_OK) {
        warn(setup, "The module could not be asked over HTTP what it runs: %s", error->text);
        return STATUS_OK; /* what it publishes is the better proof */
    }
    if (!twin)
        return error_set(error, STATUS_REFUSED,
                         "The firmware cannot read two BL0942 (%s): it does not know BL0942opts, "
                         "so channel b will never appear. The profile %s needs %s.",
                         info->build, profile->name, profile->image.text);
    if (!reported->has_energy)
        return error_set(error, STATUS_FAILED,
                         "The driver of the BL0942 does not run, although the startup command "
                         "starts it: has this firmware one?");
    obk_advise(info, reported, "", &setup->advice);
    for (size_t i = 0; i < setup->advice.count; i++)
        warn(setup, "%s", setup->advice.sentences[i]);
    say(setup, "It runs %s, and the driver runs.", info->build);
    return STATUS_OK;
}

static enum status check_running_firmware(struct serial_setup *setup, struct error *error)
{
    const char *host = find_host(setup);
    const struct http_options options = {
        .host = host, .web_password = "", .timeout_ms = ASK_TIMEOUT_MS};
    struct module *module = NULL;
    if (host[0] == '\0') {
        warn(setup, "The module did not tell its address, so it was not asked what it runs.");
        return STATUS_OK;
    }
    enum status status = module_open(&options, &module, error);
    if (status != STATUS_OK)
        return status;
    struct obk_info *info memory_auto = memory_new(1, sizeof *info);
    struct obk_status *reported memory_auto = memory_new(1, sizeof *reported);
    status = judge_firmware(setup, module, info, reported, error);
    module_close(module);
    return status;
}

static enum status see_readings(struct serial_setup *setup, struct error *error)
{
    struct proof proof = make_proof(setup);
    proof.profile = setup->inputs->profile;
    proof.say = say_nothing;
    enum status status = proof_wait(&proof, setup->watch, setup->deadline_boot_ms, &setup->waited,
                                    &setup->observation, error);
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++)
        if (proof_channel_seen(&setup->observation, i) &&
            setup->observation.value[i][OPENBEKEN_POWER] < 0)
            warn(setup,
                 "Channel %c has negative power. If nothing feeds in there, its clamp is the "
                 "wrong way round: turn it, or set invert: true in bridge.yaml.",
                 'a' + (int)i);
    return status;
}

static enum status adopt(struct serial_setup *setup, struct error *error)
{
    const struct provision_texts *own = &setup->inputs->texts;
    enum status status =
        setup->host->adopt(setup->host->context, setup->inputs->profile, own->client_id,
                           own->name != NULL ? own->name : "", &setup->adopted, error);
    if (status == STATUS_OK)
        say(setup, "The service has it as %s.",
            json_string_value(json_object_get(setup->adopted, "id")));
    return status;
}

/* ------------------------------------------------------------------ the road */

/* ESPHome has its settings in it, and no page to ask. */
enum step_when { ALWAYS, WITH_WAIT, WITH_ADOPT, OPENBEKEN, OPENBEKEN_WITH_WAIT };

static const struct step {
    const char *name, *does;
    const char *by_hand; /* what to do if it fails; NULL: the reason says it */
    enum status (*run)(struct serial_setup *setup, struct error *error);
    enum step_when when;
    bool changes; /* left out of a dry run */
} steps[] = {
    {"broker", "is the broker there, and the client id free?", NULL, look_at_broker, WITH_WAIT,
     false},
    {"probe", "finding the module at the port",
     "docs/flashing.md shows the wiring; `bl2mqtt flash probe` does this step alone.", probe,
     ALWAYS, false},
    {"link-test", "how fast can adapter and wires go without an error?",
     "`bl2mqtt flash link-test` shows each rate; feed the module from its own 3.3 V and shorten "
     "the "
     "wires.",
     test_line, ALWAYS, false},
    {"fit", "do module, firmware and profile belong together?", NULL, check_fit, ALWAYS, false},
    {"backup", "keeping all that is on the module",
     "`bl2mqtt flash backup --output FILE` does this step alone.", back_up, ALWAYS, true},
    {"vendor", "reading the vendor's settings out of the backup",
     "`bl2mqtt flash tuya BACKUP` does this step alone.", save_vendor, ALWAYS, true},
    {"write", "writing the firmware, and verifying it",
     "Run the same command again: it goes on with what is missing. The old contents come back with "
     "`bl2mqtt flash restore`.",
     write_firmware, ALWAYS, true},
    {"configuration", "writing Wi-Fi, MQTT, flags and startup command, and verifying them",
     "Run the same command again, or use `bl2mqtt flash obk-config write`. Without a configuration "
     "the module opens an access point whose page at 192.168.4.1 asks for the same.",
     configure, OPENBEKEN, true},
    {"restart", "starting the firmware", "Switch the module's power off and on.", restart, ALWAYS,
     true},
    {"connect", "waiting until the module is on the broker",
     "The firmware and all settings are on the module. Check name and password of the Wi-Fi (2.4 "
     "GHz "
     "only) and the broker's rules. To change them, run the same command again, or if it is on the "
     "network, `bl2mqtt openbeken provision`.",
     see_it_connect, WITH_WAIT, true},
    {"firmware", "does its firmware read the chips?",
     "`bl2mqtt openbeken info` shows what it runs; `bl2mqtt openbeken update` gives it another "
     "build.",
     check_running_firmware, OPENBEKEN_WITH_WAIT, true},
    {"readings", "waiting for voltage, current and power of each channel",
     "`bl2mqtt openbeken info` shows what the module measures.", see_readings, WITH_WAIT, true},
    {"adopt", "handing the module to the service",
     "Put the lines below into bridge.yaml and restart the service.", adopt, WITH_ADOPT, true},
};
enum { STEPS = sizeof steps / sizeof steps[0] };

static bool is_wanted(const struct serial_setup *setup, const struct step *step)
{
    bool waits = setup->inputs->wait_ms > 0, openbeken = !setup->inputs->app.esphome;
    switch (step->when) {
    case WITH_WAIT:
        return waits;
    case WITH_ADOPT:
        return setup->inputs->adopt;
    case OPENBEKEN:
        return openbeken;
    case OPENBEKEN_WITH_WAIT:
        return openbeken && waits;
    default:
        return true;
    }
}

static void note_step(struct serial_setup *setup, const struct step *step, const char *result)
{
    (void)json_array_append_new(setup->steps,
                                json_pack("{s:s, s:s}", "step", step->name, "result", result));
}

static enum status step_failed(const struct step *step, enum status status, struct error *error)
{
    struct error reason = *error;
    bool refused = status == STATUS_REFUSED;
    return error_set(error, status, "The step \"%s\" %s: %.700s%s%s", step->name,
                     refused ? "said no" : "failed", reason.text,
                     step->by_hand != NULL ? " By hand: " : "",
                     step->by_hand != NULL ? step->by_hand : "");
}

static enum status walk(struct serial_setup *setup, struct error *error)
{
    int count = 0, number = 0;
    for (size_t i = 0; i < STEPS; i++)
        count += is_wanted(setup, &steps[i]) ? 1 : 0;
    for (size_t i = 0; i < STEPS; i++) {
        const struct step *step = &steps[i];
        if (!is_wanted(setup, step))
            continue;
        number++;
        if (setup->inputs->texts.dry_run && step->changes) {
            say(setup, "Step %d of %d would be %s: %s.", number, count, step->name, step->does);
            note_step(setup, step, "left out");
            continue;
        }
        say(setup, "Step %d of %d, %s: %s", number, count, step->name, step->does);
        enum status status = step->run(setup, error);
        note_step(setup, step, status == STATUS_OK ? "done" : "failed");
        if (status != STATUS_OK)
            return step_failed(step, status, error);
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------ beginning and end */

void serial_setup_begin(struct serial_setup *setup, struct provision_inputs *inputs,
                        const struct serial_setup_host *host)
{
    *setup = (struct serial_setup){.inputs = inputs, .host = host};
    setup->steps = json_array();
    setup->warnings = json_array();
}

enum status serial_setup_run(struct serial_setup *setup, struct error *error)
{
    if (setup->inputs->info.warning[0] != '\0')
        warn(setup, "%s", setup->inputs->info.warning);
    enum status status = walk(setup, error);
    if (status != STATUS_OK && stopped(setup))
        (void)error_prefix(error, status, "Stopped. ");
    /* What was only looked at may go on. */
    if (setup->flasher != NULL && json_array_size(setup->steps) > 0 && setup->result.sectors == 0)
        (void)flasher_reboot(setup->flasher, NULL);
    end_session(setup);
    return status;
}

bool serial_setup_all_seen(const struct serial_setup *setup)
{
    const struct profile *profile = setup->inputs->profile;
    bool seen = profile != NULL && setup->waited;
    for (size_t i = 0; seen && i < profile->channel_count; i++)
        seen = proof_channel_seen(&setup->observation, i);
    return seen;
}

void serial_setup_end(struct serial_setup *setup)
{
    broker_watch_close(setup->watch);
    tuya_report_free(&setup->vendor);
    json_decref(setup->adopted);
    json_decref(setup->steps);
    json_decref(setup->warnings);
    free(setup->backup);
}
