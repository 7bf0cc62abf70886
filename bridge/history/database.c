/* SPDX-License-Identifier: MIT */
#include "bridge/history/database.h"

#include "bridge/history/recalibrate.h"
#include "bridge/history/safety/backup.h"
#include "bridge/history/safety/interim.h"
#include "bridge/history/safety/replace.h"
#include "bridge/history/safety/restore.h"
#include "bridge/history/safety/totals_file.h"
#include "bridge/history/store/handle.h"
#include "bridge/history/store/lock.h"
#include "bridge/history/store/meta.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct database {
    char *path;
    char *backup_folder; /* NULL: beside the file */
    struct handle file;
    int lock; /* -1: the disk was read-only and had no such file yet */
    char quarantined[PATH_MAX];
    char restored_from[PATH_MAX];
    /* The file that was loaded, or that replaced it after damage: held (O_PATH) so that no other can get
     * its inode number. -1: none. */
    int known;
    char moved_log[PATH_MAX]; /* its log, moved away when the file vanished; or "" */
    bool afresh;              /* a fresh file was begun since, in its place */
    bool damaged_in_place;    /* is to be quarantined before anything else */
    bool salvage_due;         /* from quarantined, once the channels in memory are stored */
    bool may_lag;             /* what was loaded may be older than what was known before the stop */
    int64_t newest_ms;        /* of a file that could only be read; it is closed then */
    struct outboxes outboxes;
    struct queue credits; /* counts of the loaded totals that no reading has */
};

static void hold_known(struct database *database)
{
    if (database->known >= 0)
        (void)close(
            database->known); /* of O_PATH: takes none of the process's locks on the file along */
    database->known = open(database->path, O_PATH | O_CLOEXEC);
    database->moved_log[0] = '\0';
    database->afresh = false;
}

/* Whether the file that was moved away is in its place again: that very one. */
static bool is_back(const struct database *database)
{
    struct stat known;
    struct stat there;
    return database->known >= 0 && fstat(database->known, &known) == 0 &&
           stat(database->path, &there) == 0 && known.st_dev == there.st_dev &&
           known.st_ino == there.st_ino;
}

static enum status open_fresh(struct database *database, struct error *error)
{
    enum status status = STATUS_FAILED;
    if (handle_open(&database->file, TO_RENEW, NULL, error, &status) == SOUND)
        return STATUS_OK;
    handle_close(&database->file, false);
    return status;
}

/* At once, because a service that fails to start, or is killed, would leave a file that looks as if it
 * had never had more. If it does not work, the writer does it later. */
static void store_seeds(struct database *database, struct channels *channels)
{
    struct batch batch = {.totals = NULL};
    if (database->file.rows != NULL) /* else the disk is read-only */
        (void)rows_write_known(database->file.rows, channels, &batch);
}

static void seed_totals(struct database *database, struct channels *channels)
{
    struct error error = {""};
    unsigned taken;
    char *path memory_auto = totals_file_path(database->path);
    if (totals_file_merge(path, channels, &taken, &error) != STATUS_OK)
        log_warning(database->file.log, "%s", error.text);
    if (taken == 0)
        return;
    log_warning(database->file.log,
                "The totals of %u channels come from %s, as the history does not have them. "
                "To begin at zero, stop the service and delete that file and the history.",
                taken, path);
    store_seeds(database, channels);
}

/* Whether the backup could take the file's place and be opened. */
static bool restore_at_open(struct database *database, const char *backup,
                            const struct channels *known, struct channels *channels)
{
    char sentence[EVENT_MESSAGE_SIZE];
    char kept[PATH_MAX] = "";
    unsigned raised = 0;
    struct error error = {""};
    enum status status;
    (void)snprintf(sentence, sizeof sentence, "The history continues from the backup %.180s.",
                   backup);
    if (restore_prepare(database->path, backup, known, sentence, &raised, &error) != STATUS_OK ||
        replace_commit(database->path, "damaged", kept, &error) != STATUS_OK) {
        log_warning(database->file.log, "%s", error.text);
        return false;
    }
    if (kept[0] != '\0') /* else it was moved away before the previous backup was tried */
        (void)snprintf(database->quarantined, sizeof database->quarantined, "%s", kept);
    if (handle_open(&database->file, TO_LOAD, channels, &error, &status) != SOUND) {
        log_warning(database->file.log, "%s", error.text);
        handle_close(&database->file, true);
        channels_free(channels);
        sql_remove(database->path); /* the backup itself is still there */
        return false;
    }
    (void)snprintf(database->restored_from, sizeof database->restored_from, "%s", backup);
    log_warning(
        database->file.log,
        "The damaged history was quarantined as %s. It continues from the backup %s; %u "
        "totals are later ones, from the damaged file or %s.totals.json. The readings since "
        "that backup are still in the damaged file (\".recover\" of sqlite3(1) reads them).",
        database->quarantined, backup, raised, database->path);
    return true;
}

static bool restore_newest(struct database *database, struct channels *channels)
{
    struct channels known = {0};
    struct history_backups backups;
    char *base memory_auto = history_backup_base(database->path, database->backup_folder);
    bool restored = false;
    (void)history_backups(base, &backups, NULL); /* a folder that is missing has no backups */
    if (backups.count > 0)
        restore_gather(database->path, database->path, &known);
    for (size_t i = backups.count; i > 0 && !restored; i--)
        restored = restore_at_open(database, backups.list[i - 1].path, &known, channels);
    channels_free(&known);
    history_backups_free(&backups);
    return restored;
}

/* Nothing could take its place (the disk is full). The next start must find the damaged file, not one that
 * looks as if there had never been more, and restore the newest backup then. */
static void put_back(struct database *database)
{
    sql_remove(database->path); /* what was begun of a fresh one */
    if (!replace_move_back(database->quarantined, database->path))
        log_error(database->file.log, "The damaged history is now %s; it could not be moved back.",
                  database->quarantined);
}

/* The damaged file keeps its name until another one is ready, so a kill costs nothing that it holds. */
static enum status begin_from_rescued(struct database *database, struct channels *channels,
                                      struct rescued *rescued, struct error *error)
{
    const char *path = database->path;
    char kept[PATH_MAX] = "";
    bool moved = database->quarantined[0] != '\0'; /* for a backup that was of no use after all */
    enum status status =
        restore_prepare_fresh(path, moved ? database->quarantined : path, rescued, error);
    if (status == STATUS_OK)
        status = replace_commit(path, "damaged", kept, error);
    if (status != STATUS_OK)
        return status;
    if (!moved)
        (void)snprintf(database->quarantined, sizeof database->quarantined, "%s", kept);
    return handle_open(&database->file, TO_LOAD, channels, error, &status) == SOUND ? STATUS_OK
                                                                                    : status;
}

/* Without a backup, what the small tables still hold goes into a fresh file. */
static enum status replace_at_open(struct database *database, struct channels *channels,
                                   struct error *error)
{
    struct rescued rescued = {0};
    handle_close(&database->file, true);
    channels_free(channels);
    log_error(database->file.log, "%s", error->text);
    if (restore_newest(database, channels))
        return STATUS_OK;
    enum status status = begin_from_rescued(database, channels, &rescued, error);
    if (status != STATUS_OK) {
        handle_close(&database->file, true);
        if (database->quarantined[0] != '\0')
            put_back(database);
        return status;
    }
    log_warning(database->file.log,
                "The damaged history was quarantined as %s and a fresh one begun; %u channels, %u "
                "calibrations and %u totals were carried over. Its readings are still in that file "
                "(\".recover\" of sqlite3(1) reads them).",
                database->quarantined, rescued.channels, rescued.calibrations, rescued.totals);
    return STATUS_OK;
}

/* A file that was never written to knows less than the copy of the totals. */
static void seed_if_unused(struct database *database, struct channels *channels)
{
    bool used;
    if (meta_was_used(database->file.db, &used) != SQLITE_OK || used)
        return;
    seed_totals(database, channels);
    database->may_lag = true;
}

static void credit(void *context, unsigned number, int64_t imported, int64_t exported)
{
    queue_credit(context, number, imported, exported);
}

/* Totals that were shown after the last transaction of a service that was killed. Stored at once, as whoever
 * corrects the past next knows only the file. */
static void take_interim(struct database *database, struct channels *channels)
{
    char word[META_WORD_SIZE];
    struct interim_record record;
    struct queue *credits = &database->credits;
    sqlite3 *db = database->file.db;
    if (meta_load_uncredited(db, credit, credits) != SQLITE_OK ||
        meta_get_word(db, word) != SQLITE_OK)
        return; /* whatever is wrong shows when it is written */
    interim_read(database->path, word, &record);
    if (interim_apply(&record, channels, credit, credits) > 0 && database->file.rows != NULL) {
        char *uncredited memory_auto = queue_uncredited(credits, false);
        struct batch batch = {.uncredited = uncredited};
        (void)rows_write_known(database->file.rows, channels, &batch);
    }
    free(record.totals);
}

/*
 * The disk is mounted read-only, as the kernel does with one that fails. Metering and MQTT can do with what
 * the file holds: it is read once and closed, and from then on the disk has refused a transaction. A file
 * that would have to be changed first (an older version, damage) cannot be used.
 */
static enum status open_unwritable(struct database *database, struct channels *channels,
                                   struct error *error)
{
    enum status status = handle_open_unwritable(&database->file, channels, error);
    if (status == STATUS_OK) {
        seed_if_unused(database, channels);
        take_interim(database, channels);
        int code = rows_load_outboxes(database->file.db, &database->outboxes);
        database->newest_ms = database_newest_ms(database);
        if (code != SQLITE_OK)
            status = sql_explain(code, database->file.db, database->path, error);
    }
    handle_close(&database->file, true);
    if (status == STATUS_OK)
        return status;
    return error_prefix(
        error, STATUS_FAILED,
        "The disk of the history is a read-only file system, and the history cannot "
        "be used before it can be written. ");
}

static enum status open_locked(struct database *database, struct channels *channels,
                               struct error *error)
{
    enum status status = STATUS_FAILED;
    struct error damage = {""};
    if (sql_is_unwritable(database->path))
        return open_unwritable(database, channels, error);
    if (replace_recover(database->path))
        log_warning(
            database->file.log,
            "The history continues from the file that was prepared in place of a damaged or "
            "replaced one; putting it there was interrupted.");
    enum verdict verdict = handle_open(&database->file, TO_LOAD, channels, &damage, &status);
    if (verdict == UNUSABLE)
        return error_set(error, status, "%s", damage.text);
    database->may_lag = database->may_lag || verdict == DAMAGED;
    if (verdict == DAMAGED)
        status = replace_at_open(database, channels, &damage);
    if (status != STATUS_OK)
        return error_set(error, status, "%s", damage.text);
    seed_if_unused(database, channels);
    take_interim(database, channels);
    return STATUS_OK;
}

enum status database_open(const char *path, const char *backup_folder, struct channels *channels,
                          struct log *log, struct database **database, struct error *error)
{
    struct database *made = memory_new(1, sizeof *made);
    made->path = memory_copy_text(path);
    made->backup_folder = backup_folder == NULL ? NULL : memory_copy_text(backup_folder);
    made->file = (struct handle){.path = made->path, .log = log};
    made->outboxes.writing = INT64_MAX;
    made->known = -1;
    enum status status = lock_take(path, true, &made->lock, error);
    if (status == STATUS_OK)
        status = open_locked(made, channels, error);
    made->file.log = NULL;
    if (status == STATUS_OK) {
        hold_known(made);
        *database = made;
        return STATUS_OK;
    }
    channels_free(channels);
    database_close(made, false);
    return status;
}

static enum database_result lose(struct database *database)
{
    handle_close(&database->file, true);
    database->damaged_in_place = true;
    return DATABASE_LOST;
}

static bool file_is_gone(const struct database *database)
{
    int moved = 0;
    int code = sqlite3_file_control(database->file.db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return code == SQLITE_OK && moved != 0;
}

static void move_log_away(struct database *database)
{
    char name[PATH_MAX];
    replace_move_log_away(database->path, name, sizeof name);
    if (!database->afresh)
        (void)snprintf(database->moved_log, sizeof database->moved_log, "%s", name);
}

/* There is room now: the file is opened again so that others can read it. */
static void reopen_shared(struct database *database)
{
    struct error error = {""};
    enum status status;
    handle_close(&database->file, false);
    if (handle_open(&database->file, TO_RESUME, NULL, &error, &status) != SOUND)
        handle_close(&database->file, false); /* the next write tries again, and reports */
}

/* A lock that could not be created at the start, on a read-only disk, is created before any write. */
static bool is_locked(struct database *database, struct error *error)
{
    if (database->lock >= 0)
        return true;
    if (lock_take(database->path, false, &database->lock, error) == STATUS_OK)
        return true;
    if (database->lock >= 0) /* another one's */
        (void)close(database->lock);
    database->lock = -1;
    return false;
}

static enum database_result reopen(struct database *database, struct error *error)
{
    enum status status;
    if (sql_is_unwritable(database->path)) {
        (void)error_set(
            error, STATUS_FAILED,
            "The history %s cannot be written: its disk is a read-only file system. Readings "
            "wait in memory. Check the disk and mount it read-write again.",
            database->path);
        return DATABASE_RETRY;
    }
    if (!is_locked(database, error))
        return DATABASE_RETRY;
    switch (handle_open(&database->file, TO_RESUME, NULL, error, &status)) {
    case SOUND:
        return DATABASE_DONE;
    case UNUSABLE:
        handle_close(&database->file, false);
        return DATABASE_RETRY;
    case DAMAGED:
        break;
    }
    return lose(database);
}

enum database_result database_write(struct database *database, struct channels *channels,
                                    const struct batch *batch, struct error *error)
{
    *error = (struct error){""};
    if (database->file.db != NULL && file_is_gone(database)) {
        (void)error_set(error, STATUS_FAILED, "The history %s was moved or deleted while in use.",
                        database->path);
        handle_close(&database->file, false);
        move_log_away(database);
        database->file.vanished = true;
        return DATABASE_LOST;
    }
    if (database->file.db == NULL) {
        if (database->file.vanished || database->damaged_in_place)
            return DATABASE_LOST;
        enum database_result result = reopen(database, error);
        if (result != DATABASE_DONE)
            return result;
    }
    int code = rows_write(database->file.rows, channels, batch);
    if (code == SQLITE_OK) {
        if (database->salvage_due)
            (void)rescue_salvage(database->quarantined, database->file.db);
        database->salvage_due = false;
        if (database->file.exclusive)
            reopen_shared(database);
        return DATABASE_DONE;
    }
    (void)sql_explain(code, database->file.db, database->path, error);
    if ((code & 0xff) ==
        SQLITE_ERROR) /* are the tables still what they were? Opening it again tells */
        handle_close(&database->file, false);
    /* Channels that were loaded from it are not there: pages are other ones than they should be. To try
     * again would be in vain forever, and a kill then cost what is only in memory. */
    if (!sql_is_damage(code) && code != SQLITE_CONSTRAINT_FOREIGNKEY)
        return DATABASE_RETRY;
    return lose(database);
}

/* Prepares the newest backup that will do, while the damaged file still has its name: whoever kills the
 * service meanwhile finds the damage again at the next start. *used is empty if there is none; *why
 * receives what is wrong with the newest. */
static void prepare_newest(struct database *database, struct channels *memory,
                           const struct history_backup_options *hooks, char used[PATH_MAX],
                           struct error *why)
{
    struct history_backups backups;
    char *base memory_auto = history_backup_base(database->path, database->backup_folder);
    (void)history_backups(base, &backups, NULL); /* a folder that is missing has no backups */
    used[0] = '\0';
    for (size_t i = backups.count; i > 0 && used[0] == '\0'; i--) {
        const char *backup = backups.list[i - 1].path;
        struct error error = {""};
        if (restore_prepare_running(database->path, backup, memory, hooks, &error) == STATUS_OK)
            (void)snprintf(used, PATH_MAX, "%s", backup);
        else if (why->text[0] == '\0')
            *why = error;
        if (hooks->stop != NULL && atomic_load(hooks->stop))
            break;
    }
    history_backups_free(&backups);
}

/* Whether the backup that has taken the history's place can be opened. */
static bool open_restored(struct database *database, const char *backup, struct error *error)
{
    enum status status;
    enum verdict verdict = handle_open(&database->file, TO_RESUME, NULL, error, &status);
    if (verdict != SOUND)
        handle_close(&database->file, verdict == DAMAGED); /* the next write tries again */
    if (verdict == DAMAGED) {
        sql_remove(database->path); /* the backup itself is still there */
        return false;
    }
    (void)snprintf(database->restored_from, sizeof database->restored_from, "%s", backup);
    hold_known(database);
    return true;
}

/* Memory has grown since on its numbers, so that all of it can be written there. */
static enum database_result resume_known(struct database *database, struct error *error)
{
    enum status status;
    if (database->moved_log[0] != '\0')
        replace_move_log_back(database->moved_log, database->path);
    enum verdict verdict = handle_open(&database->file, TO_RESUME, NULL, error, &status);
    if (verdict != SOUND) {
        handle_close(&database->file, verdict == DAMAGED);
        database->damaged_in_place = verdict == DAMAGED;
        return DATABASE_RETRY;
    }
    database->file.vanished = false;
    database->afresh = false;
    database->moved_log[0] = '\0';
    (void)error_set(error, STATUS_FAILED,
                    "The history %s was moved away and back while in use; writing resumes.",
                    database->path);
    return DATABASE_RENEWED;
}

static enum database_result begin_afresh(struct database *database, const struct error *why,
                                         struct error *error)
{
    if (open_fresh(database, error) != STATUS_OK)
        return DATABASE_RETRY;
    database->file.vanished = false;
    if (database->salvage_due)
        hold_known(database);
    else
        database->afresh = true;
    if (database->salvage_due)
        (void)error_set(
            error, STATUS_FAILED,
            "The damaged history was quarantined as %.300s and a fresh one begun.%s%.500s",
            database->quarantined, why->text[0] == '\0' ? "" : " ", why->text);
    else
        (void)error_set(error, STATUS_FAILED,
                        "The history %s was moved or deleted while in use; a fresh one is begun.",
                        database->path);
    return DATABASE_RENEWED;
}

/* Gets a file under way in place of a damaged one. */
static enum database_result replace_damaged(struct database *database, struct channels *memory,
                                            const struct history_backup_options *hooks,
                                            struct error *error)
{
    char backup[PATH_MAX] = "";
    char kept[PATH_MAX];
    struct error why = {""};
    enum status status;
    if (memory != NULL)
        prepare_newest(database, memory, hooks, backup, &why);
    if (backup[0] == '\0' && hooks->stop != NULL && atomic_load(hooks->stop) &&
        why.text[0] != '\0') {
        *error = why; /* the next start finds the damage and the backups */
        return DATABASE_RETRY;
    }
    if (backup[0] != '\0')
        status = replace_commit(database->path, "damaged", kept, error);
    else
        status = replace_move_away(database->path, "damaged", kept, sizeof kept, error);
    if (status != STATUS_OK)
        return DATABASE_RETRY;
    (void)snprintf(database->quarantined, sizeof database->quarantined, "%s", kept);
    database->damaged_in_place = false;
    database->file.vanished = true;
    database->salvage_due = true;
    database->restored_from[0] = '\0';
    if (backup[0] == '\0' || !open_restored(database, backup, &why))
        return begin_afresh(database, &why, error);
    database->file.vanished = false;
    (void)error_set(error, STATUS_FAILED,
                    "The damaged history was quarantined as %.300s; it continues from the backup "
                    "%.300s. The readings since then are only in the quarantined file.",
                    database->quarantined, backup);
    return DATABASE_RENEWED;
}

enum database_result database_renew(struct database *database, struct channels *memory,
                                    const struct history_backup_options *hooks, struct error *error)
{
    const struct error none = {""};
    *error = none;
    if (database->damaged_in_place)
        return replace_damaged(database, memory, hooks, error);
    if (is_back(database))
        return resume_known(database, error);
    return begin_afresh(database, &none, error);
}

struct rows *database_rows(struct database *database)
{
    return database->file.rows;
}

enum status database_recalibrate(struct database *database,
                                 const struct history_recalibration *request,
                                 struct history_recalibrated *done, struct error *error)
{
    if (database->file.db == NULL)
        return error_set(error, STATUS_FAILED,
                         "The history cannot be written at the moment; try again when it can.");
    return recalibrate(database->file.db, rows_rollup_writer(database->file.rows), database->path,
                       request, done, error);
}

const char *database_quarantine(const struct database *database)
{
    return database->quarantined;
}

int64_t database_newest_ms(struct database *database)
{
    int64_t key = 0;
    if (database->file.db == NULL)
        return database->newest_ms;
    if (sql_integer(database->file.db, "SELECT coalesce(max(key), 0) FROM reading", &key) !=
        SQLITE_OK)
        return 0; /* whatever is wrong shows when it is written */
    return key_time_ms(key);
}

void database_outboxes(struct database *database, struct outboxes *outboxes)
{
    *outboxes = database->outboxes;
    if (database->file.db != NULL && rows_load_outboxes(database->file.db, outboxes) != SQLITE_OK)
        *outboxes = (struct outboxes){.writing = INT64_MAX};
}

void database_uncredited(const struct database *database, meta_credit receive, void *context)
{
    const struct queue *credits = &database->credits;
    for (size_t i = 0; i < credits->channel_count; i++)
        if (credits->channels[i].imported != 0 || credits->channels[i].exported != 0)
            receive(context, (unsigned)i, credits->channels[i].imported,
                    credits->channels[i].exported);
}

void database_take_changes(struct database *database, struct outbox_changes *changes)
{
    *changes = OUTBOX_NO_CHANGES;
    if (database->file.db != NULL)
        rollup_writer_take_changes(rows_rollup_writer(database->file.rows), changes);
}

const char *database_restored_from(const struct database *database)
{
    return database->restored_from;
}

bool database_may_lag(const struct database *database)
{
    return database->may_lag || database->file.unclean;
}

void database_close(struct database *database, bool clean)
{
    if (database == NULL)
        return;
    if (clean && database->file.db != NULL)
        (void)meta_mark_clean(database->file.db, true); /* if not, the next opening checks */
    handle_close(&database->file, false);
    if (database->lock >= 0)
        (void)close(database->lock);
    if (database->known >= 0)
        (void)close(database->known);
    free(database->path);
    free(database->backup_folder);
    queue_free(&database->credits);
    free(database);
}
