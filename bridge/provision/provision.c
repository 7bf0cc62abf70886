/* SPDX-License-Identifier: MIT */
#include "bridge/provision/provision.h"

#include "bridge/provision/proof.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SCRIPT "autoexec.bat"
#define OLD_SCRIPT "autoexec.old"

#define CHANGES_MAX (PROFILE_FLAGS_MAX + 4)
#define SETTLE_MS 4000 /* settings reach the flash 3 s after the last change */
#define BROKER_TIMEOUT_MS 10000

enum change_kind { CHANGE_OLD_SCRIPT, CHANGE_SCRIPT, CHANGE_FLAG, CHANGE_NAMES, CHANGE_MQTT };

static const char *const step_names[] = {
    [CHANGE_OLD_SCRIPT] = "keeping the old autoexec.bat as autoexec.old",
    [CHANGE_SCRIPT] = SCRIPT,
    [CHANGE_FLAG] = "flags",
    [CHANGE_NAMES] = "names",
    [CHANGE_MQTT] = "MQTT settings",
};

struct change {
    enum change_kind kind;
    const struct profile_flag *flag;
    struct obk_request request;
    bool can_undo;
    struct obk_request undo;
};

/* What was found on the module before anything was changed. */
struct found {
    struct obk_info info;
    struct obk_status status;
    char *script; /* NULL: there is none */
    size_t script_length;
};

struct run {
    const struct provision_options *options;
    struct module *module;
    const struct provision_listener *listener;
    struct provision_report *report;
    struct broker_watch *watch;
    struct found found;
    char short_name[OBK_SHORT_NAME_MAX + 1];
    struct change *changes; /* CHANGES_MAX */
    size_t change_count;
};

__attribute__((format(printf, 2, 3))) static void say(const struct run *run, const char *format,
                                                      ...)
{
    char sentence[300];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    run->listener->say(run->listener->context, sentence);
}

static void begin_stage(const struct run *run, const char *stage, size_t done, size_t total)
{
    if (run->listener->stage != NULL)
        run->listener->stage(run->listener->context, stage, done, total);
}

static bool is_stopped(const struct run *run)
{
    return run->listener->stopped != NULL && run->listener->stopped(run->listener->context);
}

static bool goes_on(void *context)
{
    const struct run *run = context;
    return !is_stopped(run);
}

static void pause_ms(int64_t ms)
{
    const struct timespec pause = clock_timespec_us(ms * 1000);
    (void)nanosleep(&pause, NULL);
}

/* ---- what is to be changed ---- */

static bool has_flag(uint64_t flags, unsigned flag)
{
    return (flags >> flag & 1U) != 0;
}

static struct change *add(struct run *run, enum change_kind kind)
{
    struct change *change = &run->changes[run->change_count++];
    change->kind = kind;
    return change;
}

static bool same_script(const struct found *found, const char *script)
{
    return found->script != NULL && found->script_length == strlen(script) &&
           memcmp(found->script, script, found->script_length) == 0;
}

/* What is written over the cable has the script as its startup command. */
static bool starts_by_command(const struct found *found, const struct profile *profile)
{
    char startup[OBK_SCRIPT_SIZE];
    struct text text;
    text_init(&text, startup, sizeof startup);
    profile_append_startup(profile, &text);
    return strcmp(found->info.startup_command, startup) == 0 &&
           (found->script == NULL || !obk_starts_driver(found->script));
}

static enum status add_script(struct run *run, const struct found *now, struct error *error)
{
    const char *script = run->options->profile->autoexec;
    if (now != NULL && (same_script(now, script) || starts_by_command(now, run->options->profile)))
        return STATUS_OK;
    enum status status = STATUS_OK;
    bool keep_old = now == NULL || (now->script != NULL && now->script_length > 0);
    if (keep_old) {
        struct change *old = add(run, CHANGE_OLD_SCRIPT);
        status = now != NULL ? obk_request_file_write(&old->request, OLD_SCRIPT, now->script,
                                                      now->script_length, error)
                             : obk_request_file_write(&old->request, OLD_SCRIPT, "...", 3, error);
    }
    if (status != STATUS_OK)
        return status;
    struct change *change = add(run, CHANGE_SCRIPT);
    change->can_undo = true;
    if (now == NULL || now->script == NULL)
        obk_request_file_delete(&change->undo, SCRIPT);
    else
        status =
            obk_request_file_write(&change->undo, SCRIPT, now->script, now->script_length, error);
    return status == STATUS_OK
               ? obk_request_file_write(&change->request, SCRIPT, script, strlen(script), error)
               : status;
}

static enum status set_flag(struct obk_request *request, unsigned flag, bool on,
                            struct error *error)
{
    char command[32];
    (void)snprintf(command, sizeof command, "SetFlag %u %d", flag, on ? 1 : 0);
    return obk_request_command(request, command, error);
}

static enum status add_flags(struct run *run, const struct found *now, struct error *error)
{
    const struct profile *profile = run->options->profile;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < profile->flag_count && status == STATUS_OK; i++) {
        const struct profile_flag *flag = &profile->flags[i];
        if (now != NULL && has_flag(now->info.flags, flag->flag) == flag->set)
            continue;
        struct change *change = add(run, CHANGE_FLAG);
        change->flag = flag;
        change->can_undo = true;
        status = set_flag(&change->request, flag->flag, flag->set, error);
        if (status == STATUS_OK)
            status = set_flag(&change->undo, flag->flag, !flag->set, error);
    }
    return status;
}

/* The module tells its full name only with "_1" behind it where a channel has no label. */
static bool same_name(const char *reported, const char *name)
{
    size_t length = strlen(name);
    return strncmp(reported, name, length) == 0 &&
           (reported[length] == '\0' || strcmp(reported + length, "_1") == 0);
}

static bool names_are_set(const struct run *run, const struct obk_info *info,
                          const struct obk_status *status)
{
    return strcmp(info->short_name, run->short_name) == 0 &&
           same_name(status->name, run->options->name);
}

/* As it reported them; names that cannot be sent stay the new ones, which harms nobody. */
static void add_names_undo(struct change *change, const struct found *now)
{
    char name[OBK_TEXT_SIZE];
    (void)snprintf(name, sizeof name, "%s", now->status.name);
    size_t length = strlen(name);
    if (length > 2 && strcmp(name + length - 2, "_1") == 0)
        name[length - 2] = '\0';
    change->can_undo =
        name[0] != '\0' && now->info.short_name[0] != '\0' &&
        obk_request_names(&change->undo, now->info.short_name, name, NULL) == STATUS_OK;
}

static enum status add_names(struct run *run, const struct found *now, struct error *error)
{
    if (run->options->name[0] == '\0' ||
        (now != NULL && names_are_set(run, &now->info, &now->status)))
        return STATUS_OK;
    struct change *change = add(run, CHANGE_NAMES);
    if (now != NULL)
        add_names_undo(change, now);
    return obk_request_names(&change->request, run->short_name, run->options->name, error);
}

static bool mqtt_is_set(const struct obk_mqtt *mqtt, const struct obk_info *info)
{
    return strcmp(info->mqtt_host, mqtt->host) == 0 && info->mqtt_port == mqtt->port &&
           strcmp(info->client_id, mqtt->client_id) == 0;
}

static enum status add_mqtt(struct run *run, const struct found *now, struct error *error)
{
    const struct obk_mqtt *mqtt = &run->options->mqtt;
    bool same_user =
        mqtt->user[0] == '\0' || (now != NULL && strcmp(now->status.mqtt_user, mqtt->user) == 0);
    if (now != NULL && mqtt_is_set(mqtt, &now->info) && same_user && mqtt->password[0] == '\0')
        return STATUS_OK;
    struct change *change = add(run, CHANGE_MQTT);
    enum status status = obk_request_mqtt(&change->request, mqtt, error);
    if (status != STATUS_OK || now == NULL)
        return status;
    const struct obk_mqtt before = {
        .host = now->info.mqtt_host,
        .port = now->info.mqtt_port,
        .client_id = now->info.client_id,
        .user = now->status.mqtt_user,
        .password = "",
    };
    change->can_undo = true;
    return obk_request_mqtt(&change->undo, &before, error);
}

/* now NULL: everything, for showing. MQTT comes last, because it alone cannot be undone wholly (the
 * module does not tell its password). */
static enum status plan(struct run *run, const struct found *now, struct error *error)
{
    enum status status = STATUS_OK;
    run->changes = memory_new(CHANGES_MAX, sizeof *run->changes);
    obk_short_name(run->options->mqtt.client_id, run->short_name, sizeof run->short_name);
    if (run->options->profile != NULL) {
        status = add_script(run, now, error);
        if (status == STATUS_OK)
            status = add_flags(run, now, error);
    }
    if (status == STATUS_OK)
        status = add_names(run, now, error);
    return status == STATUS_OK ? add_mqtt(run, now, error) : status;
}

/* ---- looking ---- */

static enum status check_twin(struct run *run, struct error *error)
{
    const struct profile *profile = run->options->profile;
    if (profile == NULL || !profile->image.twin)
        return STATUS_OK;
    bool twin = false;
    enum status status = module_has_twin(run->module, &twin, error);
    if (status != STATUS_OK || twin)
        return status;
    return error_set(error, STATUS_REFUSED,
                     "The firmware on %s cannot read two BL0942 (%s, %s): it does not know "
                     "BL0942opts, so channel b would never appear. The profile %s needs %s. "
                     "Nothing was changed.",
                     module_host(run->module), run->found.info.chipset, run->found.info.build,
                     profile->name, profile->image.text);
}

/* The module runs its startup command first, and a second startDriver does nothing. */
static enum status check_startup(const struct run *run, struct error *error)
{
    const struct profile *profile = run->options->profile;
    const char *startup = run->found.info.startup_command;
    if (profile == NULL || !profile->image.twin || !obk_starts_driver(startup) ||
        obk_reads_two_chips(startup))
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "The startup command of %s starts the driver for one chip before autoexec.bat "
                     "could set it up for two: \"%.200s\". Empty it on the module's page (Config, "
                     "Change startup command) and run this again. Nothing was changed.",
                     module_host(run->module), startup);
}

static enum status look(struct run *run, struct error *error)
{
    struct found *found = &run->found;
    begin_stage(run, "look", 0, 1);
    say(run, "Looking at the module on %s ...", module_host(run->module));
    enum status status = module_info(run->module, &found->info, error);
    if (status == STATUS_OK)
        status = module_status(run->module, 0, &found->status, error);
    if (status == STATUS_OK && !found->status.is_obk)
        return error_set(error, STATUS_FAILED,
                         "%s does not say that its firmware is OpenBeken. Nothing was changed.",
                         module_host(run->module));
    if (status == STATUS_OK)
        status = check_twin(run, error);
    if (status == STATUS_OK)
        status = check_startup(run, error);
    if (status == STATUS_OK && run->options->profile != NULL)
        status =
            module_read_file(run->module, SCRIPT, &found->script, &found->script_length, error);
    return status;
}

static enum status look_at_broker(struct run *run, struct error *error)
{
    const struct obk_mqtt *mqtt = &run->options->mqtt;
    if (run->options->wait_ms == 0)
        return STATUS_OK;
    const struct broker_watch_options options = {
        .server = run->options->server,
        .user = mqtt->user,
        .password = mqtt->password,
        .client_id = mqtt->client_id,
    };
    say(run, "Looking at the broker %s ...", run->options->server);
    enum status status = broker_watch_open(&options, BROKER_TIMEOUT_MS, &run->watch, error);
    if (status != STATUS_OK)
        return error_prefix(error, status, "Nothing was changed. ");
    struct broker_observation observation;
    status = broker_watch_wait(run->watch, 0, &observation, error);
    bool own = strcmp(run->found.info.client_id, mqtt->client_id) == 0;
    if (status == STATUS_OK && !own && observation.reported && observation.online)
        return error_set(error, STATUS_REFUSED,
                         "Another module is online as %s on this broker. Two with one client id "
                         "would throw each other out forever: choose another --id. Nothing was "
                         "changed.",
                         mqtt->client_id);
    return status;
}

/* ---- changing ---- */

static enum status not_kept(const struct change *change, struct error *error)
{
    return error_set(error, STATUS_FAILED,
                     "The module accepted it but does not have it now (read back after %s).",
                     change->request.shown);
}

static enum status verify_script(struct run *run, const char *name, const struct change *change,
                                 struct error *error)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    enum status status = module_read_file(run->module, name, &bytes, &length, error);
    if (status != STATUS_OK)
        return status;
    bool same = bytes != NULL && length == change->request.body_length &&
                memcmp(bytes, change->request.body, length) == 0;
    return same ? STATUS_OK : not_kept(change, error);
}

static enum status verify_names(struct run *run, const struct change *change,
                                const struct obk_info *info, struct error *error)
{
    struct obk_status reported;
    enum status status = module_status(run->module, 0, &reported, error);
    if (status != STATUS_OK)
        return status;
    return names_are_set(run, info, &reported) ? STATUS_OK : not_kept(change, error);
}

static enum status verify(struct run *run, const struct change *change, struct error *error)
{
    if (change->kind == CHANGE_OLD_SCRIPT)
        return verify_script(run, OLD_SCRIPT, change, error);
    if (change->kind == CHANGE_SCRIPT)
        return verify_script(run, SCRIPT, change, error);
    struct obk_info info;
    enum status status = module_info(run->module, &info, error);
    if (status != STATUS_OK)
        return status;
    if (change->kind == CHANGE_NAMES)
        return verify_names(run, change, &info, error);
    bool good = change->kind == CHANGE_FLAG
                    ? has_flag(info.flags, change->flag->flag) == change->flag->set
                    : mqtt_is_set(&run->options->mqtt, &info);
    return good ? STATUS_OK : not_kept(change, error);
}

/* Puts back what changes [0, count) did, the last first. False if something could not be. */
static bool undo(struct run *run, size_t count, struct error *reason)
{
    bool all = true;
    for (size_t i = count; i-- > 0;) {
        struct change *change = &run->changes[i];
        if (!change->can_undo)
            continue;
        enum status status = module_order(run->module, &change->undo, all ? reason : NULL);
        all = all && status == STATUS_OK;
        if (status == STATUS_NO_ANSWER)
            return false; /* nor will it answer the rest */
    }
    return all;
}

/* The sentence for a failed step: which, why, and in what state the module is now. */
static enum status step_failed(struct run *run, size_t at, enum status status, struct error *error)
{
    const struct change *change = &run->changes[at];
    struct error reason = *error;
    struct error undo_reason = {.text = ""};
    say(run, "The step failed; putting back what was changed ...");
    bool whole = undo(run, at + 1, &undo_reason);
    const char *state = whole
                            ? "Script, flags, names and MQTT settings are as they were before; the "
                              "module works as it did. Remove the cause and run this again."
                            : "What was changed could not all be put back; run this again when "
                              "the module answers, or look at its web page.";
    bool password = change->kind == CHANGE_MQTT && run->options->mqtt.password[0] != '\0';
    return error_set(error, status, "The step \"%s\" failed: %.450s %s%s%.200s%s",
                     step_names[change->kind], reason.text, state, whole ? "" : " ",
                     undo_reason.text,
                     password ? " Only its MQTT password may be the new one, because the old one "
                                "cannot be read from it."
                              : "");
}

/* Before change [at]: what was changed so far is put back. */
static enum status stopped_before(struct run *run, size_t at, struct error *error)
{
    struct error reason = {.text = ""};
    if (at == 0)
        return error_set(error, STATUS_FAILED, "Stopped. Nothing was changed.");
    say(run, "Stopped; putting back what was changed ...");
    if (undo(run, at, &reason))
        return error_set(error, STATUS_FAILED,
                         "Stopped. Script, flags and names are as they were before.");
    return error_set(error, STATUS_FAILED,
                     "Stopped. What was changed could not all be put back; run this again when the "
                     "module answers. %.200s",
                     reason.text);
}

static void report_changed(struct run *run, enum change_kind kind)
{
    struct provision_report *report = run->report;
    if (kind == CHANGE_OLD_SCRIPT)
        report->kept_old_script = true;
    const char *name = step_names[kind];
    if (report->changed_count == 0 || report->changed[report->changed_count - 1] != name)
        report->changed[report->changed_count++] = name;
}

static enum status apply(struct run *run, struct error *error)
{
    for (size_t i = 0; i < run->change_count; i++) {
        struct change *change = &run->changes[i];
        if (is_stopped(run))
            return stopped_before(run, i, error);
        begin_stage(run, "settings", i, run->change_count);
        if (change->kind == CHANGE_FLAG)
            say(run, "Flag %u %s: %s.", change->flag->flag, change->flag->set ? "on" : "off",
                change->flag->why);
        else
            say(run, "Step: %s.", step_names[change->kind]);
        enum status status = module_order(run->module, &change->request, error);
        if (status == STATUS_OK)
            status = verify(run, change, error);
        if (status != STATUS_OK)
            return step_failed(run, i, status, error);
        report_changed(run, change->kind);
    }
    return STATUS_OK;
}

/* ---- restart and proof ---- */

static enum status wait_for_return(struct run *run, int64_t ordered_boot_ms,
                                   int64_t deadline_boot_ms, struct error *error)
{
    struct obk_info info;
    enum status status = module_wait_return(run->module, ordered_boot_ms, deadline_boot_ms, goes_on,
                                            run, &info, error);
    if (status != STATUS_OK)
        return error_prefix(error, status, "All settings are on the module. ");
    run->report->info = info;
    /* MQTT settings work at once, so it may have published before the restart, too. */
    broker_watch_forget(run->watch, clock_boot_ms() - (info.uptime_s + 1) * 1000);
    return STATUS_OK;
}

static enum status restart(struct run *run, int64_t *deadline_boot_ms, struct error *error)
{
    struct obk_request *request memory_auto = memory_new(1, sizeof *request);
    begin_stage(run, "restart", 0, 1);
    say(run, "Waiting until the module has saved its settings ...");
    pause_ms(SETTLE_MS);
    say(run, "Restarting the module ...");
    obk_request_reboot(request);
    enum status status = module_order(run->module, request, error);
    if (status != STATUS_OK)
        return error_prefix(error, status,
                            "All settings are on the module, but the step \"restart\" failed; "
                            "switch its power off and on. ");
    run->report->restarted = true;
    int64_t ordered = clock_boot_ms();
    *deadline_boot_ms = ordered + run->options->wait_ms;
    return run->watch != NULL ? wait_for_return(run, ordered, *deadline_boot_ms, error) : STATUS_OK;
}

static enum status prove(struct run *run, struct error *error)
{
    int64_t deadline = clock_boot_ms() + run->options->wait_ms;
    enum status status = STATUS_OK;
    if (run->change_count == 0)
        say(run, "Everything is set already.");
    else
        status = restart(run, &deadline, error);
    if (status != STATUS_OK || run->watch == NULL)
        return status;
    const struct proof proof = {
        .server = run->options->server,
        .client_id = run->options->mqtt.client_id,
        .profile = run->options->profile,
        .channels = run->found.status.has_energy ? 1 : 0,
        .wait_ms = run->options->wait_ms,
        .context = run->listener->context,
        .say = run->listener->say,
        .stopped = run->listener->stopped,
    };
    begin_stage(run, "readings", 0, 1);
    status = proof_wait(&proof, run->watch, deadline, &run->report->waited,
                        &run->report->observation, error);
    struct obk_status now = run->found.status;
    if (module_status(run->module, 0, &now, NULL) == STATUS_OK)
        obk_advise(&run->report->info, &now,
                   run->options->profile != NULL ? run->options->profile->autoexec : "",
                   &run->report->advice);
    return status;
}

enum status provision_run(const struct provision_options *options, struct module *module,
                          const struct provision_listener *listener,
                          struct provision_report *report, struct error *error)
{
    *report = (struct provision_report){.changed_count = 0};
    struct run run = {.options = options, .module = module, .listener = listener, .report = report};
    enum status status = look(&run, error);
    report->info = run.found.info;
    if (status == STATUS_OK)
        status = look_at_broker(&run, error);
    if (status == STATUS_OK)
        status = plan(&run, &run.found, error);
    if (status == STATUS_OK)
        status = is_stopped(&run) ? stopped_before(&run, 0, error) : apply(&run, error);
    if (status == STATUS_OK)
        status = prove(&run, error);
    broker_watch_close(run.watch);
    free(run.found.script);
    free(run.changes);
    return status;
}

/* ---- showing ---- */

static const char *why(const struct change *change, char *text, size_t size)
{
    switch (change->kind) {
    case CHANGE_OLD_SCRIPT:
        return "what is in " SCRIPT " now, if it is another script";
    case CHANGE_SCRIPT:
        return "the profile's script, if it is not there already";
    case CHANGE_FLAG:
        (void)snprintf(text, size, "if it is not so already: %s", change->flag->why);
        return text;
    case CHANGE_NAMES:
        return "names, if they differ";
    default:
        return "MQTT settings, if they differ or a password is given";
    }
}

enum status provision_show(const struct provision_options *options, void *context,
                           void (*show)(void *context, const char *why,
                                        const struct obk_request *request),
                           struct error *error)
{
    struct run run = {.options = options};
    struct obk_request *request memory_auto = memory_new(1, sizeof *request);
    enum status status = plan(&run, NULL, error);
    if (status == STATUS_OK)
        status = obk_request_command(request, "BL0942opts", error);
    if (status == STATUS_OK) {
        char text[OBK_TEXT_SIZE + 80];
        if (options->profile != NULL && options->profile->image.twin)
            show(context, "can this firmware read two chips?", request);
        obk_request_info(request);
        show(context, "what is there now; again after each change, and until the restart is over",
             request);
        obk_request_status(request, 0);
        show(context, "is it OpenBeken, which names does it have", request);
        if (options->profile != NULL) {
            obk_request_file_read(request, SCRIPT);
            show(context, "which script is there now", request);
            obk_request_file_list(request);
            show(context, "did the script come whole", request);
        }
        for (size_t i = 0; i < run.change_count; i++)
            show(context, why(&run.changes[i], text, sizeof text), &run.changes[i].request);
        obk_request_reboot(request);
        show(context, "if anything was changed", request);
    }
    free(run.changes);
    return status;
}
