/* SPDX-License-Identifier: MIT */
#include "bridge/history/safety/restore.h"

#include "bridge/history/safety/backup.h"
#include "bridge/history/safety/replace.h"
#include "bridge/history/safety/rescue.h"
#include "bridge/history/safety/totals_file.h"
#include "bridge/history/store/lock.h"
#include "bridge/history/store/migrate.h"
#include "bridge/history/store/rows.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is known beside the copy ---- */

/* By way of a database in memory that has the schema, so that a damaged file is read with the same
 * care and the same checks as when it is rescued. */
static void gather_from_file(const char *file, struct channels *channels)
{
    sqlite3 *memory = NULL;
    size_t count;
    const struct migration *list = schema_migrations(&count);
    if (sql_open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false, &memory) ==
            SQLITE_OK &&
        migrate(memory, file, 0, list, count, NULL, NULL) == STATUS_OK) {
        (void)rescue_salvage(file, memory);
        if (rows_load(memory, channels) != SQLITE_OK)
            channels_free(channels);
    }
    (void)sqlite3_close(memory);
}

void restore_gather(const char *path, const char *file, struct channels *channels)
{
    unsigned taken;
    char *totals memory_auto = totals_file_path(path);
    if (file != NULL && access(file, F_OK) == 0)
        gather_from_file(file, channels);
    (void)totals_file_merge(totals, channels, &taken, NULL); /* what it has; a help, no condition */
}

/* ---- into the copy ---- */

/* A later state: more energy, or as much and read later (after a reset of the chip's counter). */
static bool is_later(const struct known_channel *found, const struct known_channel *known)
{
    if (!found->has_state)
        return false;
    int64_t found_uwh = channels_energy_uwh(found);
    int64_t known_uwh = channels_energy_uwh(known);
    if (!known->has_state || found_uwh > known_uwh)
        return true;
    return found_uwh == known_uwh && found->state.counter_wall_ms > known->state.counter_wall_ms;
}

static void merge_channel(struct channels *channels, const struct known_channel *found,
                          unsigned *raised)
{
    struct known_channel *known =
        channels_find_name(channels, found->device, found->channel, found->kind);
    if (known == NULL)
        known = channels_add(channels, found->number, found->device, found->channel, found->kind);
    if (known == NULL)
        return; /* 32767 channels, and one more */
    if (is_later(found, known)) {
        channels_take(channels, known, found);
        (*raised)++;
    }
    if (found->recorded.id != 0 && found->recorded.valid_from_ms > known->recorded.valid_from_ms)
        (void)channels_record(channels, known, &found->recorded.factors, found->recorded.invert,
                              found->recorded.origin, found->recorded.valid_from_ms);
}

static void fill_event(struct queued_event *event, const char *sentence)
{
    *event = (struct queued_event){.wall_ms = clock_wall_ms(), .kind = "history_restored"};
    (void)snprintf(event->message, sizeof event->message, "%.*s", (int)sizeof event->message - 1,
                   sentence);
}

/* Two transactions at most, as a calibration that waits keeps its place until it is stored. */
static int merge_known(sqlite3 *db, const struct channels *known, const char *sentence,
                       unsigned *raised)
{
    struct channels channels = {0};
    struct rows *rows = NULL;
    struct queued_event event;
    struct batch batch = {.events = {.items = &event, .count = 1, .capacity = 1}};
    fill_event(&event, sentence);
    int code = rows_load(db, &channels);
    if (code == SQLITE_OK)
        code = rows_open(db, &rows);
    for (size_t i = 0; i < known->count && code == SQLITE_OK; i++)
        merge_channel(&channels, &known->list[i], raised);
    if (code == SQLITE_OK)
        code = rows_write_known(rows, &channels, &batch);
    rows_close(rows);
    channels_free(&channels);
    return code;
}

static int bring_up_to_date(sqlite3 *db, const char *path)
{
    int64_t version = 0;
    size_t count;
    const struct migration *list = schema_migrations(&count);
    int code = sql_integer(db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK)
        code = migrate_without_backup(db, (int)version, list, count, path, NULL) == STATUS_OK
                   ? SQLITE_OK
                   : SQLITE_ERROR;
    return code;
}

/* ---- ... of a service that runs ---- */

/* Whether the row with that id, if there is one, is this calibration of that channel. Its time may have
 * been moved on when it was stored. */
static int has_no_other(sqlite3_stmt *find, unsigned number,
                        const struct known_calibration *calibration, bool *fits)
{
    (void)sqlite3_bind_int64(find, 1, calibration->id);
    int code = sqlite3_step(find);
    if (code == SQLITE_ROW) {
        const struct calibration factors = {.voltage = sqlite3_column_double(find, 1),
                                            .current = sqlite3_column_double(find, 2),
                                            .power = sqlite3_column_double(find, 3)};
        *fits = *fits && sqlite3_column_int64(find, 0) == number &&
                calibration_equal(&factors, &calibration->factors) &&
                (sqlite3_column_int(find, 4) != 0) == calibration->invert;
    }
    (void)sqlite3_reset(find);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int calibrations_fit(sqlite3 *db, const struct channels *memory, bool *fits)
{
    sqlite3_stmt *find = NULL;
    int code = sqlite3_prepare_v2(
        db, "SELECT channel, voltage, current, power, invert FROM calibration WHERE id = ?1", -1,
        &find, NULL);
    for (size_t i = 0; i < memory->count && code == SQLITE_OK; i++) {
        const struct known_channel *channel = &memory->list[i];
        code = has_no_other(find, channel->number, &channel->recorded, fits);
        if (code == SQLITE_OK)
            code = has_no_other(find, channel->number, &channel->configured, fits);
        if (code == SQLITE_OK)
            code = has_no_other(find, channel->number, &channel->counted, fits);
    }
    (void)sqlite3_finalize(find);
    return code;
}

static int is_of_this_history(sqlite3 *db, struct channels *memory, bool *fits)
{
    struct channels found = {0};
    int code = rows_load(db, &found);
    *fits = found.last_calibration_id <= memory->last_calibration_id;
    for (size_t i = 0; i < found.count && *fits; i++) {
        const struct known_channel *channel = &found.list[i];
        const struct known_channel *known = channels_find(memory, channel->number);
        *fits = known != NULL && known->kind == channel->kind &&
                strcmp(known->device, channel->device) == 0 &&
                strcmp(known->channel, channel->channel) == 0;
    }
    channels_free(&found);
    return code == SQLITE_OK && *fits ? calibrations_fit(db, memory, fits) : code;
}

static int put_memory(sqlite3 *db, struct channels *memory, const char *sentence)
{
    struct rows *rows = NULL;
    struct queued_event event;
    struct batch batch = {.events = {.items = &event, .count = 1, .capacity = 1}};
    fill_event(&event, sentence);
    channels_forget_stored(memory);
    int code = rows_open(db, &rows);
    if (code == SQLITE_OK)
        code = rows_write_known(rows, memory, &batch);
    rows_close(rows);
    return code;
}

/* ---- the steps ---- */

/* What is to be made of which copy. */
struct plan {
    const char *copy;
    const struct channels *known; /* merged by name ... */
    struct channels *memory;      /* ... or, where not NULL, the truth */
    const char *sentence;
    unsigned raised;
    struct history_backup_options hooks;
};

/* SQLite asks this every so many steps: a copy from before an update takes minutes to bring up to date. */
static int must_stop(void *context)
{
    const struct history_backup_options *hooks = context;
    if (hooks->alive != NULL)
        hooks->alive(hooks->alive_context);
    return hooks->stop != NULL && atomic_load(hooks->stop) ? 1 : 0;
}

static enum status prepare(const char *partial, struct plan *plan, struct error *error)
{
    sqlite3 *db = NULL;
    bool fits = true;
    int code = sql_open(partial, SQLITE_OPEN_READWRITE, false, &db);
    if (code == SQLITE_OK) {
        sqlite3_progress_handler(db, 100000, must_stop, &plan->hooks);
        code = bring_up_to_date(db, partial);
        sqlite3_progress_handler(db, 0, NULL, NULL);
    }
    if (code == SQLITE_OK && plan->memory != NULL)
        code = is_of_this_history(db, plan->memory, &fits);
    if (code == SQLITE_OK && fits)
        code = plan->memory != NULL ? put_memory(db, plan->memory, plan->sentence)
                                    : merge_known(db, plan->known, plan->sentence, &plan->raised);
    enum status status = STATUS_OK;
    if (code != SQLITE_OK)
        status = error_set(error, sql_is_damage(code) ? STATUS_MISMATCH : STATUS_FAILED,
                           "The copy %s cannot be used: %s.", plan->copy,
                           db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db));
    else if (!fits)
        status = error_set(error, STATUS_REFUSED,
                           "The copy %s is of another history: its channels or calibrations have "
                           "other numbers. With the service stopped, `bl2mqtt history restore` "
                           "takes it all the same.",
                           plan->copy);
    if (sqlite3_close(db) != SQLITE_OK && status == STATUS_OK)
        status = error_set(error, STATUS_FAILED, "%s could not be closed.", partial);
    return status;
}

static enum status check_usable(const char *copy, struct error *error)
{
    struct stat status;
    if (stat(copy, &status) != 0)
        return error_set(error, STATUS_USAGE, "There is no copy %s: %s.", copy, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, STATUS_USAGE, "%s is not a file.", copy);
    return STATUS_OK;
}

static enum status carry_out(const char *path, struct plan *plan, struct error *error)
{
    char partial[PATH_MAX];
    char ready[PATH_MAX];
    if (!replace_name(path, ready) ||
        snprintf(partial, sizeof partial, "%s.restoring", ready) >= (int)sizeof partial)
        return error_set(error, STATUS_USAGE, "The path %s is too long.", path);
    struct history_backup_options options = plan->hooks;
    options.path = plan->copy;
    options.output = partial;
    options.older = true;
    options.needed = true;
    enum status status = check_usable(plan->copy, error);
    replace_discard(path); /* of an attempt that was interrupted */
    if (status == STATUS_OK)
        status = history_backup(&options, NULL, error);
    if (status == STATUS_OK)
        status = prepare(partial, plan, error);
    if (status == STATUS_OK)
        status = replace_put(partial, ready, error);
    if (status != STATUS_OK)
        sql_remove(partial);
    return status;
}

enum status restore_prepare(const char *path, const char *backup, const struct channels *known,
                            const char *sentence, unsigned *raised, struct error *error)
{
    struct plan plan = {.copy = backup, .known = known, .sentence = sentence};
    enum status status = carry_out(path, &plan, error);
    *raised = plan.raised;
    return status;
}

enum status restore_prepare_running(const char *path, const char *backup, struct channels *memory,
                                    const struct history_backup_options *hooks, struct error *error)
{
    char sentence[EVENT_MESSAGE_SIZE];
    (void)snprintf(sentence, sizeof sentence, "The history continues from the backup %.180s.",
                   backup);
    struct plan plan = {.copy = backup, .memory = memory, .sentence = sentence, .hooks = *hooks};
    return carry_out(path, &plan, error);
}

enum status restore_prepare_fresh(const char *path, const char *damaged, struct rescued *rescued,
                                  struct error *error)
{
    char ready[PATH_MAX];
    sqlite3 *db = NULL;
    size_t count;
    const struct migration *list = schema_migrations(&count);
    if (!replace_name(path, ready))
        return error_set(error, STATUS_USAGE, "The path %s is too long.", path);
    sql_remove(ready);
    enum status status = STATUS_OK;
    int code = sql_create_file(ready);
    if (code == SQLITE_OK)
        code = sql_open(ready, SQLITE_OPEN_READWRITE, false, &db);
    if (code == SQLITE_OK)
        code = sql_run(db, SQL_PAGE_SIZE);
    if (code != SQLITE_OK)
        status = sql_explain(code, db, path, error);
    if (status == STATUS_OK)
        status = migrate_without_backup(db, 0, list, count, path, error);
    if (status == STATUS_OK)
        *rescued = rescue_salvage(damaged, db);
    if (sqlite3_close(db) != SQLITE_OK && status == STATUS_OK)
        status = error_set(error, STATUS_FAILED, "%s could not be closed.", ready);
    if (status != STATUS_OK)
        sql_remove(ready);
    return status;
}

/* ---- the command ---- */

static bool is_same_file(const char *a, const char *b)
{
    struct stat one;
    struct stat other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

static enum status replace(const char *path, const char *backup, struct history_restored *restored,
                           struct error *error)
{
    struct channels known = {0};
    char sentence[EVENT_MESSAGE_SIZE];
    (void)snprintf(sentence, sizeof sentence, "The history was restored from %.200s.", backup);
    restore_gather(path, path, &known);
    enum status status = restore_prepare(path, backup, &known, sentence, &restored->raised, error);
    if (status == STATUS_OK)
        status = replace_commit(path, "replaced", restored->kept, error);
    channels_free(&known);
    return status;
}

enum status history_restore(const char *path, const char *backup, struct history_restored *restored,
                            struct error *error)
{
    *restored = (struct history_restored){{""}, 0};
    int lock = -1;
    enum status status = lock_take(path, false, &lock, error);
    if (status == STATUS_FAILED && lock >= 0) /* held by a service */
        status = STATUS_REFUSED;
    if (status == STATUS_OK && is_same_file(path, backup))
        status =
            error_set(error, STATUS_REFUSED, "%s is the history itself; name a backup.", backup);
    if (status == STATUS_OK)
        status = replace(path, backup, restored, error);
    if (lock >= 0)
        (void)close(lock);
    return status;
}
