/* SPDX-License-Identifier: MIT */
#include "bridge/service/prices.h"

#include "bridge/history/import/interval_store.h"
#include "bridge/service/interval_message.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const int64_t believable_wall_ms = INT64_C(1704067200000); /* 2024-01-01 */
static const int64_t look_ms = 10000; /* how often the file is looked at */
static const int64_t kept_quarters = 2 * 96;
static const int64_t grace_ms = 30000;    /* after the start a retained message may be on its way */
static const size_t known_max = 400 * 96; /* in memory: a year ahead */
static const int64_t retry_ms = 10000;    /* while the disk does not take them */

#define MESSAGES_PER_MINUTE 60

struct words {
    const char *many;
    const char *missing, *back, *refused; /* events */
    const char *missing_text, *back_text; /* "From TIME" goes before them */
};

static const struct words price_words = {
    "prices",
    "prices_missing",
    "prices_back",
    "prices_refused",
    " on no price is known; costs are unknown until it arrives, or is put into prices.file.",
    " on prices are known again.",
};
static const struct words co2_words = {
    "CO2 intensities",
    "co2_missing",
    "co2_back",
    "co2_refused",
    " on no CO2 intensity is known; what was emitted is unknown until it arrives, or is put into "
    "co2.file.",
    " on CO2 intensities are known again.",
};

struct prices {
    const struct words *words;
    struct prices_options options;
    char *topic, *file;
    char *next_file; /* to be followed when the worker is done with the other one */
    int64_t divisor, next_divisor;
    bool follows; /* there is a next one */
    struct intervals known;
    struct intervals pending; /* to be stored */
    uv_work_t work;
    bool busy, closing;
    int64_t next_look_ms, next_store_ms, started_boot_ms;
    int64_t minute;
    int messages; /* of that minute */
    bool missing;
    char missing_text[200], refused_text[300];

    /* The worker's while busy. */
    bool looks;
    struct intervals storing, read;
    struct timespec changed; /* of the file, as it was read last */
    off_t size;
    bool file_read;
    enum status store_status, read_status;
    struct error store_error, read_error;
};

/* ---- on a worker thread ---- */

static void read_file(struct prices *prices)
{
    struct stat now;
    char *bytes memory_auto = NULL;
    size_t length = 0;
    prices->file_read = false;
    if (stat(prices->file, &now) == 0 && now.st_mtim.tv_sec == prices->changed.tv_sec &&
        now.st_mtim.tv_nsec == prices->changed.tv_nsec && now.st_size == prices->size)
        return;
    prices->file_read = true;
    prices->changed = now.st_mtim;
    prices->size = now.st_size;
    prices->read_status =
        file_read(prices->file, INTERVAL_MESSAGE_BYTES_MAX, &bytes, &length, &prices->read_error);
    if (prices->read_status == STATUS_OK)
        prices->read_status =
            interval_message_parse(bytes, length, prices->options.kind, prices->divisor,
                                   &prices->read, &prices->read_error);
}

static void at_disk(uv_work_t *work)
{
    struct prices *prices = work->data;
    if (prices->storing.count > 0)
        prices->store_status =
            interval_store_put(prices->options.history_path, prices->options.kind, &prices->storing,
                               &prices->store_error);
    if (prices->looks)
        read_file(prices);
}

/* ---- on the loop ---- */

static void free_prices(struct prices *prices)
{
    intervals_free(&prices->known);
    intervals_free(&prices->pending);
    intervals_free(&prices->storing);
    intervals_free(&prices->read);
    free(prices->topic);
    free(prices->file);
    free(prices->next_file);
    free(prices);
}

static void begin(struct prices *prices);

static void refuse(struct prices *prices, const char *where, const char *why)
{
    char text[sizeof prices->refused_text];
    (void)snprintf(text, sizeof text, "The %s from %.100s were not taken: %.160s",
                   prices->words->many, where, why);
    bool same = strcmp(text, prices->refused_text) == 0;
    (void)snprintf(prices->refused_text, sizeof prices->refused_text, "%s", text);
    if (same)
        return;
    log_warning(prices->options.log, "%s", text);
    prices->options.event(prices->options.context, prices->words->refused, text);
}

/* Only what is new is stored. */
static void take(struct prices *prices, const struct intervals *intervals)
{
    int64_t first = clock_wall_ms() / INTERVAL_MS - kept_quarters;
    for (size_t i = 0; i < intervals->count; i++) {
        const struct interval *interval = &intervals->list[i];
        bool recent = interval->quarter >= first && prices->known.count < known_max;
        if (recent ? intervals_put(&prices->known, interval) : true)
            (void)intervals_put(&prices->pending, interval);
    }
    intervals_drop(&prices->known, first);
    if (prices->pending.count > known_max)
        intervals_drop(&prices->pending,
                       prices->pending.list[prices->pending.count - known_max].quarter);
    prices->refused_text[0] = '\0';
}

static void settle_stored(struct prices *prices)
{
    if (prices->storing.count == 0)
        return;
    if (prices->store_status == STATUS_OK) {
        bool past = prices->storing.list[0].quarter <= clock_wall_ms() / INTERVAL_MS;
        log_debug(prices->options.log, "%zu %s of a quarter of an hour were stored.",
                  prices->storing.count, prices->words->many);
        intervals_free(&prices->storing);
        prices->options.changed(prices->options.context, past);
        return;
    }
    log_repeating(prices->options.log, LOG_LEVEL_WARNING, prices->words->many,
                  "The %s are not stored yet: %s", prices->words->many, prices->store_error.text);
    for (size_t i = 0; i < prices->pending.count; i++) /* the newer ones */
        (void)intervals_put(&prices->storing, &prices->pending.list[i]);
    intervals_free(&prices->pending);
    prices->pending = prices->storing;
    prices->storing = (struct intervals){.list = NULL};
    prices->next_store_ms = clock_boot_ms() + retry_ms;
}

/* The file is the worker's while that is busy; it is read anew, as another unit may be meant. */
static void take_next(struct prices *prices)
{
    if (prices->busy || !prices->follows)
        return;
    free(prices->file);
    prices->file = prices->next_file;
    prices->divisor = prices->next_divisor;
    prices->next_file = NULL;
    prices->follows = false;
    prices->size = -1;
    prices->next_look_ms = 0;
    prices->refused_text[0] = '\0';
}

static void after_disk(uv_work_t *work, int cancelled)
{
    (void)cancelled; /* never asked for */
    struct prices *prices = work->data;
    prices->busy = false;
    if (prices->closing) {
        free_prices(prices);
        return;
    }
    settle_stored(prices);
    if (prices->looks && prices->file_read && prices->read_status == STATUS_OK)
        take(prices, &prices->read);
    else if (prices->looks && prices->file_read)
        refuse(prices, prices->file, prices->read_error.text);
    intervals_free(&prices->read);
    prices->looks = false;
    take_next(prices);
    begin(prices);
}

static void begin(struct prices *prices)
{
    int64_t boot_ms = clock_boot_ms();
    bool looks = prices->file != NULL && boot_ms >= prices->next_look_ms;
    bool stores = prices->pending.count > 0 && boot_ms >= prices->next_store_ms;
    if (prices->busy || prices->closing || !(looks || stores))
        return;
    if (looks)
        prices->next_look_ms = boot_ms + look_ms;
    if (stores) {
        prices->storing = prices->pending;
        prices->pending = (struct intervals){.list = NULL};
    }
    prices->looks = looks;
    prices->busy = true;
    (void)uv_queue_work(prices->options.loop, &prices->work, at_disk, after_disk);
}

/* ---- life ---- */

struct prices *prices_create(const struct prices_options *options)
{
    struct prices *prices = memory_new(1, sizeof *prices);
    struct error error = {""};
    prices->options = *options;
    prices->words = options->kind == INTERVAL_CO2 ? &co2_words : &price_words;
    prices->work.data = prices;
    prices->started_boot_ms = clock_boot_ms();
    int64_t first = clock_wall_ms() / INTERVAL_MS - kept_quarters;
    if (interval_store_load(options->history_path, prices->options.kind, first,
                            first + (int64_t)known_max, &prices->known, &error) != STATUS_OK)
        log_warning(options->log, "The %s of the history cannot be read: %s", prices->words->many,
                    error.text);
    return prices;
}

/* In bridge.data_dir unless it begins with a slash. */
static char *path_of(const struct prices *prices, const char *file)
{
    char path[PATH_MAX];
    bool whole = file[0] == '/';
    if (file[0] == '\0')
        return NULL;
    (void)snprintf(path, sizeof path, "%.2000s%s%.2000s", whole ? "" : prices->options.data_dir,
                   whole ? "" : "/", file);
    return memory_copy_text(path);
}

void prices_follow(struct prices *prices, const struct prices_source *source)
{
    free(prices->topic);
    prices->topic = source->topic[0] != '\0' ? memory_copy_text(source->topic) : NULL;
    if (prices->topic != NULL) /* what is retained there comes again */
        publisher_subscribe_again(prices->options.publisher, prices->topic, 1);
    free(prices->next_file);
    prices->next_file = path_of(prices, source->file);
    prices->next_divisor = source->divisor;
    prices->follows = true;
    prices->started_boot_ms = clock_boot_ms(); /* its message may be on its way */
    take_next(prices);
    begin(prices);
}

bool prices_configured(const struct prices *prices)
{
    return prices->topic != NULL || (prices->follows ? prices->next_file : prices->file) != NULL;
}

void prices_close(struct prices *prices)
{
    if (prices == NULL)
        return;
    prices->closing = true;
    if (!prices->busy)
        free_prices(prices);
}

const struct intervals *prices_known(const struct prices *prices)
{
    return &prices->known;
}

const char *prices_problem(const struct prices *prices)
{
    return prices->missing ? prices->missing_text : prices->refused_text;
}

static int64_t divisor_now(const struct prices *prices)
{
    return prices->follows ? prices->next_divisor : prices->divisor;
}

bool prices_incoming(struct prices *prices, const struct publisher_incoming *incoming)
{
    if (prices == NULL || incoming->kind != PUBLISHER_MESSAGE || prices->topic == NULL ||
        strcmp(incoming->topic, prices->topic) != 0)
        return false;
    int64_t minute = clock_boot_ms() / 60000;
    prices->messages = minute == prices->minute ? prices->messages + 1 : 1;
    prices->minute = minute;
    struct error error = {"More than 60 messages came within a minute."};
    struct intervals read = {.list = NULL};
    enum status status = STATUS_USAGE;
    if (prices->messages <= MESSAGES_PER_MINUTE)
        status = interval_message_parse(incoming->payload, incoming->payload_length,
                                        prices->options.kind, divisor_now(prices), &read, &error);
    if (status == STATUS_OK)
        take(prices, &read);
    else if (incoming->payload_length > 0) /* an emptied topic says nothing */
        refuse(prices, prices->topic, error.text);
    intervals_free(&read);
    begin(prices);
    return true;
}

static bool wanted(const struct prices *prices, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local;
    if (wall_ms >= believable_wall_ms && prices->options.kind == INTERVAL_CO2)
        return prices_configured(prices);
    if (wall_ms < believable_wall_ms || localtime_r(&seconds, &local) == NULL)
        return false;
    const struct tariffs *tariffs = *prices->options.tariffs;
    const struct tariff *tariff = tariff_at(tariffs->list, tariffs->count, &local);
    return tariff != NULL && (tariff->dynamic || tariff->dynamic_feed_in);
}

void prices_tick(struct prices *prices, int64_t wall_ms, int64_t boot_ms)
{
    if (prices == NULL)
        return;
    int64_t value_micro;
    int64_t quarter = wall_ms / INTERVAL_MS;
    begin(prices);
    bool missing =
        wanted(prices, wall_ms) && !intervals_find(&prices->known, quarter, &value_micro);
    if (missing == prices->missing || (missing && boot_ms < prices->started_boot_ms + grace_ms))
        return;
    prices->missing = missing;
    struct text text;
    text_init(&text, prices->missing_text, sizeof prices->missing_text);
    text_append(&text, "From ");
    text_append_time(&text, quarter * INTERVAL_MS, false);
    text_append(&text, "%s", missing ? prices->words->missing_text : prices->words->back_text);
    log_warning(prices->options.log, "%s", prices->missing_text);
    prices->options.event(prices->options.context,
                          missing ? prices->words->missing : prices->words->back,
                          prices->missing_text);
}
