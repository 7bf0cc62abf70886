/* SPDX-License-Identifier: MIT */
/* Requests for jobs on a module, with a person watching: `bl2mqtt flash ...` at a serial port, `bl2mqtt openbeken
 * provision` on the network. */
#include "bridge/service/handlers_shared.h"

#include "bridge/service/child.h"
#include "bridge/service/job.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The words of a command, and what some of them are kept in. */
struct words {
    const char *list[CHILD_ARGUMENTS_MAX + 1];
    size_t count;
    char firmware[PATH_MAX], backup[PATH_MAX], wifi[PATH_MAX], mqtt[PATH_MAX], web[PATH_MAX];
    char server[300];
    char numbers[4][24];
    size_t number_count;
};

static void add(struct words *words, const char *word)
{
    if (words->count < CHILD_ARGUMENTS_MAX)
        words->list[words->count++] = word;
}

static void add_option(struct words *words, const char *option, const char *value)
{
    if (value == NULL)
        return;
    add(words, option);
    add(words, value);
}

static void add_number(struct words *words, const struct pending *pending, const char *option,
                       const char *key, int64_t otherwise)
{
    int64_t value = pending_integer(pending, key, otherwise);
    if (value <= 0)
        return;
    char *text = words->numbers[words->number_count++];
    (void)snprintf(text, sizeof words->numbers[0], "%" PRId64, value);
    add_option(words, option, text);
}

/* ---- files ---- */

static void place(char path[PATH_MAX], const struct handlers *handlers, const char *name)
{
    (void)snprintf(path, PATH_MAX, "%.*s/web/%s", PATH_MAX - 300,
                   (*handlers->options.config)->bridge.data_dir, name);
}

static enum status make_folder(const struct handlers *handlers, const char *name,
                               struct error *error)
{
    char path[PATH_MAX];
    place(path, handlers, name);
    enum status status = file_make_folder(path, error);
    if (status == STATUS_OK && chmod(path, 0700) != 0)
        status = error_set(error, STATUS_FAILED, "%s cannot be made private: %s.", path,
                           strerror(errno));
    return status;
}

/* Passwords go into files, as a command line is for everybody to read. */
static enum status keep_secret(const char *path, const char *secret, struct error *error)
{
    int fd = file_create(path, 0600);
    ssize_t length = (ssize_t)strlen(secret);
    bool good = fd >= 0 && write(fd, secret, (size_t)length) == length;
    if (fd >= 0)
        (void)close(fd);
    if (good)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "%s cannot be written.", path);
}

static void forget_secrets(const struct handlers *handlers)
{
    static const char *const names[] = {"job/wifi", "job/mqtt", "job/web"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        place(path, handlers, names[i]);
        (void)unlink(path);
    }
}

static bool is_below(const char *path, const char *folder)
{
    char real[PATH_MAX];
    size_t length;
    if (folder[0] == '\0' || realpath(folder, real) == NULL)
        return false;
    length = strlen(real);
    return strncmp(path, real, length) == 0 && path[length] == '/';
}

static enum status find_firmware(const struct handlers *handlers, const char *name,
                                 char path[PATH_MAX], struct error *error)
{
    const struct config *config = *handlers->options.config;
    char asked[PATH_MAX];
    if (name == NULL)
        return error_set(error, STATUS_USAGE, "The job needs firmware: \"upload\", or a file.");
    if (strcmp(name, "upload") == 0)
        place(asked, handlers, "upload-firmware");
    else if (name[0] == '/')
        (void)snprintf(asked, sizeof asked, "%s", name);
    else
        (void)snprintf(asked, sizeof asked, "%.*s/%.*s", PATH_MAX / 2 - 2, config->bridge.data_dir,
                       PATH_MAX / 2 - 2, name);
    if (realpath(asked, path) == NULL)
        return error_set(error, STATUS_USAGE,
                         strcmp(name, "upload") == 0 ? "No firmware was uploaded yet."
                                                     : "There is no file \"%.200s\".",
                         name);
    if (is_below(path, config->bridge.data_dir) || is_below(path, config->openbeken.images))
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "Firmware must be in bridge.data_dir or openbeken.images, or be uploaded.");
}

/* "files/module-utilities_sensor9.bin": an interrupted job finds its backup again by that name. */
static void name_backup(char path[PATH_MAX], const struct handlers *handlers, const char *client)
{
    char name[128], word[80];
    if (client == NULL) {
        time_t now = (time_t)(clock_wall_ms() / 1000);
        struct tm utc;
        (void)gmtime_r(&now, &utc);
        (void)strftime(word, sizeof word, "%Y%m%dT%H%M%SZ", &utc);
    } else {
        (void)snprintf(word, sizeof word, "%.70s", client);
        for (char *at = word; *at != '\0'; at++)
            if (strchr("-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", *at) ==
                NULL)
                *at = '_';
    }
    (void)snprintf(name, sizeof name, "files/module-%s.bin", word);
    place(path, handlers, name);
}

/* ---- the commands ---- */

static enum status add_provision(struct words *words, struct handlers *handlers,
                                 const struct pending *pending, struct error *error)
{
    const char *wifi = pending_text(pending, "wifi_password");
    const char *mqtt = pending_text(pending, "mqtt_password");
    enum status status =
        find_firmware(handlers, pending_text(pending, "firmware"), words->firmware, error);
    place(words->wifi, handlers, "job/wifi");
    place(words->mqtt, handlers, "job/mqtt");
    if (status == STATUS_OK && wifi != NULL)
        status = keep_secret(words->wifi, wifi, error);
    if (status == STATUS_OK)
        status = keep_secret(words->mqtt, mqtt != NULL ? mqtt : "", error);
    if (status != STATUS_OK)
        return status;
    static const struct {
        const char *option, *key;
    } texts[] = {
        {"--profile", "profile"},        {"--client-id", "client_id"}, {"--name", "name"},
        {"--wifi-ssid", "wifi_ssid"},    {"--mqtt-host", "mqtt_host"}, {"--mqtt-user", "mqtt_user"},
        {"--module-host", "module_host"}};
    add(words, "--yes");
    add_option(words, "--firmware", words->firmware);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        add_option(words, texts[i].option, pending_text(pending, texts[i].key));
    if (wifi != NULL)
        add_option(words, "--wifi-password-file", words->wifi);
    else
        add(words, "--wifi-open");
    if (pending_text(pending, "mqtt_user") != NULL)
        add_option(words, "--mqtt-password-file", words->mqtt);
    add_number(words, pending, "--mqtt-port", "mqtt_port", 0);
    add_number(words, pending, "--wait-time", "wait", 150);
    name_backup(words->backup, handlers, pending_text(pending, "client_id"));
    add_option(words, "--backup", words->backup);
    if (pending_flag(pending, "adopt", true))
        add(words, "--adopt");
    return STATUS_OK;
}

/* The same for a module on the network: nothing of it is replaced but settings. */
static enum status make_network_words(struct words *words, struct handlers *handlers,
                                      const struct pending *pending, struct error *error)
{
    const char *mqtt = pending_text(pending, "mqtt_password");
    const char *web = pending_text(pending, "web_password");
    const char *broker = pending_text(pending, "mqtt_host");
    if (broker == NULL || pending_text(pending, "client_id") == NULL)
        return error_set(error, STATUS_USAGE,
                         "The module needs a broker and a client id: give mqtt_host and "
                         "client_id.");
    place(words->mqtt, handlers, "job/mqtt");
    place(words->web, handlers, "job/web");
    enum status status = keep_secret(words->mqtt, mqtt != NULL ? mqtt : "", error);
    if (status == STATUS_OK && web != NULL)
        status = keep_secret(words->web, web, error);
    if (status != STATUS_OK)
        return status;
    (void)snprintf(words->server, sizeof words->server, "mqtt://%s:%" PRId64, broker,
                   pending_integer(pending, "mqtt_port", 1883));
    add_option(words, "--config", handlers->options.config_path);
    add(words, "openbeken");
    add(words, "provision");
    add_option(words, "--progress", "json");
    add(words, "--json");
    add_option(words, "--host", pending_text(pending, "host"));
    add_option(words, "--web-password-file", web != NULL ? words->web : NULL);
    add_option(words, "--profile", pending_text(pending, "profile"));
    add_option(words, "--client-id", pending_text(pending, "client_id"));
    add_option(words, "--name", pending_text(pending, "name"));
    add_option(words, "--mqtt", words->server);
    add_option(words, "--mqtt-user", pending_text(pending, "mqtt_user"));
    if (pending_text(pending, "mqtt_user") != NULL)
        add_option(words, "--mqtt-password-file", words->mqtt);
    add_number(words, pending, "--wait-time", "wait", 150);
    if (pending_flag(pending, "adopt", true))
        add(words, "--adopt");
    return STATUS_OK;
}

static enum status make_words(struct words *words, struct handlers *handlers,
                              const struct pending *pending, struct error *error)
{
    const char *kind = pending_text(pending, "job");
    add_option(words, "--config", handlers->options.config_path);
    add(words, "flash");
    add(words, kind);
    add_option(words, "--port", pending_text(pending, "port"));
    add_option(words, "--progress", "json");
    add(words, "--json");
    add_option(words, "--reset", pending_text(pending, "reset"));
    add_number(words, pending, "--baud", "baud", 0);
    add_number(words, pending, "--timeout", "timeout", 0);
    if (strcmp(kind, "backup") == 0) {
        name_backup(words->backup, handlers, NULL);
        add_option(words, "--output", words->backup);
    }
    return strcmp(kind, "provision") == 0 ? add_provision(words, handlers, pending, error)
                                          : STATUS_OK;
}

static void on_changed(void *context, const char *json, bool ended)
{
    struct handlers *handlers = context;
    if (ended) {
        handlers->job = NULL;
        forget_secrets(handlers);
    }
    hub_job(handlers->options.hub, json);
}

typedef enum status (*words_of)(struct words *words, struct handlers *handlers,
                                const struct pending *pending, struct error *error);

static enum status begin(struct handlers *handlers, struct pending *pending, words_of make,
                         const char *kind, const char *port, struct error *error)
{
    if (handlers->job != NULL)
        return error_set(error, STATUS_REFUSED,
                         "A module is being worked on already; wait for the end, or cancel it.");
    struct words *words memory_auto = memory_new(1, sizeof *words);
    enum status status = make_folder(handlers, "job", error);
    if (status == STATUS_OK)
        status = make_folder(handlers, "files", error);
    if (status == STATUS_OK)
        status = make(words, handlers, pending, error);
    const struct job_options options = {.loop = handlers->options.loop,
                                        .kind = kind,
                                        .port = port,
                                        .arguments = words->list,
                                        .changed = on_changed,
                                        .context = handlers};
    if (status == STATUS_OK)
        status = job_start(&options, &handlers->job, error);
    if (status == STATUS_OK)
        pending_answer(pending, NULL);
    else
        forget_secrets(handlers);
    return status;
}

enum status handle_flash_start(void *context, struct pending *pending, struct error *error)
{
    return begin(context, pending, make_words, pending_text(pending, "job"),
                 pending_text(pending, "port"), error);
}

enum status handle_openbeken_provision(void *context, struct pending *pending, struct error *error)
{
    return begin(context, pending, make_network_words, "openbeken-provision",
                 pending_text(pending, "host"), error);
}

enum status handle_flash_cancel(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    if (handlers->job == NULL)
        return error_set(error, STATUS_REFUSED, "No module is being worked on.");
    job_cancel(handlers->job);
    pending_answer(pending, NULL);
    return STATUS_OK;
}

bool handlers_job_blocks(const struct handlers *handlers, struct error *error)
{
    if (handlers->job == NULL)
        return false;
    (void)error_set(error, STATUS_REFUSED,
                    "A module is being worked on; wait for the end, or cancel that first.");
    return true;
}

/* The flasher ends at the next frame boundary by itself. */
void handlers_end_job(struct handlers *handlers)
{
    if (handlers->job == NULL)
        return;
    job_leave(handlers->job);
    handlers->job = NULL;
    forget_secrets(handlers);
}
