/* SPDX-License-Identifier: MIT */
/* Copies of the history: their names, how many are kept, and when the daily one is due. */
#include "history_helper.h"

#include "bridge/history/safety/backup.h"
#include "bridge/service/backups.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

static int64_t at_in(const char *zone, const char *text)
{
    use_zone(zone);
    struct tm tm = {.tm_isdst = -1};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return (int64_t)mktime(&tm) * 1000;
}

static void test_when_it_is_due(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int minutes;
        const char *now;
        const char *due;
    } rows[] = {
        {"UTC", 210, "2026-11-24 12:00:00", "2026-11-24 03:30:00"},
        {"UTC", 210, "2026-11-24 03:30:00", "2026-11-24 03:30:00"},
        {"UTC", 210, "2026-11-24 03:29:59", "2026-11-23 03:30:00"},
        {"UTC", 0, "2026-03-01 00:00:00", "2026-03-01 00:00:00"},
        {"UTC", 1439, "2026-03-01 00:00:00", "2026-02-28 23:59:00"},
        {"UTC", 1439, "2026-01-01 00:00:00", "2025-12-31 23:59:00"},
        /* 02:30 does not exist on the 29th: an hour later; the day before it does */
        {"Europe/Berlin", 150, "2026-03-29 12:00:00", "2026-03-29 03:30:00"},
        {"Europe/Berlin", 150, "2026-03-29 01:59:00", "2026-03-28 02:30:00"},
        {"Europe/Berlin", 210, "2026-10-25 12:00:00", "2026-10-25 03:30:00"},
        {"America/Santiago", 0, "2024-09-08 12:00:00", "2024-09-08 01:00:00"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t now_ms = at_in(rows[i].zone, rows[i].now);
        int64_t due_ms = at_in(rows[i].zone, rows[i].due);
        if (backups_scheduled_ms(rows[i].minutes, now_ms) != due_ms)
            fail_msg("row %zu: %lld", i,
                     (long long)backups_scheduled_ms(rows[i].minutes, now_ms) - due_ms);
    }
}

/* At any moment of years, in steps that hit no pattern: not in the future, not older than 25 hours. */
static void test_it_is_due_once_a_day(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin", "America/Santiago", "Australia/Lord_Howe",
                                        "Asia/Kathmandu", "Pacific/Apia"};
    for (size_t zone = 0; zone < sizeof zones / sizeof zones[0]; zone++) {
        int64_t ms = at_in(zones[zone], "2024-01-01 00:00:00");
        int64_t last = 0;
        for (int step = 0; step < 9000; step++, ms += 7247000) {
            int64_t due = backups_scheduled_ms(150, ms);
            assert_true(due <= ms && ms - due <= 25 * HOUR);
            assert_true(due >= last);
            last = due;
        }
    }
}

static void touch(const struct folder *folder, const char *name)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", folder->path, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("x", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_names(void **state)
{
    const struct folder *folder = *state;
    char name[PATH_MAX];
    char *base = history_backup_base("/var/lib/h.db", folder->path);
    assert_non_null(strstr(base, "/h.db"));
    assert_int_equal(strncmp(base, folder->path, strlen(folder->path)), 0);
    char *same = history_backup_base("h.db", "");
    assert_string_equal(same, "h.db");
    free(same);
    static const char *const others[] = {
        "h.db.backup-20260101T000000Z.new", "h.db.backup-2026010T0000000Z", "h.db.backup-",
        "h.db.backup-20260101T000000Z-x",   "i.db.backup-20260101T000000Z", "h.db"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        touch(folder, others[i]);
    touch(folder, "h.db.backup-20260301T000000Z");
    touch(folder, "h.db.backup-20260301T000000Z-2");
    touch(folder, "h.db.backup-20251231T235959Z");

    struct history_backups backups;
    assert_int_equal(history_backups(base, &backups, NULL), STATUS_OK);
    assert_int_equal(backups.count, 3);
    assert_non_null(strstr(backups.list[0].path, "20251231T235959Z"));
    assert_int_equal(backups.list[0].made_ms, 1767225599000);
    assert_int_equal(backups.list[1].made_ms, BEGIN_MS);
    assert_non_null(strstr(backups.list[2].path, "-2"));
    assert_int_equal(backups.list[2].bytes, 1);
    history_backups_free(&backups);

    assert_int_equal(history_backup_name(base, HISTORY_BACKUP_DAILY, name, sizeof name, NULL),
                     STATUS_OK);
    assert_int_not_equal(access(name, F_OK), 0);
    unsigned deleted;
    assert_int_equal(history_backup_prune(base, HISTORY_BACKUP_DAILY, 1, &deleted, NULL),
                     STATUS_OK);
    assert_int_equal(deleted, 2);
    assert_int_equal(count_files(folder, "h.db.backup-20260301T000000Z-2", NULL), 1);
    assert_int_equal(count_files(folder, "*", NULL), 2 + 5 + 1); /* . and ..; .new is gone */
    free(base);
    struct error error = {""};
    assert_int_equal(history_backups("/nowhere/at/all/h.db", &backups, &error), STATUS_FAILED);
    history_backups_free(&backups);
}

static void test_what_killed_processes_left(void **state)
{
    const struct folder *folder = *state;
    char making[PATH_MAX];
    char *base = history_backup_base("h.db", folder->path);
    touch(folder, "h.db.backup-20260101T000000Z.new");
    touch(folder, "h.db.backup-20260101T000000Z.new-journal");
    touch(folder, "h.db.backup-20260102T000000Z.new");
    touch(folder, "h.db.new");
    (void)snprintf(making, sizeof making, "%s/h.db.backup-20260102T000000Z.new", folder->path);
    int fd = open(making, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    history_backup_clean(base);
    assert_int_equal(count_files(folder, "*", NULL), 2 + 2);
    assert_int_equal(access(making, F_OK), 0);
    assert_int_equal(close(fd), 0);
    history_backup_clean(base);
    assert_int_equal(count_files(folder, "*", NULL), 2 + 1);
    free(base);
}

/* Any number of requests leaves the daily ones alone, and the other way round. */
static void test_each_kind_has_its_quota(void **state)
{
    const struct folder *folder = *state;
    char *base = history_backup_base("h.db", folder->path);
    for (int day = 1; day <= 7; day++) {
        char name[64];
        (void)snprintf(name, sizeof name, "h.db.backup-2026010%dT033000Z", day);
        touch(folder, name);
        (void)snprintf(name, sizeof name, "h.db.backup-requested-2026010%dT120000Z", day);
        touch(folder, name);
    }
    struct history_backups backups;
    assert_int_equal(history_backups(base, &backups, NULL), STATUS_OK);
    assert_int_equal(backups.count, 14);
    for (size_t i = 0; i < backups.count; i++) /* by time, whatever the kind */
        assert_int_equal(backups.list[i].kind,
                         i % 2 == 0 ? HISTORY_BACKUP_DAILY : HISTORY_BACKUP_REQUESTED);
    history_backups_free(&backups);

    unsigned deleted;
    assert_int_equal(history_backup_prune(base, HISTORY_BACKUP_REQUESTED, 2, &deleted, NULL),
                     STATUS_OK);
    assert_int_equal(deleted, 5);
    assert_int_equal(count_files(folder, "h.db.backup-2026*", NULL), 7);
    assert_int_equal(count_files(folder, "h.db.backup-requested-2026010[67]*", NULL), 2);
    assert_int_equal(history_backup_prune(base, HISTORY_BACKUP_DAILY, 1, &deleted, NULL),
                     STATUS_OK);
    assert_int_equal(deleted, 6);
    assert_int_equal(count_files(folder, "h.db.backup-requested-*", NULL), 2);
    char name[PATH_MAX];
    assert_int_equal(history_backup_name(base, HISTORY_BACKUP_REQUESTED, name, sizeof name, NULL),
                     STATUS_OK);
    assert_non_null(strstr(name, "/h.db.backup-requested-20"));
    free(base);
}

/* Database, log, lock, totals, backup, what is kept of an older version: nobody else's to read. */
static void test_modes_do_not_depend_on_the_umask(void **state)
{
    struct folder *folder = *state;
    struct error error = {""};
    char output[PATH_MAX];
    char planted[PATH_MAX + 8];
    (void)snprintf(output, sizeof output, "%s/backup", folder->path);
    (void)snprintf(planted, sizeof planted, "%s.new", output);
    const mode_t before = umask(0);
    int fd = open(planted, O_RDWR | O_CREAT, 0666);
    assert_true(fd >= 0);
    struct history *history = open_history(folder->database, 0);
    assert_int_equal(history_start(history, &error), STATUS_OK);
    const struct history_backup_options options = {.path = folder->database, .output = output};
    assert_int_equal(history_backup(&options, NULL, &error), STATUS_OK);
    static const char *const patterns[] = {"history.db",      "history.db-wal", "history.db-shm",
                                           "history.db.lock", "backup",         "*.totals.json"};
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
            char name[PATH_MAX];
            struct stat status;
            if (count_files(folder, patterns[i], name) == 0)
                continue; /* the log goes with the close, the totals come with it */
            assert_int_equal(stat(name, &status), 0);
            if ((status.st_mode & 07777 & ~0640U) != 0)
                fail_msg("%s has mode %o", name, (unsigned)status.st_mode);
        }
        if (round == 0)
            history_close(history, 5000);
    }
    assert_int_equal(count_files(folder, "*.totals.json", NULL), 1);
    struct stat status;
    assert_true(fstat(fd, &status) == 0 && status.st_size == 0); /* what was planted got nothing */
    assert_int_equal(close(fd), 0);
    (void)umask(before);
}

/* ---- requests ---- */

struct answers {
    unsigned good, bad;
    char path[PATH_MAX];
};

static void note_answer(void *context, enum status status, const char *path, int64_t bytes,
                        const struct error *error)
{
    struct answers *answers = context;
    (void)error;
    if (status != STATUS_OK) {
        answers->bad++;
        return;
    }
    assert_true(bytes > 0);
    if (answers->good++ == 0)
        (void)snprintf(answers->path, sizeof answers->path, "%s", path);
    assert_string_equal(path, answers->path); /* that of the one that was being made */
}

static void ignore_event(void *context, const char *kind, const char *message)
{
    (void)context;
    (void)kind;
    (void)message;
}

static void test_requests_share_one_backup(void **state)
{
    struct folder *folder = *state;
    uv_loop_t loop;
    struct backups *backups;
    struct error error = {""};
    struct answers answers = {0};
    history_close(open_history(folder->database, 0), 5000);
    for (int day = 1; day <= 7; day++) {
        char name[64];
        (void)snprintf(name, sizeof name, "history.db.backup-2026010%dT033000Z", day);
        touch(folder, name);
    }
    assert_int_equal(uv_loop_init(&loop), 0);
    const struct backups_options options = {
        .path = folder->database, .folder = "", .time = "off", .keep = 2, .event = ignore_event};
    assert_int_equal(backups_create(&loop, &options, &backups, &error), STATUS_OK);
    for (unsigned round = 0; round < 4; round++) {
        answers = (struct answers){0};
        for (unsigned i = 0; i < BACKUPS_WAITING_MAX; i++)
            assert_int_equal(backups_request(backups, note_answer, &answers, &error), STATUS_OK);
        assert_int_equal(backups_request(backups, note_answer, &answers, &error), STATUS_FAILED);
        while (answers.good + answers.bad == 0)
            (void)uv_run(&loop, UV_RUN_ONCE);
        assert_int_equal(answers.good, BACKUPS_WAITING_MAX);
    }
    assert_int_equal(count_files(folder, "history.db.backup-requested-*", NULL), 2);
    assert_int_equal(count_files(folder, "history.db.backup-2026*", NULL), 7);

    /* one that is being made when the service stops: it is answered, not forgotten */
    answers = (struct answers){0};
    assert_int_equal(backups_request(backups, note_answer, &answers, &error), STATUS_OK);
    backups_close(backups);
    assert_int_equal(answers.good + answers.bad, 1);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_it_is_due),
        cmocka_unit_test(test_it_is_due_once_a_day),
        TEST(test_names),
        TEST(test_what_killed_processes_left),
        TEST(test_each_kind_has_its_quota),
        TEST(test_requests_share_one_backup),
        TEST(test_modes_do_not_depend_on_the_umask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
