/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/database.h"

#include "bridge/history/recalibrate.h"
#include "bridge/history/safety/backup.h"
#include "bridge/history/safety/rescue.h"
#include "bridge/history/safety/restore.h"
#include "bridge/history/safety/totals_file.h"
#include "bridge/history/store/migrate.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read whole by the check after an unclean stop: some seconds even from an SD card. */
#define CHECK_WHOLE_MAX (256LL * 1024 * 1024)

#define WRITER_BUSY_MS 12000

struct database {
    char *path;
    char *backup_folder; /* NULL: beside the file */
    struct log *log;     /* only while database_open runs; NULL after it */
    int lock;            /* -1: the disk was read-only and had no such file yet */
    sqlite3 *db;         /* NULL: there is no usable file at the moment */
    struct rows *rows;
    char quarantined[PATH_MAX];
    char restored_from[PATH_MAX];
    /* The file that was loaded, or that was gone on from after damage: held (O_PATH) so that no other can
     * get its number. -1: none. */
    int known;
    char moved_log[PATH_MAX]; /* its log, if it was set aside when the file was moved away; or "" */
    bool afresh;              /* another one was begun since, in its place */
    bool exclusive;           /* nobody else can read it; see attach */
    bool damaged_in_place;    /* is to be set aside before anything else */
    bool lost;                /* the file is gone: a fresh one is to be begun */
    bool salvage_due;         /* from quarantined, once the channels in memory are stored */
    bool may_lag;             /* what was loaded may be older than what was known before the stop */
    int64_t newest_ms;        /* of a file that could only be read; there is no db then */
    struct outboxes outboxes;
};

/* What came of trying to open the file. */
enum verdict {
    SOUND,
    DAMAGED,
    UNUSABLE, /* status and error say why */
};

static enum verdict judge(int code, sqlite3 *db, const char *path, struct error *error,
                          enum status *status)
{
    *status = STATUS_OK;
    if (code == SQLITE_OK)
        return SOUND;
    *status = sql_explain(code, db, path, error);
    if (sql_is_damage(code))
        return DAMAGED;
    int primary = code & 0xff;
    if (primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY)
        *status = STATUS_USAGE;
    return UNUSABLE;
}

struct identity {
    int64_t application;
    int64_t version;
    int64_t objects; /* tables and indexes */
};

static int identify(sqlite3 *db, struct identity *identity)
{
    int code = sql_integer(db, "PRAGMA application_id", &identity->application);
    if (code == SQLITE_OK)
        code = sql_integer(db, "PRAGMA user_version", &identity->version);
    if (code == SQLITE_OK)
        code = sql_integer(db, "SELECT count(*) FROM sqlite_schema", &identity->objects);
    return code;
}

static bool is_blank(const struct identity *identity)
{
    return identity->version == 0 && identity->objects == 0;
}

static enum status check_identity(const struct identity *identity, const char *path,
                                  struct error *error)
{
    if (is_blank(identity))
        return STATUS_OK;
    if (identity->application != HISTORY_APPLICATION_ID)
        return error_set(error, STATUS_USAGE,
                         "%s is a database of another program, not a history of bl2mqtt. Name "
                         "another file.",
                         path);
    if (identity->version > migrations_newest())
        return error_set(error, STATUS_USAGE,
                         "The history %s was written by a newer bl2mqtt (its format is %lld, this "
                         "program knows up to %d). Install that version again, or name another "
                         "file.",
                         path, (long long)identity->version, migrations_newest());
    return STATUS_OK;
}

/* Runs a check that answers one row "ok" or rows that say what is wrong. */
static int run_check(sqlite3 *db, const char *query, bool *sound)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, query, -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        *sound = text != NULL && strcmp((const char *)text, "ok") == 0;
        code = SQLITE_OK;
    }
    (void)sqlite3_finalize(statement);
    return code;
}

/* A power cut can only hurt pages that were being written. The small tables are rewritten all the
 * time and checked whatever the size; of a big table of readings, the end that was appended to. */
static int check_contents(sqlite3 *db, const char *path, bool *sound)
{
    static const char *const small[] = {
        "PRAGMA quick_check(meta)",          "PRAGMA quick_check(channel)",
        "PRAGMA quick_check(calibration)",   "PRAGMA quick_check(total)",
        "PRAGMA quick_check(recalibration)", "PRAGMA quick_check(rollup_day)",
    };
    *sound = true;
    struct stat status;
    if (stat(path, &status) == 0 && status.st_size <= CHECK_WHOLE_MAX)
        return run_check(db, "PRAGMA quick_check(1)", sound);
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof small / sizeof small[0] && code == SQLITE_OK && *sound; i++)
        code = run_check(db, small[i], sound);
    int64_t unused;
    if (code == SQLITE_OK && *sound)
        code = sql_integer(db,
                           "SELECT max(counted) FROM (SELECT counted FROM sample ORDER BY key "
                           "DESC LIMIT 100000)",
                           &unused);
    return code;
}

static int check_after_unclean_stop(struct database *database)
{
    bool clean;
    int code = rows_was_clean(database->db, &clean);
    if (code != SQLITE_OK || clean)
        return code;
    database->may_lag = true;
    bool sound;
    code = check_contents(database->db, database->path, &sound);
    if (code == SQLITE_OK && sound)
        log_info(database->log,
                 "The history %s was not closed in order; it was checked and is sound.",
                 database->path);
    return code == SQLITE_OK && !sound ? SQLITE_CORRUPT : code;
}

static int set_modes(sqlite3 *db)
{
    /* An import of years or a recalibration is one transaction of another process; readings wait in
     * the queue meanwhile, and it is nothing to be alarmed about. */
    (void)sqlite3_busy_timeout(db, WRITER_BUSY_MS);
    /* A file that exists keeps its pages' size. */
    int code = sql_run(db, SQL_PAGE_SIZE "PRAGMA journal_mode = WAL");
    /* FULL: a commit that returned survives a power cut. The log is cut back after a checkpoint, so
     * that a long reader's swelling does not stay. What is deleted every day need not be overwritten
     * with zeros, which Debian's SQLite does by default. */
    if (code == SQLITE_OK)
        code = sql_run(db, "PRAGMA synchronous = FULL;"
                           "PRAGMA wal_autocheckpoint = 4000;"
                           "PRAGMA journal_size_limit = 4194304;"
                           "PRAGMA secure_delete = FAST;");
    return code;
}

static void detach(struct database *database, bool damaged)
{
    rows_close(database->rows);
    database->rows = NULL;
    if (damaged && database->db != NULL) /* leave it and its log as they were found */
        (void)sqlite3_db_config(database->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_close(database->db);
    database->db = NULL;
}

/* What the file is opened for. */
enum purpose {
    TO_LOAD,  /* the first time: check it, bring it up to date, load channels */
    TO_RENEW, /* it must be blank, as memory knows more than any other file could */
    TO_GO_ON, /* the file that was loaded before */
};

static enum verdict attach_migrated(struct database *database, enum purpose purpose,
                                    struct channels *channels, const struct identity *identity,
                                    struct error *error, enum status *status)
{
    size_t count;
    const struct migration *list = migrations(&count);
    int code = SQLITE_OK;
    if (purpose == TO_LOAD && identity->version > 0)
        code = check_after_unclean_stop(database);
    if (code == SQLITE_OK)
        code = set_modes(database->db);
    if (code != SQLITE_OK)
        return judge(code, database->db, database->path, error, status);
    *status = migrate(database->db, database->path, (int)identity->version, list, count,
                      database->log, error);
    if (*status != STATUS_OK)
        return UNUSABLE;
    if (purpose == TO_LOAD)
        code = rows_load(database->db, channels);
    if (code == SQLITE_OK)
        code = rows_open(database->db, &database->rows);
    if ((code & 0xff) ==
        SQLITE_ERROR) /* not the tables that its version has: no page of it can be believed */
        code = SQLITE_CORRUPT;
    return judge(code, database->db, database->path, error, status);
}

static enum verdict attach_as(struct database *database, enum purpose purpose,
                              struct channels *channels, struct error *error, enum status *status)
{
    const char *path = database->path;
    struct identity identity = {0};
    int code = sql_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, database->exclusive,
                        &database->db);
    if (code == SQLITE_OK && sqlite3_db_readonly(database->db, "main") == 1)
        code = SQLITE_READONLY;
    if (code == SQLITE_OK)
        code = identify(database->db, &identity);
    if (code != SQLITE_OK)
        return judge(code, database->db, path, error, status);
    bool blank = is_blank(&identity);
    *status = check_identity(&identity, path, error);
    if (*status == STATUS_OK && purpose == TO_GO_ON && blank) {
        *status = error_set(error, STATUS_FAILED, "The history %s was deleted while in use.", path);
        database->lost = true;
    }
    if (*status == STATUS_OK && purpose == TO_RENEW && !blank)
        *status = error_set(error, STATUS_FAILED,
                            "Another file has taken the place of the history %s while it was in "
                            "use. Restart the service to go on with that file.",
                            path);
    if (*status != STATUS_OK)
        return UNUSABLE;
    return attach_migrated(database, purpose, channels, &identity, error, status);
}

/*
 * Opens the file and brings database->db and rows to life. Readers of the file share an index of
 * the log with the writer, in a file of its own, which cannot be made on a full disk. The history
 * can still be had then, with the index in memory and nobody else reading it until there is room.
 */
static enum verdict attach(struct database *database, enum purpose purpose,
                           struct channels *channels, struct error *error, enum status *status)
{
    bool exists = access(database->path, F_OK) == 0;
    database->exclusive = false;
    enum verdict verdict = attach_as(database, purpose, channels, error, status);
    int reason = sqlite3_errcode(database->db) & 0xff;
    bool no_room = reason == SQLITE_FULL || reason == SQLITE_IOERR || reason == SQLITE_CANTOPEN;
    if (verdict != UNUSABLE || !exists || !no_room)
        return verdict;
    detach(database, false);
    if (channels != NULL)
        channels_free(channels);
    database->exclusive = true;
    struct error first = *error;
    verdict = attach_as(database, purpose, channels, error, status);
    if (verdict == UNUSABLE)
        *error = first;
    return verdict;
}

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

static enum status attach_fresh(struct database *database, struct error *error)
{
    enum status status = STATUS_FAILED;
    if (attach(database, TO_RENEW, NULL, error, &status) == SOUND)
        return STATUS_OK;
    detach(database, false);
    return status;
}

/* At once, because a service that fails to start, or is killed, would leave a file that looks as if it
 * had never had more. If it does not work, the writer does it later. */
static void store_seeds(struct database *database, struct channels *channels)
{
    struct batch batch = {.totals = NULL};
    if (database->rows != NULL) /* else the disk is read-only */
        (void)rows_write_known(database->rows, channels, &batch);
}

static void seed_totals(struct database *database, struct channels *channels)
{
    struct error error = {""};
    unsigned taken;
    char *path memory_auto = totals_file_path(database->path);
    if (totals_file_merge(path, channels, &taken, &error) != STATUS_OK)
        log_warning(database->log, "%s", error.text);
    if (taken == 0)
        return;
    log_warning(database->log,
                "The totals of %u channels come from %s, as the history does not have them. "
                "To begin at zero, stop the service and delete that file and the history.",
                taken, path);
    store_seeds(database, channels);
}

/* Whether the copy could be put in place and opened. */
static bool go_on_from(struct database *database, const char *copy, const struct channels *known,
                       struct channels *channels)
{
    char sentence[512];
    struct error error = {""};
    struct history_restored restored;
    enum status status;
    (void)snprintf(sentence, sizeof sentence, "The history goes on from the copy %.180s.", copy);
    if (restore_replace(database->path, copy, known, "damaged", sentence, &restored, &error) !=
        STATUS_OK) {
        log_warning(database->log, "%s", error.text);
        return false;
    }
    if (restored.kept[0] != '\0') /* else by the copy before this one */
        (void)snprintf(database->quarantined, sizeof database->quarantined, "%s", restored.kept);
    if (attach(database, TO_LOAD, channels, &error, &status) != SOUND) {
        log_warning(database->log, "%s", error.text);
        detach(database, true);
        channels_free(channels);
        history_backup_remove(database->path); /* a copy of a copy */
        return false;
    }
    (void)snprintf(database->restored_from, sizeof database->restored_from, "%s", copy);
    log_warning(
        database->log,
        "The damaged history was set aside as %s. It goes on from the copy %s; %u totals are "
        "later ones, from the damaged file or %s.totals.json. The readings since that copy "
        "are still in the damaged file (\".recover\" of sqlite3(1) reads them).",
        database->quarantined, copy, restored.raised, database->path);
    return true;
}

static bool restore_newest(struct database *database, struct channels *channels)
{
    struct channels known = {0};
    struct history_backups backups;
    char *base memory_auto = history_backup_base(database->path, database->backup_folder);
    bool restored = false;
    (void)history_backups(base, &backups, NULL); /* a folder that is missing has no copies */
    if (backups.count > 0)
        restore_gather(database->path, database->path, &known);
    for (size_t i = backups.count; i > 0 && !restored; i--)
        restored = go_on_from(database, backups.list[i - 1].path, &known, channels);
    channels_free(&known);
    history_backups_free(&backups);
    return restored;
}

/* Nothing could take its place (the disk is full): the next start shall find it, not a file that looks
 * as if there had never been more, and restore the newest copy then. */
static void put_back(struct database *database)
{
    history_backup_remove(database->path); /* what was begun of a fresh one */
    if (!rescue_rename_back(database->quarantined, database->path))
        log_error(database->log, "The damaged history is now %s; it could not be moved back.",
                  database->quarantined);
}

/* The damaged file keeps its name until another one is ready, so that a kill costs nothing that it tells. */
static enum status begin_from_rescued(struct database *database, struct channels *channels,
                                      struct rescued *rescued, struct error *error)
{
    const char *path = database->path;
    bool aside = database->quarantined[0] != '\0'; /* by a copy that was of no use after all */
    enum status status =
        restore_ready_fresh(path, aside ? database->quarantined : path, rescued, error);
    if (status != STATUS_OK)
        return status;
    if (!aside)
        status =
            rescue_quarantine(path, database->quarantined, sizeof database->quarantined, error);
    if (status == STATUS_OK)
        status = restore_ready_put(path, error);
    if (status != STATUS_OK) {
        restore_ready_drop(path);
        return status;
    }
    return attach(database, TO_LOAD, channels, error, &status) == SOUND ? STATUS_OK : status;
}

/* Without a copy, what the small tables still say comes into a fresh file. */
static enum status replace_at_open(struct database *database, struct channels *channels,
                                   struct error *error)
{
    struct rescued rescued = {0};
    detach(database, true);
    channels_free(channels);
    log_error(database->log, "%s", error->text);
    if (restore_newest(database, channels))
        return STATUS_OK;
    enum status status = begin_from_rescued(database, channels, &rescued, error);
    if (status != STATUS_OK) {
        detach(database, true);
        if (database->quarantined[0] != '\0')
            put_back(database);
        return status;
    }
    log_warning(database->log,
                "The damaged history was set aside as %s and a fresh one begun; %u channels, %u "
                "calibrations and %u totals could be brought over. Its readings are still in that "
                "file (\".recover\" of sqlite3(1) reads them).",
                database->quarantined, rescued.channels, rescued.calibrations, rescued.totals);
    return STATUS_OK;
}

/* To be freed. */
static char *lock_path(const char *path)
{
    size_t size = strlen(path) + sizeof ".lock";
    char *lock = memory_new(size, 1);
    (void)snprintf(lock, size, "%s.lock", path);
    return lock;
}

bool database_in_use(const char *path)
{
    char *lock memory_auto = lock_path(path);
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    (void)close(fd); /* lets go of it */
    return held;
}

/* A disk that is full, failing, or became read-only by that may be well at the next attempt. */
static bool may_pass(int reason)
{
    return reason == EROFS || reason == ENOSPC || reason == EDQUOT || reason == EIO;
}

static enum status lock_as(const char *path, bool may_read_only, int *lock, struct error *error)
{
    char *name memory_auto = lock_path(path);
    *lock = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, SQL_FILE_MODE);
    if (*lock < 0 && errno == EROFS && may_read_only) {
        *lock = open(name, O_RDONLY | O_CLOEXEC);
        if (*lock < 0 &&
            errno == ENOENT) /* nobody can write, and it is made before this one does */
            return STATUS_OK;
    }
    if (*lock < 0)
        return error_set(error, may_pass(errno) ? STATUS_FAILED : STATUS_USAGE,
                         "The history %s cannot be opened: %s. Check that its folder exists and "
                         "that this user may write there.",
                         path, strerror(errno));
    (void)sql_give_to_folder(*lock, name); /* if not, its user is told when it cannot be opened */
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return STATUS_OK;
    /* Not a matter of usage: it may be this service itself, stopped or reloading while the disk hangs.
     * Whoever supervises it shall try again. */
    return error_set(error, STATUS_FAILED,
                     "The history %s is in use by another bl2mqtt. Stop that one, or give this one "
                     "another history.path.",
                     path);
}

enum status database_lock(const char *path, int *lock, struct error *error)
{
    return lock_as(path, false, lock, error);
}

/* A file that was never written to knows less than the copy of the totals. */
static void seed_if_unused(struct database *database, struct channels *channels)
{
    bool used;
    if (rows_was_used(database->db, &used) != SQLITE_OK || used)
        return;
    seed_totals(database, channels);
    database->may_lag = true;
}

static int load_unwritable(struct database *database, struct channels *channels)
{
    int code = check_after_unclean_stop(database);
    if (code == SQLITE_OK)
        code = rows_load(database->db, channels);
    if (code == SQLITE_OK) {
        seed_if_unused(database, channels);
        code = rows_load_outboxes(database->db, &database->outboxes);
    }
    database->newest_ms = database_newest_ms(database);
    return code;
}

/*
 * The disk is mounted read-only, as the kernel does with one that fails. Metering and MQTT can do with what
 * the file says: it is read once and closed, and from then on it is as if the disk had refused a
 * transaction. What would have to be changed first (an older version, damage) is not gone on with.
 */
static enum status open_unwritable(struct database *database, struct channels *channels,
                                   struct error *error)
{
    enum status status = STATUS_OK;
    struct identity identity = {0};
    int code = sql_open_unwritable(database->path, &database->db);
    if (code == SQLITE_OK)
        code = identify(database->db, &identity);
    if (code == SQLITE_OK)
        status = check_identity(&identity, database->path, error);
    bool current = identity.version == migrations_newest();
    if (code == SQLITE_OK && status == STATUS_OK && current)
        code = load_unwritable(database, channels);
    if (code != SQLITE_OK)
        status = sql_explain(code, database->db, database->path, error);
    else if (status == STATUS_OK && !current)
        status = error_set(error, STATUS_FAILED, "The history %s is of an older version.",
                           database->path);
    detach(database, true);
    if (status == STATUS_OK)
        return status;
    return error_prefix(
        error, STATUS_FAILED,
        "The disk of the history is a read-only file system, and the history cannot be "
        "gone on with before it can be written. ");
}

static enum status open_locked(struct database *database, struct channels *channels,
                               struct error *error)
{
    enum status status = STATUS_FAILED;
    struct error damage = {""};
    if (sql_is_unwritable(database->path))
        return open_unwritable(database, channels, error);
    if (restore_finish(database->path))
        log_warning(
            database->log,
            "The history goes on from the file that was made ready in place of a damaged or "
            "replaced one; putting it there was interrupted.");
    enum verdict verdict = attach(database, TO_LOAD, channels, &damage, &status);
    if (verdict == UNUSABLE)
        return error_set(error, status, "%s", damage.text);
    database->may_lag = database->may_lag || verdict == DAMAGED;
    if (verdict == DAMAGED)
        status = replace_at_open(database, channels, &damage);
    if (status != STATUS_OK)
        return error_set(error, status, "%s", damage.text);
    seed_if_unused(database, channels);
    return STATUS_OK;
}

enum status database_open(const char *path, const char *backup_folder, struct channels *channels,
                          struct log *log, struct database **database, struct error *error)
{
    struct database *made = memory_new(1, sizeof *made);
    made->path = memory_copy_text(path);
    made->backup_folder = backup_folder == NULL ? NULL : memory_copy_text(backup_folder);
    made->log = log;
    made->outboxes.writing = INT64_MAX;
    made->known = -1;
    enum status status = lock_as(path, true, &made->lock, error);
    if (status == STATUS_OK)
        status = open_locked(made, channels, error);
    made->log = NULL;
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
    detach(database, true);
    database->damaged_in_place = true;
    return DATABASE_LOST;
}

static bool file_is_gone(const struct database *database)
{
    int moved = 0;
    int code = sqlite3_file_control(database->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return code == SQLITE_OK && moved != 0;
}

static void set_log_aside(struct database *database)
{
    char name[PATH_MAX];
    rescue_set_log_aside(database->path, name, sizeof name);
    if (!database->afresh)
        (void)snprintf(database->moved_log, sizeof database->moved_log, "%s", name);
}

/* There is room now: the file is opened again so that others can read it. */
static void attach_shared(struct database *database)
{
    struct error error = {""};
    enum status status;
    detach(database, false);
    if (attach(database, TO_GO_ON, NULL, &error, &status) != SOUND)
        detach(database, false); /* the next write tries again, and tells */
}

/* A lock that could not be made at the start, on a read-only disk, is made before anything is written. */
static bool is_locked(struct database *database, struct error *error)
{
    if (database->lock >= 0)
        return true;
    if (database_lock(database->path, &database->lock, error) == STATUS_OK)
        return true;
    if (database->lock >= 0) /* another one's */
        (void)close(database->lock);
    database->lock = -1;
    return false;
}

static enum database_result attach_again(struct database *database, struct error *error)
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
    switch (attach(database, TO_GO_ON, NULL, error, &status)) {
    case SOUND:
        return DATABASE_DONE;
    case UNUSABLE:
        detach(database, false);
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
    if (database->db != NULL && file_is_gone(database)) {
        (void)error_set(error, STATUS_FAILED, "The history %s was moved or deleted while in use.",
                        database->path);
        detach(database, false);
        set_log_aside(database);
        database->lost = true;
        return DATABASE_LOST;
    }
    if (database->db == NULL) {
        if (database->lost || database->damaged_in_place)
            return DATABASE_LOST;
        enum database_result result = attach_again(database, error);
        if (result != DATABASE_DONE)
            return result;
    }
    int code = rows_write(database->rows, channels, batch);
    if (code == SQLITE_OK) {
        if (database->salvage_due)
            (void)rescue_salvage(database->quarantined, database->db);
        database->salvage_due = false;
        if (database->exclusive)
            attach_shared(database);
        return DATABASE_DONE;
    }
    (void)sql_explain(code, database->db, database->path, error);
    if ((code & 0xff) ==
        SQLITE_ERROR) /* are the tables still what they were? Opening it again tells */
        detach(database, false);
    /* Channels that were loaded from it are not there: pages are other ones than they should be. To try
     * again would be in vain for ever, and a kill then cost what is only in memory. */
    if (!sql_is_damage(code) && code != SQLITE_CONSTRAINT_FOREIGNKEY)
        return DATABASE_RETRY;
    return lose(database);
}

/* The newest copy that can be gone on from is made ready beside the damaged file, while that still has its
 * name: whoever kills the service meanwhile finds the damage again at the next start. *used is empty if
 * there is none; *why receives what is wrong with the newest. */
static void make_ready(struct database *database, struct channels *memory,
                       const struct history_backup_options *hooks, char used[PATH_MAX],
                       struct error *why)
{
    struct history_backups backups;
    char *base memory_auto = history_backup_base(database->path, database->backup_folder);
    (void)history_backups(base, &backups, NULL); /* a folder that is missing has no copies */
    used[0] = '\0';
    for (size_t i = backups.count; i > 0 && used[0] == '\0'; i--) {
        const char *copy = backups.list[i - 1].path;
        struct error error = {""};
        if (restore_ready(database->path, copy, memory, hooks, &error) == STATUS_OK)
            (void)snprintf(used, PATH_MAX, "%s", copy);
        else if (why->text[0] == '\0')
            *why = error;
        if (hooks->stop != NULL && atomic_load(hooks->stop))
            break;
    }
    history_backups_free(&backups);
}

/* Whether the copy that was made ready has taken the history's place. */
static bool go_on_from_ready(struct database *database, const char *copy, struct error *error)
{
    enum status status;
    if (restore_ready_put(database->path, error) != STATUS_OK) {
        restore_ready_drop(database->path);
        return false;
    }
    enum verdict verdict = attach(database, TO_GO_ON, NULL, error, &status);
    if (verdict != SOUND)
        detach(database, verdict == DAMAGED); /* the next write tries again, and tells */
    if (verdict == DAMAGED) {
        history_backup_remove(database->path); /* a copy of a copy */
        return false;
    }
    (void)snprintf(database->restored_from, sizeof database->restored_from, "%s", copy);
    hold_known(database);
    return true;
}

/* Memory has grown since on its numbers, so that all of it can be written there. */
static enum database_result go_on_with_known(struct database *database, struct error *error)
{
    enum status status;
    if (database->moved_log[0] != '\0')
        rescue_put_log_back(database->moved_log, database->path);
    enum verdict verdict = attach(database, TO_GO_ON, NULL, error, &status);
    if (verdict != SOUND) {
        detach(database, verdict == DAMAGED);
        database->damaged_in_place = verdict == DAMAGED;
        return DATABASE_RETRY;
    }
    database->lost = false;
    database->afresh = false;
    database->moved_log[0] = '\0';
    (void)error_set(error, STATUS_FAILED,
                    "The history %s was moved away and back while in use; it is gone on with.",
                    database->path);
    return DATABASE_RENEWED;
}

static enum database_result begin_afresh(struct database *database, const struct error *why,
                                         struct error *error)
{
    if (attach_fresh(database, error) != STATUS_OK)
        return DATABASE_RETRY;
    database->lost = false;
    if (database->salvage_due)
        hold_known(database);
    else
        database->afresh = true;
    if (database->salvage_due)
        (void)error_set(
            error, STATUS_FAILED,
            "The damaged history was set aside as %.300s and a fresh one begun.%s%.500s",
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
    char copy[PATH_MAX] = "";
    struct error why = {""};
    if (memory != NULL)
        make_ready(database, memory, hooks, copy, &why);
    if (copy[0] == '\0' && hooks->stop != NULL && atomic_load(hooks->stop) && why.text[0] != '\0') {
        *error = why; /* the next start finds the damage and the copies */
        return DATABASE_RETRY;
    }
    if (rescue_quarantine(database->path, database->quarantined, sizeof database->quarantined,
                          error) != STATUS_OK) {
        restore_ready_drop(database->path);
        return DATABASE_RETRY;
    }
    database->damaged_in_place = false;
    database->lost = true;
    database->salvage_due = true;
    database->restored_from[0] = '\0';
    if (copy[0] == '\0' || !go_on_from_ready(database, copy, &why))
        return begin_afresh(database, &why, error);
    database->lost = false;
    (void)error_set(
        error, STATUS_FAILED,
        "The damaged history was set aside as %.300s; it goes on from the copy %.300s. The "
        "readings since then are only in the former.",
        database->quarantined, copy);
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
        return go_on_with_known(database, error);
    return begin_afresh(database, &none, error);
}

bool database_tend(struct database *database, const struct rows_limits *limits, bool *more)
{
    *more = false;
    return database->db != NULL && rows_tend(database->rows, limits, more) == SQLITE_OK;
}

bool database_may_delete(struct database *database, int64_t now_ms, int64_t keep_ms)
{
    bool may = false;
    return database->db != NULL &&
           rows_may_delete(database->rows, now_ms, keep_ms, &may) == SQLITE_OK && may;
}

bool database_bound(struct database *database, struct rows_limits *limits, int64_t most_ms)
{
    return database->db != NULL && rows_bound(database->rows, limits, most_ms) == SQLITE_OK;
}

enum status database_recalibrate(struct database *database,
                                 const struct history_recalibration *request,
                                 struct history_recalibrated *done, struct error *error)
{
    if (database->db == NULL)
        return error_set(error, STATUS_FAILED,
                         "The history cannot be written at the moment; try again when it can.");
    return recalibrate(database->db, rows_rollup_writer(database->rows), database->path, request,
                       done, error);
}

bool database_behind(const struct database *database)
{
    return database->db != NULL && rows_behind(database->rows);
}

const char *database_quarantine(const struct database *database)
{
    return database->quarantined;
}

int64_t database_newest_ms(struct database *database)
{
    int64_t key = 0;
    if (database->db == NULL)
        return database->newest_ms;
    if (sql_integer(database->db, "SELECT coalesce(max(key), 0) FROM reading", &key) != SQLITE_OK)
        return 0; /* whatever is wrong shows when it is written */
    return rows_key_ms(key);
}

void database_outboxes(struct database *database, struct outboxes *outboxes)
{
    *outboxes = database->outboxes;
    if (database->db != NULL && rows_load_outboxes(database->db, outboxes) != SQLITE_OK)
        *outboxes = (struct outboxes){.writing = INT64_MAX};
}

void database_take_changes(struct database *database, struct outbox_changes *changes)
{
    *changes = OUTBOX_NO_CHANGES;
    if (database->db != NULL)
        rollup_writer_take_changes(rows_rollup_writer(database->rows), changes);
}

const char *database_restored_from(const struct database *database)
{
    return database->restored_from;
}

bool database_may_lag(const struct database *database)
{
    return database->may_lag;
}

void database_close(struct database *database, bool clean)
{
    if (database == NULL)
        return;
    if (clean && database->db != NULL)
        (void)rows_mark_clean(database->db, true); /* if not, the next opening checks */
    detach(database, false);
    if (database->lock >= 0)
        (void)close(database->lock);
    if (database->known >= 0)
        (void)close(database->known);
    free(database->path);
    free(database->backup_folder);
    free(database);
}
