/* SPDX-License-Identifier: MIT */
#include "bridge/history/query/timeline.h"

#include "bridge/history/cadence.h"
#include "bridge/history/query/reader.h"
#include "bridge/history/store/rows.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

/* Rows read in one short transaction; what is done with them is done after it. */
#define CHUNK_KEYS 4096
#define CHUNK_EVENTS 256
/* How far before the span readings are looked at, to learn how often the channel is read. */
#define LOOK_BACK_MS (15LL * 60 * 1000)
/* A pulled adapter is told right after (or before) its chips are. */
#define TOGETHER_MS 2000
/* Events looked through for the reason of a gap that began before the span. */
#define EVENTS_BACK 10000
#define KIND_SIZE 64
#define MESSAGE_SIZE 512

static void copy_column(sqlite3_stmt *row, int column, char *text, size_t size)
{
    const char *found = (const char *)sqlite3_column_text(row, column);
    (void)snprintf(text, size, "%s", found == NULL ? "" : found);
}

/* ---- events ---- */

struct stored_event {
    int64_t key;
    char kind[KIND_SIZE];
    char message[MESSAGE_SIZE];
};

struct event_reader {
    sqlite3_stmt *rows;
    struct reader_channels channels;
    bool of_bridge; /* those of the bridge are wanted, too */
    struct stored_event chunk[CHUNK_EVENTS];
};

static int read_events(struct event_reader *reader, int64_t first, int64_t end, size_t *count)
{
    *count = 0;
    (void)sqlite3_bind_int64(reader->rows, 1, first);
    (void)sqlite3_bind_int64(reader->rows, 2, end);
    int code = SQLITE_DONE;
    while (*count < CHUNK_EVENTS && (code = sqlite3_step(reader->rows)) == SQLITE_ROW) {
        struct stored_event *event = &reader->chunk[(*count)++];
        event->key = sqlite3_column_int64(reader->rows, 0);
        copy_column(reader->rows, 1, event->kind, sizeof event->kind);
        copy_column(reader->rows, 2, event->message, sizeof event->message);
    }
    (void)sqlite3_reset(reader->rows);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

/* False: the caller wants no more. */
static bool hand_out(const struct event_reader *reader, const struct stored_event *stored,
                     history_event_callback callback, void *context)
{
    unsigned number = key_number(stored->key);
    size_t index = reader->channels.by_number[number];
    if (index == 0 && !(number == 0 && reader->of_bridge))
        return true;
    const struct reader_channel *channel = &reader->channels.list[index == 0 ? 0 : index - 1];
    const struct history_event event = {
        .wall_ms = key_time_ms(stored->key),
        .device = index == 0 ? NULL : channel->device,
        .channel = index == 0 ? NULL : channel->name,
        .kind = stored->kind,
        .message = stored->message,
    };
    return callback(context, &event);
}

static int all_events(struct event_reader *reader, int64_t from_ms, int64_t to_ms,
                      history_event_callback callback, void *context)
{
    int64_t next = key_make(from_ms, 0);
    size_t count = CHUNK_EVENTS;
    while (count == CHUNK_EVENTS) {
        int code = read_events(reader, next, key_make(to_ms, 0), &count);
        if (code != SQLITE_OK)
            return code;
        for (size_t i = 0; i < count; i++) {
            next = reader->chunk[i].key + 1;
            if (!hand_out(reader, &reader->chunk[i], callback, context))
                return SQLITE_OK;
        }
    }
    return SQLITE_OK;
}

enum status history_events(const char *path, const char *device, const char *channel,
                           int64_t from_ms, int64_t to_ms, history_event_callback callback,
                           void *context, struct error *error)
{
    enum status status = reader_check_order(from_ms, to_ms, error);
    if (status != STATUS_OK)
        return status;
    sqlite3 *db = NULL;
    struct event_reader *reader = memory_new(1, sizeof *reader);
    reader->of_bridge = device == NULL && channel == NULL;
    status = reader_open(path, &db, error);
    if (status == STATUS_OK)
        status = reader_channels(db, path, device, channel, &reader->channels, error);
    if (status == STATUS_OK) {
        int code = sql_prepare(db,
                               "SELECT key, kind, message FROM event "
                               "WHERE key >= ?1 AND key < ?2 ORDER BY key",
                               &reader->rows);
        if (code == SQLITE_OK)
            code = all_events(reader, from_ms, to_ms, callback, context);
        if (code != SQLITE_OK)
            status = sql_explain(code, db, path, error);
    }
    (void)sqlite3_finalize(reader->rows);
    (void)sqlite3_close(db);
    free(reader->channels.list);
    free(reader);
    return status;
}

/* ---- gaps ---- */

/* A channel of a device, whatever kinds of source have read it. */
struct lane {
    const struct reader_channel *channel;
    bool any;        /* last_ms is a reading's */
    int64_t last_ms; /* the channel is accounted for until then */
    int64_t since_ms;
    struct cadence cadence;
};

struct search {
    sqlite3_stmt *keys;
    sqlite3_stmt *events;
    sqlite3_stmt *events_back;
    struct reader_channels channels;
    struct lane *lanes;
    size_t lane_count;
    size_t *lane_of; /* by index in channels */
    int64_t from_ms;
    int64_t min_ms;
    history_gap_callback callback;
    void *context;
    int code; /* SQLite's, of a look-up of events */
    int64_t chunk[CHUNK_KEYS];
};

static const char *reason_of_kind(const char *kind)
{
    static const struct {
        const char *kind, *reason;
    } reasons[] = {
        {"port_gone", "port_gone"},
        {"offline", "offline"},
        {"stopped", "service_stopped"},
        {"started", "service_stopped"},
        {"history_resumed", "history_not_written"},
        {"history_renewed", "history_not_written"},
        {"clock_stepped", "clock_set"},
        {"clock_set", "clock_set"},
        {"suspended", "suspended"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcmp(reasons[i].kind, kind) == 0)
            return reasons[i].reason;
    return NULL;
}

static bool is_about(const struct search *search, const struct lane *lane, int64_t key)
{
    unsigned number = key_number(key);
    size_t index = search->channels.by_number[number];
    return number == 0 || (index != 0 && &search->lanes[search->lane_of[index - 1]] == lane);
}

/* The first event of the gap that explains it; that the chip was offline is explained in turn by the
 * adapter that went at the same time. */
static const char *reason_within(struct search *search, const struct lane *lane, int64_t start_ms,
                                 int64_t end_ms)
{
    sqlite3_stmt *statement = search->events;
    (void)sqlite3_bind_int64(statement, 1, key_make(start_ms, 0));
    (void)sqlite3_bind_int64(statement, 2, key_make(end_ms + 1, 0));
    const char *reason = NULL;
    int64_t first_ms = 0;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t key = sqlite3_column_int64(statement, 0);
        char kind[KIND_SIZE];
        copy_column(statement, 1, kind, sizeof kind);
        /* The first start of all explains nothing to a channel that was never read before. */
        bool first_start = !lane->any && strcmp(kind, "started") == 0;
        bool is_reason = is_about(search, lane, key) && !first_start;
        const char *found = is_reason ? reason_of_kind(kind) : NULL;
        if (reason != NULL && key_time_ms(key) > first_ms + TOGETHER_MS)
            break;
        if (found == NULL || (reason != NULL && strcmp(found, "port_gone") != 0))
            continue;
        first_ms = reason == NULL ? key_time_ms(key) : first_ms;
        reason = found;
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        search->code = code;
    (void)sqlite3_reset(statement);
    return reason;
}

/* A gap that is cut to the span began earlier, and so did its reason: the last event before it,
 * unless it says that all was well. */
static const char *reason_before(struct search *search, const struct lane *lane, int64_t start_ms)
{
    sqlite3_stmt *statement = search->events_back;
    (void)sqlite3_bind_int64(statement, 1, key_make(start_ms, 0));
    (void)sqlite3_bind_int64(statement, 2, EVENTS_BACK);
    const char *reason = NULL;
    bool decided = false;
    int code = SQLITE_DONE;
    while (!decided && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        char kind[KIND_SIZE];
        copy_column(statement, 1, kind, sizeof kind);
        if (!is_about(search, lane, sqlite3_column_int64(statement, 0)) ||
            strcmp(kind, "started") == 0)
            continue;
        reason = reason_of_kind(kind);
        decided = reason != NULL || strcmp(kind, "online") == 0;
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        search->code = code;
    (void)sqlite3_reset(statement);
    return reason;
}

/* The lane has nothing between its last moment and wall_ms. False: the caller wants no more. */
static bool judge(struct search *search, const struct lane *lane, int64_t wall_ms)
{
    int64_t start_ms = lane->last_ms < search->from_ms ? search->from_ms : lane->last_ms;
    bool cut = !lane->any || lane->last_ms < search->from_ms;
    int64_t reach_ms = cadence_reach_ms(&lane->cadence);
    int64_t least_ms = search->min_ms > reach_ms ? search->min_ms : reach_ms;
    if (wall_ms - start_ms <= least_ms)
        return true;
    const char *reason = reason_within(search, lane, start_ms, wall_ms);
    if (reason == NULL && cut)
        reason = reason_before(search, lane, start_ms);
    const struct history_gap gap = {
        .start_ms = start_ms,
        .end_ms = wall_ms,
        .device = lane->channel->device,
        .channel = lane->channel->name,
        .reason = reason == NULL ? "unknown" : reason,
    };
    return search->callback(search->context, &gap) && search->code == SQLITE_OK;
}

static bool take_key(struct search *search, int64_t key)
{
    size_t index = search->channels.by_number[key_number(key)];
    if (index == 0)
        return true;
    struct lane *lane = &search->lanes[search->lane_of[index - 1]];
    int64_t wall_ms = key_time_ms(key);
    bool expected = lane->any || (lane->since_ms > 0 && lane->since_ms < wall_ms);
    bool more = !expected || wall_ms <= search->from_ms || judge(search, lane, wall_ms);
    if (lane->any)
        cadence_note(&lane->cadence, wall_ms - lane->last_ms);
    lane->any = true;
    lane->last_ms = wall_ms;
    return more;
}

static int read_keys(struct search *search, int64_t first, int64_t end, size_t *count)
{
    *count = 0;
    (void)sqlite3_bind_int64(search->keys, 1, first);
    (void)sqlite3_bind_int64(search->keys, 2, end);
    int code = SQLITE_DONE;
    while (*count < CHUNK_KEYS && (code = sqlite3_step(search->keys)) == SQLITE_ROW)
        search->chunk[(*count)++] = sqlite3_column_int64(search->keys, 0);
    (void)sqlite3_reset(search->keys);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

static int find_gaps(struct search *search, int64_t to_ms)
{
    int64_t back_ms = search->from_ms < LOOK_BACK_MS ? search->from_ms : LOOK_BACK_MS;
    int64_t next = key_make(search->from_ms - back_ms, 0);
    size_t count = CHUNK_KEYS;
    while (count == CHUNK_KEYS) {
        int code = read_keys(search, next, key_make(to_ms, 0), &count);
        if (code != SQLITE_OK)
            return code;
        for (size_t i = 0; i < count; i++) {
            next = search->chunk[i] + 1;
            if (!take_key(search, search->chunk[i]))
                return search->code;
        }
    }
    for (size_t i = 0; i < search->lane_count; i++) {
        const struct lane *lane = &search->lanes[i];
        bool expected = lane->any || (lane->since_ms > 0 && lane->since_ms < to_ms);
        if (expected && !judge(search, lane, to_ms))
            break;
    }
    return search->code;
}

static void make_lanes(struct search *search)
{
    const struct reader_channels *channels = &search->channels;
    search->lanes = memory_new(channels->count, sizeof *search->lanes);
    search->lane_of = memory_new(channels->count, sizeof *search->lane_of);
    for (size_t i = 0; i < channels->count; i++) {
        const struct reader_channel *channel = &channels->list[i];
        size_t at = 0;
        while (at < search->lane_count &&
               (strcmp(search->lanes[at].channel->device, channel->device) != 0 ||
                strcmp(search->lanes[at].channel->name, channel->name) != 0))
            at++;
        search->lane_of[i] = at;
        struct lane *lane = &search->lanes[at];
        if (at == search->lane_count) {
            search->lane_count++;
            lane->channel = channel;
            lane->since_ms = channel->since_ms;
        } else if (channel->since_ms > 0 && channel->since_ms < lane->since_ms) {
            lane->since_ms = channel->since_ms;
        }
        lane->last_ms = lane->since_ms;
    }
}

static int prepare(sqlite3 *db, struct search *search)
{
    int code = sql_prepare(db, "SELECT key FROM reading WHERE key >= ?1 AND key < ?2 ORDER BY key",
                           &search->keys);
    if (code == SQLITE_OK)
        code =
            sql_prepare(db, "SELECT key, kind FROM event WHERE key >= ?1 AND key < ?2 ORDER BY key",
                        &search->events);
    if (code == SQLITE_OK)
        code =
            sql_prepare(db, "SELECT key, kind FROM event WHERE key < ?1 ORDER BY key DESC LIMIT ?2",
                        &search->events_back);
    return code;
}

enum status history_gaps(const char *path, const char *device, const char *channel, int64_t from_ms,
                         int64_t to_ms, int64_t min_ms, history_gap_callback callback,
                         void *context, struct error *error)
{
    enum status status = reader_check_order(from_ms, to_ms, error);
    if (status != STATUS_OK)
        return status;
    sqlite3 *db = NULL;
    struct search *search = memory_new(1, sizeof *search);
    search->from_ms = from_ms;
    search->min_ms = min_ms;
    search->callback = callback;
    search->context = context;
    status = reader_open(path, &db, error);
    if (status == STATUS_OK)
        status = reader_channels(db, path, device, channel, &search->channels, error);
    if (status == STATUS_OK) {
        make_lanes(search);
        int code = prepare(db, search);
        if (code == SQLITE_OK)
            code = find_gaps(search, to_ms);
        if (code != SQLITE_OK)
            status = sql_explain(code, db, path, error);
    }
    (void)sqlite3_finalize(search->keys);
    (void)sqlite3_finalize(search->events);
    (void)sqlite3_finalize(search->events_back);
    (void)sqlite3_close(db);
    free(search->channels.list);
    free(search->lanes);
    free(search->lane_of);
    free(search);
    return status;
}
