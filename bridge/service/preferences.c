/* SPDX-License-Identifier: MIT */
#include "bridge/service/preferences.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define PREFERENCES_SIZE_MAX ((size_t)1 << 20)
#define REPORT_INTERVAL_KEY "report_interval_ms"
#define REPORT_INTERVAL_MAX_MS 3600000
#define CLOSE_MS 2000

/* What the thread that writes has in common with the owner. It lives as long as there is something to
 * write; whoever of the two leaves last frees. */
struct saver {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    char *path;
    char *text; /* to be written, the latest; NULL: nothing */
    bool running;
    bool abandoned;
    struct log *log; /* NULL once abandoned */
};

struct preferences {
    json_t *root; /* {"<device>": {"report_interval_ms": N}} */
    bool is_new;
    struct saver *saver;
    bool held, unsaved;
};

/* ---- writing, on a thread of its own: a disk may take seconds ---- */

static struct saver *saver_create(const char *path, struct log *log)
{
    struct saver *saver = memory_new(1, sizeof *saver);
    saver->path = memory_copy_text(path);
    saver->log = log;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&saver->idle, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&saver->lock, NULL);
    return saver;
}

static void saver_free(struct saver *saver)
{
    (void)pthread_cond_destroy(&saver->idle);
    (void)pthread_mutex_destroy(&saver->lock);
    free(saver->text);
    free(saver->path);
    free(saver);
}

static void *run_saver(void *argument)
{
    struct saver *saver = argument;
    (void)pthread_mutex_lock(&saver->lock);
    while (saver->text != NULL) {
        char *text memory_auto = saver->text;
        saver->text = NULL;
        (void)pthread_mutex_unlock(&saver->lock);
        struct error error = {""};
        enum status status = file_replace(saver->path, text, strlen(text), 0640, &error);
        (void)pthread_mutex_lock(&saver->lock);
        if (status != STATUS_OK && saver->log != NULL)
            log_warning(saver->log, "What was set holds only until the next start: %s", error.text);
    }
    saver->running = false;
    bool abandoned = saver->abandoned;
    (void)pthread_cond_broadcast(&saver->idle);
    (void)pthread_mutex_unlock(&saver->lock);
    if (abandoned) /* else the owner frees, perhaps already */
        saver_free(saver);
    return NULL;
}

static int start_thread(struct saver *saver)
{
    /* Signals are for the loop's thread. */
    sigset_t all, before;
    pthread_t thread;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int reason = pthread_create(&thread, NULL, run_saver, saver);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (reason == 0)
        (void)pthread_detach(thread);
    return reason;
}

/* Takes the text. A text that is still waiting is overtaken. */
static enum status saver_put(struct saver *saver, char *text, struct error *error)
{
    int reason = 0;
    (void)pthread_mutex_lock(&saver->lock);
    free(saver->text);
    saver->text = text;
    if (!saver->running)
        reason = start_thread(saver);
    saver->running = saver->running || reason == 0;
    (void)pthread_mutex_unlock(&saver->lock);
    if (reason == 0)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "The thread that writes %s could not be started: %s.",
                     saver->path, strerror(reason));
}

/* Waits a moment for the disk; then the thread is left alone with what it holds. */
static void saver_close(struct saver *saver)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CLOSE_MS / 1000;
    int waited = 0;
    (void)pthread_mutex_lock(&saver->lock);
    while (saver->running && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&saver->idle, &saver->lock, &until);
    bool running = saver->running;
    if (running)
        log_warning(saver->log, "The disk did not take %s in time.", saver->path);
    saver->abandoned = running;
    saver->log = NULL;
    (void)pthread_mutex_unlock(&saver->lock);
    if (!running)
        saver_free(saver);
}

/* ---- the preferences ---- */

static json_t *load(const char *path, bool *is_new, struct log *log)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    struct error error = {""};
    enum status status = file_read(path, PREFERENCES_SIZE_MAX, &bytes, &length, &error);
    *is_new = true;
    if (status == STATUS_NO_ANSWER)
        return json_object();
    json_t *root =
        status == STATUS_OK ? json_loadb(bytes, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    *is_new = !json_is_object(root);
    if (!*is_new)
        return root;
    json_decref(root);
    log_warning(log,
                "The preferences in %s could not be read and are ignored; the configuration's "
                "values hold until they are set again. %s",
                path, error.text);
    return json_object();
}

struct preferences *preferences_open(const char *path, struct log *log)
{
    struct preferences *preferences = memory_new(1, sizeof *preferences);
    preferences->root = load(path, &preferences->is_new, log);
    preferences->saver = saver_create(path, log);
    return preferences;
}

bool preferences_are_new(const struct preferences *preferences)
{
    return preferences->is_new;
}

void preferences_close(struct preferences *preferences)
{
    if (preferences == NULL)
        return;
    saver_close(preferences->saver);
    json_decref(preferences->root);
    free(preferences);
}

int64_t preferences_report_interval_ms(const struct preferences *preferences, const char *device,
                                       int64_t otherwise)
{
    json_t *value =
        json_object_get(json_object_get(preferences->root, device), REPORT_INTERVAL_KEY);
    json_int_t interval = json_integer_value(value);
    bool good = json_is_integer(value) && interval > 0 && interval <= REPORT_INTERVAL_MAX_MS;
    return good ? (int64_t)interval : otherwise;
}

const json_t *preferences_get(const struct preferences *preferences, const char *device,
                              const char *key)
{
    return json_object_get(json_object_get(preferences->root, device), key);
}

static enum status save(struct preferences *preferences, struct error *error)
{
    preferences->unsaved = preferences->held;
    if (preferences->held)
        return STATUS_OK;
    char *text = json_dumps(preferences->root, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "The preferences could not be turned into text.");
    return saver_put(preferences->saver, text, error);
}

void preferences_hold(struct preferences *preferences)
{
    preferences->held = true;
}

void preferences_release(struct preferences *preferences)
{
    bool unsaved = preferences->unsaved;
    preferences->held = false;
    if (unsaved)
        (void)save(preferences, NULL);
}

enum status preferences_put(struct preferences *preferences, const char *device, const char *key,
                            json_t *value, struct error *error)
{
    json_t *entry = json_object_get(preferences->root, device);
    if (!json_is_object(entry)) {
        entry = json_object();
        (void)json_object_set_new(preferences->root, device, entry);
    }
    (void)json_object_set_new(entry, key, value);
    return save(preferences, error);
}

enum status preferences_set_report_interval_ms(struct preferences *preferences, const char *device,
                                               int64_t interval_ms, struct error *error)
{
    return preferences_put(preferences, device, REPORT_INTERVAL_KEY,
                           json_integer((json_int_t)interval_ms), error);
}

void preferences_forget(struct preferences *preferences, const char *device, const char *key)
{
    if (json_object_del(json_object_get(preferences->root, device), key) == 0)
        (void)save(preferences, NULL);
}

void preferences_forget_report_interval(struct preferences *preferences, const char *device)
{
    preferences_forget(preferences, device, REPORT_INTERVAL_KEY);
}

bool preferences_other_has(const struct preferences *preferences, const char *device,
                           const char *key, const char *text)
{
    const char *other;
    json_t *entry;
    json_object_foreach(preferences->root, other, entry)
    {
        const char *stored = json_string_value(json_object_get(entry, key));
        if (stored != NULL && strcmp(stored, text) == 0 && strcmp(other, device) != 0)
            return true;
    }
    return false;
}

void preferences_rename(struct preferences *preferences, const char *from, const char *to)
{
    json_t *entry = json_object_get(preferences->root, from);
    if (entry == NULL)
        return;
    (void)json_object_set(preferences->root, to, entry);
    (void)json_object_del(preferences->root, from);
    (void)save(preferences, NULL);
}
