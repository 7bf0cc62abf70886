/* SPDX-License-Identifier: MIT */
/* What the writer keeps of totals beside the transactions: those that moved since the last one, and the copy of
 * all. */
#include "bridge/history/writer.h"

#include "bridge/history/safety/totals_file.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

/* ---- since the last transaction ---- */

/* As many equal parts as it takes, so that the last one is no shorter than the others. */
int64_t writer_interim_pause_ms(int64_t commit_interval_ms, int64_t most_ms)
{
    int64_t parts = (commit_interval_ms + most_ms - 1) / most_ms;
    return parts > 1 ? commit_interval_ms / parts : 0;
}

void writer_interim_begin(struct history *history, int64_t began_ms)
{
    memcpy(history->word, history->batch.word, sizeof history->word);
    history->interim_due_ms = began_ms + history->interim_pause_ms;
    history->health.totals_boot_ms = clock_boot_ms();
}

bool writer_interim_wanted(const struct history *history, int64_t *left_ms)
{
    *left_ms = history->interim_due_ms - clock_boot_ms();
    return history->word[0] != '\0' && history->retry_delay_ms == 0 && !history->clock.held &&
           !history->stopping;
}

/* Others were set, are counted with other factors or by a new channel, or come from before this boot. */
static bool can_be_alone(const struct known_channel *channel, const char *boot_id)
{
    return channel->state.known && channels_same_base(channel) &&
           strcmp(channel->state.boot_id, boot_id) == 0;
}

/* "" if no total has moved. */
static const char *boot_id_of(const struct channels *channels)
{
    for (size_t i = 0; i < channels->count; i++)
        if (channels->list[i].dirty)
            return channels->list[i].state.boot_id;
    return "";
}

bool writer_interim_suffices(const struct history *history)
{
    const struct channels *channels = &history->channels;
    const char *boot_id = boot_id_of(channels);
    for (size_t i = 0; i < channels->count; i++)
        if (channels->list[i].dirty && !can_be_alone(&channels->list[i], boot_id))
            return false;
    return true;
}

/* A total that was counted, with what is to be shown of it. */
struct counted {
    struct interim_total *totals; /* those that moved since the transaction */
    int64_t (*uwh)[2];            /* beside them: imported, exported */
    size_t count;
    bool news; /* some total is not the one that the disk has */
};

static void count(const struct known_channel *channel, struct counted *counted)
{
    const struct energy_state *state = &channel->state;
    int64_t *uwh = counted->uwh[counted->count];
    channels_totals_uwh(state, &channel->counted, channel->kind, &uwh[0], &uwh[1]);
    counted->news = counted->news || uwh[0] != channel->stored_imported_uwh ||
                    uwh[1] != channel->stored_exported_uwh;
    counted->totals[counted->count++] = (struct interim_total){
        .number = channel->number,
        .counter = state->counter,
        .counter_wall_ms = state->counter_wall_ms,
        .counter_boot_ms = state->counter_boot_ms,
        .imported = state->imported,
        .exported = state->exported,
    };
}

/* With the mutex held. */
static void take_moved(struct history *history, struct interim_record *record,
                       struct counted *counted)
{
    const struct channels *channels = &history->channels;
    memcpy(record->word, history->word, sizeof record->word);
    (void)snprintf(record->boot_id, sizeof record->boot_id, "%s", boot_id_of(channels));
    counted->totals = memory_new(channels->count, sizeof *counted->totals);
    counted->uwh = memory_new(channels->count, sizeof *counted->uwh);
    for (size_t i = 0; i < channels->count; i++) {
        const struct known_channel *channel = &channels->list[i];
        if (channel->dirty && can_be_alone(channel, record->boot_id))
            count(channel, counted);
    }
    record->totals = counted->totals;
    record->count = counted->count;
}

/* With the mutex held. */
static void show(struct history *history, const struct counted *counted)
{
    for (size_t i = 0; i < counted->count; i++) {
        struct known_channel *channel =
            channels_find(&history->channels, (unsigned)counted->totals[i].number);
        channel->stored_imported_uwh = counted->uwh[i][0];
        channel->stored_exported_uwh = counted->uwh[i][1];
    }
    history->health.totals_boot_ms = clock_boot_ms();
}

void writer_interim_write(struct history *history)
{
    struct interim_record record = {.totals = NULL};
    struct counted counted = {.totals = NULL};
    struct error error = {""};
    int64_t began_ms = clock_boot_ms();
    (void)pthread_mutex_lock(&history->mutex);
    take_moved(history, &record, &counted);
    (void)pthread_mutex_unlock(&history->mutex);

    bool good = !counted.news || interim_write(history->interim, &record, &error) == STATUS_OK;
    if (!good && !history->interim_failing)
        writer_log(history, LOG_LEVEL_WARNING, error.text);
    history->interim_failing = !good;

    (void)pthread_mutex_lock(&history->mutex);
    history->interim_due_ms = began_ms + history->interim_pause_ms;
    if (good && counted.news)
        show(history, &counted);
    (void)pthread_mutex_unlock(&history->mutex);
    if (good && counted.news)
        writer_wake_owner(history);
    free(counted.totals);
    free(counted.uwh);
}

/* ---- the copy of all ---- */

struct channels writer_snapshot(const struct history *history)
{
    struct channels snapshot = history->channels;
    snapshot.list = memory_new(snapshot.count, sizeof *snapshot.list);
    if (snapshot.count > 0)
        memcpy(snapshot.list, history->channels.list, snapshot.count * sizeof *snapshot.list);
    return snapshot;
}

void writer_totals_file(struct history *history)
{
    (void)pthread_mutex_lock(&history->mutex);
    struct channels snapshot = writer_snapshot(history);
    history->totals_due = false;
    (void)pthread_mutex_unlock(&history->mutex);

    struct error error = {""};
    bool good = totals_file_write(history->totals_path, &snapshot, &error) == STATUS_OK;
    free(snapshot.list);
    if (!good && !history->totals_failing)
        writer_log(history, LOG_LEVEL_WARNING, error.text);
    history->totals_failing = !good;
    history->totals_written_ms = clock_boot_ms();
}
