/* SPDX-License-Identifier: MIT */
#include "bridge/service/backfills.h"

#include "bridge/backfill/backfill.h"
#include "bridge/mqtt/discovery.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <string.h>

/* Home Assistant works on our announcements first, and then on what it missed itself. */
#define SETTLE_MS 10000
/* Behind the hour of its return, and the minutes in which it may still make its own row. */
#define FOLLOW_UP_MS (75 * 60000)
#define RETRY_MS 60000
#define RETRY_MAX_MS 3600000
#define EVENTS_MAX 10 /* of one run; the rest is counted */

struct backfills {
    struct backfills_options options;
    char *bridge_id;
    struct backfill *backfill;
    uv_timer_t timer;
    uv_async_t finished;
    int handles; /* that are not closed yet */
    int64_t retry_ms;
    bool follow_up;          /* one more run is due behind this one */
    struct pending *pending; /* the request that waits; NULL: none */
    char problem[256];
};

/* ---- what may have statistics ---- */

struct list {
    const struct backfills *backfills;
    const struct device_description *device;
    struct backfill_statistic *statistics;
    size_t count, room;
};

static void add_statistic(void *context, const struct property *property, int channel,
                          const char *key)
{
    struct list *list = context;
    bool drawn = strcmp(property->name, "energy") == 0;
    bool produced = strcmp(property->name, "energy_produced") == 0;
    char unique_id[BACKFILL_ENTITY_SIZE];
    struct text text;
    if (!drawn && !produced)
        return;
    text_init(&text, unique_id, sizeof unique_id);
    text_append(&text, "bl2mqtt_%s_%s_%s", list->backfills->bridge_id, discovery_id(list->device),
                key);
    if (text.cut)
        return;
    list->statistics =
        memory_grow(list->statistics, list->count, &list->room, sizeof *list->statistics);
    list->statistics[list->count++] = (struct backfill_statistic){
        .unique_id = memory_copy_text(unique_id),
        .device = list->device->id,
        .channel = channel < 0 ? NULL : list->device->channel_names[channel],
        .produced = produced,
    };
}

static bool begin(struct backfills *backfills, bool dry_run)
{
    struct list list = {.backfills = backfills};
    for (size_t i = 0; i < hub_device_count(backfills->options.hub); i++) {
        list.device = hub_device_description(hub_device_at(backfills->options.hub, i));
        if (list.device->homeassistant)
            entities_visit(list.device, add_statistic, &list);
    }
    bool begun =
        backfill_begin(backfills->backfill, list.statistics, list.count, dry_run, clock_wall_ms());
    for (size_t i = 0; i < list.count; i++)
        free((char *)list.statistics[i].unique_id);
    free(list.statistics);
    return begun;
}

/* ---- what came of it ---- */

static void append_span(struct text *text, const struct backfill_found *found)
{
    text_append(text, "%zu hour%s of %s, ", found->hours, found->hours == 1 ? "" : "s",
                found->entity);
    text_append_decimal(text, found->energy_uwh, 9, 3, false);
    text_append(text, " kWh, from ");
    text_append_time(text, found->first_ms, false);
    if (found->hours > 1) {
        text_append(text, " to ");
        text_append_time(text, found->last_ms, false);
    }
}

static void report_found(struct backfills *backfills, const struct backfill_result *result)
{
    char message[512];
    struct text text;
    for (size_t i = 0; i < result->count && i < EVENTS_MAX; i++) {
        text_init(&text, message, sizeof message);
        text_append(&text, "Home Assistant missed ");
        append_span(&text, &result->found[i]);
        text_append(&text, i < result->imported ? ": imported." : ": not imported.");
        notices_event(backfills->options.notices, LOG_LEVEL_INFO, "backfill", message);
    }
    if (result->count <= EVENTS_MAX)
        return;
    text_init(&text, message, sizeof message);
    text_append(&text,
                "Home Assistant missed hours of %zu more entities; %zu of %zu were imported.",
                result->count - EVENTS_MAX, result->imported, result->count);
    notices_event(backfills->options.notices, LOG_LEVEL_INFO, "backfill", message);
}

static json_t *answer(const struct backfill_result *result)
{
    json_t *list = json_array();
    for (size_t i = 0; i < result->count; i++) {
        const struct backfill_found *found = &result->found[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:I, s:o, s:o, s:f, s:b}", "statistic_id", found->entity, "hours",
                      (json_int_t)found->hours, "from", backfill_time(found->first_ms), "to",
                      backfill_time(found->last_ms), "energy_kwh", (double)found->energy_uwh / 1e9,
                      "imported", i < result->imported));
    }
    return json_pack("{s:b, s:o}", "dry_run", result->dry_run, "statistics", list);
}

static void answer_request(struct backfills *backfills, const struct backfill_result *result)
{
    struct pending *pending = backfills->pending;
    struct error error;
    backfills->pending = NULL;
    if (pending == NULL)
        return;
    if (result->state == CONVERSATION_DONE) {
        pending_answer(pending, answer(result));
        return;
    }
    (void)error_set(&error, STATUS_FAILED, "%s", result->problem);
    pending_refuse(pending, STATUS_FAILED, &error);
}

static void on_timer(uv_timer_t *timer);

static void again_in(struct backfills *backfills, int64_t ms)
{
    (void)uv_timer_start(&backfills->timer, on_timer, (uint64_t)ms, 0);
}

/* A run that nobody asked for is tried again; with a token that is refused it is not, as Home Assistant shuts those
 * out who try. */
static void note_problem(struct backfills *backfills, const struct backfill_result *result)
{
    bool failed = result->state != CONVERSATION_DONE;
    if (failed && strcmp(backfills->problem, result->problem) != 0)
        notices_event(backfills->options.notices, LOG_LEVEL_WARNING, "backfill_problem",
                      result->problem);
    (void)snprintf(backfills->problem, sizeof backfills->problem, "%s",
                   failed ? result->problem : "");
    if (result->state == CONVERSATION_FAILED && !uv_is_active((uv_handle_t *)&backfills->timer)) {
        again_in(backfills, backfills->retry_ms);
        backfills->retry_ms =
            backfills->retry_ms * 2 < RETRY_MAX_MS ? backfills->retry_ms * 2 : RETRY_MAX_MS;
    }
    if (failed)
        return;
    backfills->retry_ms = RETRY_MS;
    if (backfills->follow_up && !uv_is_active((uv_handle_t *)&backfills->timer))
        again_in(backfills, FOLLOW_UP_MS);
    backfills->follow_up = false;
}

static void on_finished(uv_async_t *async)
{
    struct backfills *backfills = async->data;
    struct backfill_result result;
    if (!backfill_take(backfills->backfill, &result))
        return;
    report_found(backfills, &result);
    note_problem(backfills, &result);
    answer_request(backfills, &result);
}

/* ---- when ---- */

static void on_timer(uv_timer_t *timer)
{
    struct backfills *backfills = timer->data;
    if (!begin(backfills, false))
        again_in(backfills, SETTLE_MS); /* a run that was asked for goes on */
}

void backfills_soon(struct backfills *backfills)
{
    if (backfills == NULL)
        return;
    backfills->follow_up = true;
    backfills->retry_ms = RETRY_MS;
    uv_update_time(backfills->options.loop);
    again_in(backfills, SETTLE_MS);
}

enum status backfills_request(struct backfills *backfills, struct pending *pending,
                              struct error *error)
{
    if (backfills == NULL)
        return error_set(error, STATUS_USAGE,
                         "homeassistant.backfill is not configured: write url and token of Home "
                         "Assistant into bridge.yaml.");
    if (backfills->pending != NULL || !begin(backfills, pending_flag(pending, "dry_run", false)))
        return error_set(error, STATUS_FAILED,
                         "Home Assistant is being asked already; try again in a minute.");
    backfills->pending = pending;
    return STATUS_OK;
}

const char *backfills_problem(const struct backfills *backfills)
{
    return backfills == NULL || backfills->problem[0] == '\0' ? NULL : backfills->problem;
}

/* ---- life ---- */

/* On the thread of the run. */
static void wake(void *context)
{
    struct backfills *backfills = context;
    (void)uv_async_send(&backfills->finished);
}

struct backfills *backfills_create(const struct backfills_options *options)
{
    struct backfills *made = memory_new(1, sizeof *made);
    const struct backfill_options backfill = {
        .url = options->url,
        .token = options->token,
        .history_path = options->history_path,
        .finished = wake,
        .context = made,
    };
    made->options = *options;
    made->bridge_id = memory_copy_text(options->bridge_id);
    made->retry_ms = RETRY_MS;
    made->backfill = backfill_create(&backfill);
    (void)uv_timer_init(options->loop, &made->timer);
    (void)uv_async_init(options->loop, &made->finished, on_finished);
    made->timer.data = made;
    made->finished.data = made;
    made->handles = 2;
    return made;
}

static void on_closed(uv_handle_t *handle)
{
    struct backfills *backfills = handle->data;
    if (--backfills->handles > 0)
        return;
    free(backfills->bridge_id);
    free(backfills);
}

void backfills_close(struct backfills *backfills)
{
    if (backfills == NULL)
        return;
    backfill_close(backfills->backfill);
    if (backfills->pending != NULL) {
        struct error error;
        (void)error_set(&error, STATUS_FAILED, "The service ends.");
        pending_refuse(backfills->pending, STATUS_FAILED, &error);
    }
    uv_close((uv_handle_t *)&backfills->timer, on_closed);
    uv_close((uv_handle_t *)&backfills->finished, on_closed);
}
