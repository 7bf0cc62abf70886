/* SPDX-License-Identifier: MIT */
/**
 * The thread that writes the history, and the state that it shares with the functions of history.h:
 * everything queued, in transactions of bounded size, one per commit interval or as soon as one is
 * full; tried again after 1 to 30 s when the disk refuses. The mutex is never held while the disk is
 * used, so putting never waits for it. Only history.c and the files of the writer include this.
 */
#ifndef BRIDGE_HISTORY_WRITER_H
#define BRIDGE_HISTORY_WRITER_H

#include "bridge/history/database.h"
#include "bridge/history/health.h"
#include "bridge/history/notice.h"
#include "bridge/history/outbox.h"
#include "bridge/history/queue.h"
#include "bridge/history/recalibration.h"
#include "bridge/history/retention.h"
#include "bridge/history/safety/interim.h"
#include "bridge/history/stamping.h"
#include "bridge/history/store/channels.h"
#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Readings in one transaction at most: some hundredths of a second. */
#define WRITER_BATCH_MAX 8192

/** A recalibration that was requested while the writer runs. */
struct recalibration_job {
    enum { NO_JOB, WANTED, DONE } stage;
    struct history_recalibration request;
    struct history_recalibrated done;
    enum status status;
    struct error error;
};

struct history {
    int64_t commit_interval_ms;
    int64_t
        interim_pause_ms; /* between totals that are written alone; 0: never, commits come often enough */
    int64_t newest_ms; /* the newest reading when the file was opened */
    char *totals_path;
    pthread_t thread;
    bool started;

    /* The log and the loop are taken away when close gives up on a thread that the disk holds: they may be
     * gone before it wakes. */
    pthread_mutex_t voice;
    struct log *log;
    void (*wake)(void *context);
    void *wake_context;

    pthread_mutex_t mutex; /* guards what follows, up to the thread's own */
    pthread_cond_t changed;
    struct queue queue;
    struct outboxes outboxes;
    unsigned files;           /* begun since the start in place of damaged ones */
    struct channels channels; /* one may be added at any time; a name once there never moves */
    struct history_health health;
    struct notice_queue notices;
    struct clock_hold clock;
    size_t in_flight; /* readings the thread has taken and not yet settled */
    int64_t due_ms;   /* boot clock: next commit, or next try */
    bool urgent;
    int64_t interim_due_ms; /* boot clock */
    struct recalibration_job job;
    bool
        totals_due; /* the totals file must not keep what it has of a channel until its next turn */
    bool late;      /* that a commit is overdue was reported */
    uint64_t fast_reported;   /* readings that came too fast: how many were reported, ... */
    int64_t fast_reported_ms; /* ... and when */
    bool stopping;
    int64_t stop_deadline_ms;
    bool finished;
    bool abandoned;      /* the thread frees the history */
    atomic_bool give_up; /* the stop is near: no backup is to be restored any more */

    /* The thread's own. */
    struct database *database;
    struct batch batch;
    char *uncredited;         /* of the batch; to be freed */
    struct channels unstored; /* copies of those that the next transaction adds; texts are shared */
    struct retention retention;
    bool maintaining;       /* a step of maintenance is wanted soon */
    int64_t retry_delay_ms; /* 0: the last commit worked */
    unsigned renewals;      /* of the file since the last commit that worked */
    int64_t totals_written_ms;
    bool totals_failing;
    char word
        [META_WORD_SIZE]; /* of the last transaction; "": none that totals could come on top of */
    struct interim *interim;
    bool interim_failing;
    int64_t held_commit_ms;  /* the last commit while the clock was awaited */
    uint64_t dropped_before; /* the outage began */
    bool drops_reported;
};

/** Starts the thread. */
enum status writer_start(struct history *history, struct error *error);

/** Logs, unless the log was taken away. */
void writer_log(struct history *history, enum log_level level, const char *text);

/** With the mutex held: waits for a change, at most for_ms. */
void writer_wait(struct history *history, int64_t for_ms);

/** With the mutex held: for how long a commit has been overdue, 0 if it is on time. */
int64_t writer_late_ms(const struct history *history);

/** With the mutex held: puts an event of the bridge into the queue. */
void writer_put_event(struct history *history, const char *kind, const char *message);

/** With the mutex held: outboxes go back to what the last transaction has changed before them. */
void writer_follow_changes(struct history *history);

/* ---- totals beside the transactions: writer_totals.c ---- */

/** The pause between totals that are written alone: at most `most`, 0 if commits come as often. */
int64_t writer_interim_pause_ms(int64_t commit_interval_ms, int64_t most_ms);

/** With the mutex held: a transaction was written; totals come on top of it from now on. */
void writer_interim_begin(struct history *history, int64_t began_ms);

/** With the mutex held: whether totals are to be written alone, and in how many ms. */
bool writer_interim_wanted(const struct history *history, int64_t *left_ms);

/** With the mutex held: whether that will do for all that have moved; else it takes a transaction. */
bool writer_interim_suffices(const struct history *history);

/** Without the mutex: writes them, and wakes the owner if some have moved. */
void writer_interim_write(struct history *history);

/** Without the mutex: writes the totals file. */
void writer_totals_file(struct history *history);

/** With the mutex held: a copy, whose list is to be freed. */
struct channels writer_snapshot(const struct history *history);

/** Wakes the owner, unless it was taken away. */
void writer_wake_owner(struct history *history);

/** Frees what the thread has not closed; the database is not touched. */
void writer_free(struct history *history);

#endif
