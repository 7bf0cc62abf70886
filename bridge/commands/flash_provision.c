/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash provision`: from a module as it was bought to its readings on the broker. See
 * bl2mqtt-flash-provision(1). */
#include "bridge/commands/adopt.h"
#include "bridge/commands/command.h"
#include "bridge/commands/flash_provision_options.h"
#include "bridge/commands/flash_session.h"
#include "bridge/commands/history_options.h"

#include "bridge/provision/broker_watch.h"
#include "bridge/provision/proof.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/beken/backup_file.h"
#include "drivers/beken/config_sector.h"
#include "drivers/beken/tuya_report.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum { BROKER_TIMEOUT_MS = 10000, ASK_TIMEOUT_MS = 5000, SNIPPET_SIZE = 4096, WARNINGS_MAX = 20 };

static const struct flash_command self = {
    .name = "flash provision",
    .accepts = FLASH_ACCEPTS_MODULE,
    .purpose =
        "The whole road from a module as it was bought to its readings on the broker: probe, line\n"
        "test, backup, vendor's settings, firmware, configuration, restart, proof. Each step says\n"
        "what it does, and if it fails, what to do by hand. Run it again after an interruption: "
        "what\n"
        "is done already is not done again.\n\n"
        "  --firmware IMAGE         OpenBeken for this chip (QIO or UA)\n"
        "  --profile NAME           kind of meter; `bl2mqtt profiles` lists them\n"
        "  --client-id ID           the module's MQTT client id: its topics begin with it\n"
        "  --wifi-ssid S            the network it shall join\n"
        "  --wifi-password-file F   its password; else OBK_WIFI_PASSWORD, else it is asked for\n"
        "  --wifi-open              it has none\n"
        "  --mqtt-host H            the broker, as the module reaches it\n"
        "  --mqtt-port N            default 1883\n"
        "  --mqtt-user U            user at the broker\n"
        "  --mqtt-password-file F   its password; else OBK_MQTT_PASSWORD, else it is asked for\n"
        "  --name N                 the module's name\n"
        "  --backup F               where to keep the old contents (default: by chip and MAC)\n"
        "  --wait                   see it on the broker, with its first readings\n"
        "  --wait-time S            the same, at most S seconds (default 150)\n"
        "  --module-host H          where it will be on the network (default: as it tells)\n"
        "  --adopt                  then add it to the running service (of --config)\n"
        "  --dry-run                look and check, change nothing\n"
        "  --force                  also a file that is not what the profile needs\n"
        "  --yes                    do not ask before the firmware is replaced",
};

struct task {
    const struct command_context *context;
    struct provision_inputs inputs;
    struct flash_session *session;
    struct flasher *flasher;
    struct beken_module module; /* as it was when the session ended */
    struct plan_place place;
    struct broker_watch *watch;
    bool foreign_online; /* somebody is online under this client id */
    char backup_path[PATH_MAX], vendor_path[PATH_MAX];
    uint8_t *backup;
    bool backup_is_fresh;
    struct tuya_report vendor;
    struct flasher_result result;
    struct config_sector sector;
    bool config_changed;
    int64_t deadline_boot_ms;
    bool waited;
    struct broker_sight sight;
    struct obk_advice advice;
    json_t *adopted;
    json_t *steps, *warnings;
};

/* ------------------------------------------------------------------ saying */

static void say_sentence(void *context, const char *sentence)
{
    struct task *task = context;
    flash_session_say(task->session, "%s", sentence);
}

__attribute__((format(printf, 2, 3))) static void say(struct task *task, const char *format, ...)
{
    char sentence[900];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    say_sentence(task, sentence);
}

__attribute__((format(printf, 2, 3))) static void warn(struct task *task, const char *format, ...)
{
    char sentence[900];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    (void)json_array_append_new(task->warnings, json_string(sentence));
    say(task, "warning: %s", sentence);
}

static void say_nothing(void *context, const char *sentence)
{
    (void)context;
    (void)sentence;
}

/* ------------------------------------------------------------------ looking */

static enum status look_at_broker(struct task *task, struct error *error)
{
    const struct provision_options *own = &task->inputs.options;
    if (own->dry_run && own->mqtt_user != NULL && task->inputs.mqtt_password[0] == '\0') {
        say(task, "Left out: the broker's password is not asked for in a dry run.");
        return STATUS_OK;
    }
    const struct broker_watch_options options = {
        .server = task->inputs.broker.uri,
        .user = own->mqtt_user != NULL ? own->mqtt_user : "",
        .password = task->inputs.mqtt_password,
        .client_id = own->client_id,
    };
    enum status status = broker_watch_open(&options, BROKER_TIMEOUT_MS, &task->watch, error);
    if (status != STATUS_OK)
        return status;
    status = broker_watch_wait(task->watch, 0, &task->sight, error);
    task->foreign_online = task->sight.told && task->sight.online;
    return status;
}

static enum status probe(struct task *task, struct error *error)
{
    enum status status = flash_session_open(&self, &task->inputs.flash, &task->session, error);
    if (status == STATUS_OK)
        task->flasher = flash_session_flasher(task->session);
    return status;
}

static enum status test_line(struct task *task, struct error *error)
{
    enum status status = flasher_choose_baud(task->flasher, true, error);
    if (status != STATUS_OK)
        return status;
    say(task, "The line is good for %" PRIu32 " baud.", flasher_baud(task->flasher));
    return flasher_identify_contents(task->flasher, error);
}

static enum status check_chip(struct task *task, struct error *error)
{
    const struct beken_module *module = flasher_module(task->flasher);
    const struct profile *profile = task->inputs.profile;
    char chips[200];
    struct text text;
    if (profile_fits_chip(profile, module->chip) || task->inputs.options.force)
        return STATUS_OK;
    text_init(&text, chips, sizeof chips);
    profile_append_chips(profile, &text);
    return error_set(
        error, STATUS_REFUSED,
        "The module is a %s, but a meter of the profile %s has %s inside: is it another "
        "meter? Choose its profile, or say --force.",
        beken_chip_name(module->chip), profile->name, chips);
}

/* Two modules with one client id throw each other out for ever. The module may itself be the one that
 * the broker still takes for online. */
static enum status check_client_id(struct task *task, struct error *error)
{
    char client_id[OBK_CONFIG_TEXT_SIZE];
    enum status status = config_sector_read(task->flasher, &task->sector, error);
    if (status != STATUS_OK)
        return status;
    obk_config_get(&task->sector.config, "mqtt_client_id", client_id);
    bool own = task->sector.state == OBK_CONFIG_GOOD &&
               strcmp(client_id, task->inputs.options.client_id) == 0;
    if (!task->foreign_online || own)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "Another module is online as %s on this broker. Two with one client id would "
                     "throw each other out for ever: choose another --client-id.",
                     task->inputs.options.client_id);
}

static enum status check_fit(struct task *task, struct error *error)
{
    const struct plan_rules rules = {.force = task->inputs.options.force};
    const struct beken_module *module = flasher_module(task->flasher);
    enum status status = plan_check_image(module, &task->inputs.info, &rules, &task->place, error);
    if (status == STATUS_OK)
        status = check_chip(task, error);
    if (status == STATUS_OK)
        status = check_client_id(task, error);
    if (status == STATUS_OK)
        say(task, "The module is a %s with %s on it; the firmware is OpenBeken %s for it.",
            beken_chip_name(module->chip), beken_application_name(module->application),
            task->inputs.app.version);
    return status;
}

/* ------------------------------------------------------------------ changing */

/* Without a time in it: a second run must find it. */
static void name_backup(struct task *task)
{
    const struct beken_module *module = flasher_module(task->flasher);
    char mac[13] = "unknown";
    if (module->has_mac)
        (void)snprintf(mac, sizeof mac, "%02x%02x%02x%02x%02x%02x", module->mac[0], module->mac[1],
                       module->mac[2], module->mac[3], module->mac[4], module->mac[5]);
    if (task->inputs.options.backup != NULL)
        (void)snprintf(task->backup_path, sizeof task->backup_path, "%s",
                       task->inputs.options.backup);
    else
        (void)snprintf(task->backup_path, sizeof task->backup_path, "bl2mqtt-%s-%s.bin",
                       beken_chip_name(module->chip), mac);
}

static enum status back_up(struct task *task, struct error *error)
{
    name_backup(task);
    return flash_keep_backup(task->session, task->backup_path, &task->backup,
                             &task->backup_is_fresh, error);
}

static void describe_vendor(struct task *task)
{
    const struct tuya_report *vendor = &task->vendor;
    if (vendor->found)
        say(task, "The vendor's settings are in %s; passwords and keys in it are masked.",
            task->vendor_path);
    else
        say(task,
            "The vendor's settings cannot be read: %s They are not needed; what is known "
            "all the same is in %s.",
            vendor->reason, task->vendor_path);
    if (vendor->pins.has_energy_pins)
        warn(task, "The vendor's settings speak of a BL0937 or HLW8012, not of a BL0942: a profile "
                   "of this "
                   "kind will show no readings.");
}

/* The decoder may think for a while, during which the module must not fall asleep. */
static void read_vendor(void *context)
{
    struct task *task = context;
    tuya_report_make(task->backup, flasher_module(task->flasher)->flash_size, &task->vendor);
}

static enum status save_vendor(struct task *task, struct error *error)
{
    flasher_while(task->flasher, read_vendor, task);
    int length =
        snprintf(task->vendor_path, sizeof task->vendor_path, "%s.vendor.json", task->backup_path);
    if (length < 0 || length >= (int)sizeof task->vendor_path)
        return error_set(error, STATUS_USAGE, "The path of the backup is too long.");
    json_t *document = tuya_report_json(&task->vendor, false);
    char *text memory_auto = json_dumps(document, JSON_INDENT(2));
    json_decref(document);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "The vendor's settings cannot be put into JSON.");
    enum status status = file_replace(task->vendor_path, text, strlen(text), 0600, error);
    if (status == STATUS_OK)
        describe_vendor(task);
    return status;
}

static enum status write_firmware(struct task *task, struct error *error)
{
    const struct flasher_job job = {
        .address = task->place.address,
        .bytes = task->inputs.image + task->place.skip,
        .length = task->inputs.image_length - task->place.skip,
        .current = task->backup_is_fresh ? task->backup : NULL,
        .reference = task->backup,
    };
    enum status status = flasher_write(task->flasher, &job, &task->result, error);
    if (status == STATUS_OK)
        say(task,
            "Verified: %zu sectors, %zu written, %zu were right already, %" PRIu64 " retries.",
            task->result.sectors, task->result.written, task->result.equal, task->result.retries);
    return status;
}

static enum status set_texts(const struct task *task, struct obk_config *config,
                             struct error *error)
{
    const struct provision_inputs *inputs = &task->inputs;
    const struct provision_options *own = &inputs->options;
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
static void say_lost_user(struct task *task)
{
    char user[OBK_CONFIG_TEXT_SIZE];
    obk_config_get(&task->sector.config, "mqtt_user", user);
    if (task->sector.state == OBK_CONFIG_GOOD && user[0] != '\0' &&
        task->inputs.options.mqtt_user == NULL)
        say(task,
            "The module had the user \"%s\" for its broker; it has none now, because there is no "
            "--mqtt-user.",
            user);
}

static enum status configure(struct task *task, struct error *error)
{
    struct flasher_result result;
    enum status status = config_sector_read(task->flasher, &task->sector, error);
    if (status != STATUS_OK)
        return status;
    struct obk_config *before memory_auto = memory_new(1, sizeof *before);
    *before = task->sector.config;
    say_lost_user(task);
    status = set_texts(task, &task->sector.config, error);
    if (status != STATUS_OK)
        return status;
    set_flags_and_pins(task->inputs.profile, &task->sector.config);
    task->config_changed =
        task->sector.state != OBK_CONFIG_GOOD ||
        memcmp(before->bytes, task->sector.config.bytes, sizeof before->bytes) != 0;
    if (!task->config_changed) {
        say(task, "It is so already.");
        return STATUS_OK;
    }
    /* Whatever stands there is in the backup. */
    return config_sector_write(task->flasher, &task->sector, true, task->backup, &result, error);
}

static void end_session(struct task *task)
{
    if (task->flasher != NULL)
        task->module = *flasher_module(task->flasher);
    task->flasher = NULL;
    flash_session_disconnect(task->session);
}

static enum status restart(struct task *task, struct error *error)
{
    int64_t before = clock_boot_ms();
    enum status status = flasher_reboot(task->flasher, error);
    end_session(task);
    task->deadline_boot_ms = clock_boot_ms() + task->inputs.wait_ms;
    if (task->watch != NULL)
        broker_watch_forget(task->watch, before);
    return status;
}

/* ------------------------------------------------------------------ proof */

static bool stopped(void *context)
{
    (void)context;
    return flash_session_stopped(NULL);
}

static struct proof make_proof(struct task *task)
{
    return (struct proof){
        .server = task->inputs.broker.uri,
        .client_id = task->inputs.options.client_id,
        .wait_ms = task->inputs.wait_ms,
        .context = task,
        .say = say_sentence,
        .stopped = stopped,
    };
}

static enum status see_it_connect(struct task *task, struct error *error)
{
    const struct proof proof = make_proof(task);
    return proof_wait(&proof, task->watch, task->deadline_boot_ms, &task->waited, &task->sight,
                      error);
}

/* Its address comes with the first messages after connecting. */
static const char *find_host(struct task *task)
{
    if (task->inputs.options.module_host != NULL)
        return task->inputs.options.module_host;
    int64_t until = clock_boot_ms() + ASK_TIMEOUT_MS;
    while (task->sight.ip[0] == '\0' && clock_boot_ms() < until)
        if (broker_watch_wait(task->watch, until, &task->sight, NULL) != STATUS_OK)
            break;
    return task->sight.ip;
}

static enum status judge_firmware(struct task *task, struct module *module, struct obk_info *info,
                                  struct obk_status *told, struct error *error)
{
    const struct profile *profile = task->inputs.profile;
    bool twin = true;
    enum status status = module_info(module, info, error);
    if (status == STATUS_OK)
        status = module_status(module, 0, told, error);
    if (status == STATUS_OK && profile->image.twin)
        status = module_has_twin(module, &twin, error);
    if (status != STATUS_OK) {
        warn(task, "The module could not be asked over HTTP what it runs: %s", error->text);
        return STATUS_OK; /* what it publishes is the better proof */
    }
    if (!twin)
        return error_set(error, STATUS_REFUSED,
                         "The firmware cannot read two BL0942 (%s): it does not know BL0942opts, "
                         "so channel b will never appear. The profile %s needs %s.",
                         info->build, profile->name, profile->image.text);
    if (!told->has_energy)
        return error_set(error, STATUS_FAILED,
                         "The driver of the BL0942 does not run, although the startup command "
                         "starts it: has this firmware one?");
    obk_advise(info, told, "", &task->advice);
    for (size_t i = 0; i < task->advice.count; i++)
        warn(task, "%s", task->advice.sentences[i]);
    say(task, "It runs %s, and the driver runs.", info->build);
    return STATUS_OK;
}

static enum status check_running_firmware(struct task *task, struct error *error)
{
    const char *host = find_host(task);
    const struct http_options options = {
        .host = host, .web_password = "", .timeout_ms = ASK_TIMEOUT_MS};
    struct module *module = NULL;
    if (host[0] == '\0') {
        warn(task, "The module did not tell its address, so it was not asked what it runs.");
        return STATUS_OK;
    }
    enum status status = module_open(&options, &module, error);
    if (status != STATUS_OK)
        return status;
    struct obk_info *info memory_auto = memory_new(1, sizeof *info);
    struct obk_status *told memory_auto = memory_new(1, sizeof *told);
    status = judge_firmware(task, module, info, told, error);
    module_close(module);
    return status;
}

static enum status see_readings(struct task *task, struct error *error)
{
    struct proof proof = make_proof(task);
    proof.profile = task->inputs.profile;
    proof.say = say_nothing;
    enum status status =
        proof_wait(&proof, task->watch, task->deadline_boot_ms, &task->waited, &task->sight, error);
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++)
        if (proof_channel_seen(&task->sight, i) && task->sight.value[i][OPENBEKEN_POWER] < 0)
            warn(task,
                 "Channel %c has negative power. If nothing feeds in there, its clamp is the "
                 "wrong way round: turn it, or set invert: true in bridge.yaml.",
                 'a' + (int)i);
    return status;
}

static enum status adopt(struct task *task, struct error *error)
{
    const struct provision_options *own = &task->inputs.options;
    struct config *config =
        command_config(task->context, "--adopt needs it to find the service.", error);
    if (config == NULL)
        return STATUS_USAGE;
    enum status status = adopt_module(config, task->inputs.profile, own->client_id,
                                      own->name != NULL ? own->name : "", &task->adopted, error);
    config_free(config);
    if (status == STATUS_OK)
        say(task, "The service has it as %s.",
            json_string_value(json_object_get(task->adopted, "id")));
    return status;
}

/* ------------------------------------------------------------------ the road */

enum step_when { ALWAYS, WITH_WAIT, WITH_ADOPT };

static const struct step {
    const char *name, *does;
    const char *by_hand; /* what to do if it fails; NULL: the reason says it */
    enum status (*run)(struct task *task, struct error *error);
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
     configure, ALWAYS, true},
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
     check_running_firmware, WITH_WAIT, true},
    {"readings", "waiting for voltage, current and power of each channel",
     "`bl2mqtt openbeken info` shows what the module measures.", see_readings, WITH_WAIT, true},
    {"adopt", "handing the module to the service",
     "Put the lines below into bridge.yaml and restart the service.", adopt, WITH_ADOPT, true},
};
enum { STEPS = sizeof steps / sizeof steps[0] };

static bool is_wanted(const struct task *task, const struct step *step)
{
    if (step->when == WITH_ADOPT)
        return task->inputs.options.adopt;
    return step->when == ALWAYS || task->inputs.wait_ms > 0;
}

static void note_step(struct task *task, const struct step *step, const char *result)
{
    (void)json_array_append_new(task->steps,
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

static enum status walk(struct task *task, struct error *error)
{
    int count = 0, number = 0;
    for (size_t i = 0; i < STEPS; i++)
        count += is_wanted(task, &steps[i]) ? 1 : 0;
    for (size_t i = 0; i < STEPS; i++) {
        const struct step *step = &steps[i];
        if (!is_wanted(task, step))
            continue;
        number++;
        if (task->inputs.options.dry_run && step->changes) {
            say(task, "Step %d of %d would be %s: %s.", number, count, step->name, step->does);
            note_step(task, step, "left out");
            continue;
        }
        say(task, "Step %d of %d, %s: %s", number, count, step->name, step->does);
        enum status status = step->run(task, error);
        note_step(task, step, status == STATUS_OK ? "done" : "failed");
        if (status != STATUS_OK)
            return step_failed(step, status, error);
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------ the answer */

static void make_snippet(const struct task *task, char snippet[SNIPPET_SIZE])
{
    const struct provision_options *own = &task->inputs.options;
    struct text text;
    text_init(&text, snippet, SNIPPET_SIZE);
    profile_append_bridge(task->inputs.profile, own->client_id, own->name != NULL ? own->name : "",
                          &text);
}

static json_t *vendor_json(const struct task *task)
{
    if (task->vendor_path[0] == '\0')
        return json_null();
    return json_pack("{s:b, s:o, s:s}", "found", task->vendor.found, "reason",
                     flash_json_text(task->vendor.reason), "file", task->vendor_path);
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

static json_t *describe(const struct task *task, enum status status, const struct error *error)
{
    const struct app *app = &task->inputs.app;
    char mac[18] = "", snippet[SNIPPET_SIZE];
    if (task->module.has_mac)
        backup_file_format_mac(task->module.mac, mac);
    make_snippet(task, snippet);
    json_t *firmware = json_pack("{s:s, s:s, s:b}", "kind", image_kind_name(task->inputs.info.kind),
                                 "version", app->version, "twin", app->twin);
    return json_pack(
        "{s:s, s:o, s:b, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:O, s:o, s:s, s:O, s:o}",
        "chip", beken_chip_name(task->module.chip), "mac", flash_json_text(mac), "dry_run",
        task->inputs.options.dry_run, "client_id", task->inputs.options.client_id, "firmware",
        firmware, "backup", flash_json_text(task->backup_path), "vendor", vendor_json(task),
        "write", write_json(&task->result), "configured", task->config_changed, "online",
        task->waited ? json_boolean(task->sight.online) : json_null(), "ip",
        flash_json_text(task->sight.ip), "channels",
        openbeken_channels_json(task->waited ? &task->sight : NULL), "warnings", task->warnings,
        "adopted", task->adopted != NULL ? json_incref(task->adopted) : json_null(), "config",
        snippet, "steps", task->steps, "error",
        status == STATUS_OK ? json_null() : json_string(error->text));
}

static void print(const struct task *task)
{
    char snippet[SNIPPET_SIZE];
    if (task->inputs.options.dry_run) {
        (void)printf("Nothing was changed.\n");
        return;
    }
    if (task->waited)
        openbeken_print_channels(&task->sight);
    else
        (void)printf("The module starts now. It joins the Wi-Fi within about 15 s.\n");
    make_snippet(task, snippet);
    if (task->adopted == NULL)
        (void)printf("\nFor bridge.yaml:\n\n%s", snippet);
}

/* ------------------------------------------------------------------ the command */

static enum status confirm(const struct provision_inputs *inputs, struct error *error)
{
    char line[20] = "";
    if (inputs->options.yes || inputs->options.dry_run)
        return STATUS_OK;
    if (isatty(STDIN_FILENO) == 0)
        return error_set(
            error, STATUS_USAGE,
            "This replaces the module's firmware: say --yes, or run it on a terminal.");
    (void)fprintf(
        stderr,
        "This replaces the firmware of the module at %s by OpenBeken %s, after a backup.\n"
        "Type \"yes\" to go on: ",
        inputs->flash.flasher.link.port, inputs->app.version);
    if (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "yes\n") == 0)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED, "Not confirmed; nothing was done.");
}

static enum status run(struct task *task, struct error *error)
{
    enum status status = provision_inputs_check(&task->inputs, error);
    if (status == STATUS_OK)
        status = confirm(&task->inputs, error);
    if (status != STATUS_OK)
        return status;
    if (task->inputs.info.warning[0] != '\0')
        warn(task, "%s", task->inputs.info.warning);
    status = walk(task, error);
    if (status != STATUS_OK && flash_session_stopped(task->session))
        (void)error_prefix(error, status, "Stopped. ");
    /* What was only looked at may go on. */
    if (task->flasher != NULL && json_array_size(task->steps) > 0 && task->result.sectors == 0)
        (void)flasher_reboot(task->flasher, NULL);
    end_session(task);
    return status;
}

static bool all_seen(const struct task *task)
{
    const struct profile *profile = task->inputs.profile;
    bool seen = profile != NULL && task->waited;
    for (size_t i = 0; seen && i < profile->channel_count; i++)
        seen = proof_channel_seen(&task->sight, i);
    return seen;
}

static enum status answer(struct task *task, enum status status, struct error *error)
{
    bool asked = json_array_size(task->steps) > 0; /* before that there is only a sentence */
    if (status != STATUS_OK)
        (void)flash_fail(&self, task->session, status, error);
    if (task->inputs.flash.json && asked) {
        enum status printed =
            command_print_json(self.name, describe(task, status, error), JSON_INDENT(2));
        return status == STATUS_OK ? printed : status;
    }
    if (status == STATUS_OK || all_seen(task)) /* then only the service was not told */
        print(task);
    return status;
}

enum status command_flash_provision(const struct command_context *context, int argc, char **argv)
{
    struct error error = {""};
    bool done = false;
    struct task *task memory_auto = memory_new(1, sizeof *task);
    task->context = context;
    task->steps = json_array();
    task->warnings = json_array();
    enum status status = provision_inputs_parse(&self, argc, argv, &task->inputs, &done);
    if (status == STATUS_OK && !done) {
        task->session = flash_session_create(&self, &task->inputs.flash);
        status = answer(task, run(task, &error), &error);
    }
    flash_session_close(task->session);
    broker_watch_close(task->watch);
    tuya_report_free(&task->vendor);
    json_decref(task->adopted);
    json_decref(task->steps);
    json_decref(task->warnings);
    free(task->backup);
    provision_inputs_free(&task->inputs);
    return status;
}
