/* SPDX-License-Identifier: MIT */
#include "bridge/commands/calibrate.h"

#include "bridge/history/query/readings.h"
#include "bridge/service/sources.h"
#include "drivers/base/clock.h"

#include <stdio.h>
#include <time.h>
#include <uv.h>

#define POLL_MS 250
/* The minimum time that readings may take, beside --seconds, before they are given up: a chip that is
 * asked for the first time is looked for at every baud rate. */
#define PATIENCE_MS 8000

enum reading_kind calibrate_kind(const struct calibrate_work *work)
{
    return config_reading_kind(work->device->driver);
}

static bool enough(const struct calibrate_work *work)
{
    return work->first_ms != 0 && work->last_ms - work->first_ms >= work->options->seconds * 1000;
}

static void take_reading(struct calibrate_work *work, const struct reading *reading)
{
    if (enough(work))
        return;
    if (work->first_ms == 0)
        work->first_ms = reading->wall_ms;
    work->last_ms = reading->wall_ms;
    reference_add(&work->samples, reading);
}

static bool on_stored(void *context, const struct history_reading *stored)
{
    struct calibrate_work *work = context;
    if (stored->kind != calibrate_kind(work))
        return true;
    work->old = stored->factors;
    work->invert = stored->invert;
    take_reading(work, &stored->reading);
    return true;
}

/* The service stores what it reads; this looks for what is stamped after now. */
enum status calibrate_from_service(struct calibrate_work *work, struct error *error)
{
    int64_t next_ms = clock_wall_ms();
    int64_t patience_ms = work->options->seconds * 1000 + PATIENCE_MS +
                          2 * work->config->history.commit_interval_ms +
                          2 * work->device->interval_ms;
    int64_t until_ms = clock_boot_ms() + patience_ms;
    while (!enough(work) && clock_boot_ms() < until_ms) {
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        enum status status =
            history_readings(work->history_path, work->device->id, work->channel->name, next_ms,
                             INT64_MAX, on_stored, work, error);
        if (status != STATUS_OK)
            return status;
        if (work->last_ms >= next_ms)
            next_ms = work->last_ms + 1;
    }
    if (enough(work))
        return STATUS_OK;
    return error_set(error, STATUS_NO_ANSWER,
                     "The running service stored %zu readings of %s %s in %lld s; check that the "
                     "channel is online.",
                     work->samples.count, work->device->id, work->channel->name,
                     (long long)(patience_ms / 1000));
}

/* The loop's own view of the work. */
struct listening {
    struct calibrate_work *work;
    struct sources *sources;
    uv_loop_t loop;
    uv_timer_t end;
    char reason[256]; /* why the channel is offline */
};

static bool is_asked_for(const struct listening *listening, unsigned number)
{
    size_t channel;
    (void)sources_owner(listening->sources, number, &channel);
    return channel == listening->work->channel_index;
}

static void on_reading(void *context, unsigned number, const struct reading *reading)
{
    struct listening *listening = context;
    if (!is_asked_for(listening, number))
        return;
    take_reading(listening->work, reading);
    if (enough(listening->work))
        uv_stop(&listening->loop);
}

static void on_availability(void *context, unsigned number, bool online, const char *reason)
{
    struct listening *listening = context;
    if (!is_asked_for(listening, number))
        return;
    (void)snprintf(listening->reason, sizeof listening->reason, "%s", online ? "" : reason);
    if (!online) /* asked at every rate, or without a port */
        uv_stop(&listening->loop);
}

static void on_event(void *context, unsigned number, enum driver_event event, const char *message)
{
    (void)context;
    (void)number;
    (void)event;
    (void)fprintf(stderr, "%s\n", message);
}

static void on_end(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static enum status listen_to_chip(struct listening *listening, struct error *error)
{
    struct calibrate_work *work = listening->work;
    const struct driver_sink sink = {
        .context = listening,
        .reading = on_reading,
        .availability = on_availability,
        .event = on_event,
    };
    (void)uv_timer_init(&listening->loop, &listening->end);
    (void)uv_timer_start(
        &listening->end, on_end,
        (uint64_t)(work->options->seconds * 1000 + PATIENCE_MS + 2 * work->device->interval_ms), 0);
    struct sources *sources = listening->sources = sources_create(
        &listening->loop, work->config->homeassistant.discovery_prefix, &sink, NULL, NULL);
    (void)sources_add(sources, work, work->device);
    sources_apply(sources);
    (void)uv_run(&listening->loop, UV_RUN_DEFAULT);
    sources_close(sources);
    uv_close((uv_handle_t *)&listening->end, NULL);
    (void)uv_run(&listening->loop, UV_RUN_DEFAULT);
    if (enough(work))
        return STATUS_OK;
    return error_set(error, STATUS_NO_ANSWER, "%s %s gave only %zu readings%s%s", work->device->id,
                     work->channel->name, work->samples.count,
                     listening->reason[0] == '\0' ? "." : ": ", listening->reason);
}

enum status calibrate_from_chip(struct calibrate_work *work, struct error *error)
{
    if (work->device->driver != DRIVER_BL0942 && work->device->driver != DRIVER_SIMULATOR)
        return error_set(error, STATUS_FAILED,
                         "Device %s is read through the broker, which needs the service. Start it, "
                         "then calibrate.",
                         work->device->id);
    struct listening listening = {.work = work};
    int result = uv_loop_init(&listening.loop);
    if (result != 0)
        return error_set(error, STATUS_FAILED, "The event loop could not be created: %s.",
                         uv_strerror(result));
    enum status status = listen_to_chip(&listening, error);
    (void)uv_loop_close(&listening.loop);
    return status;
}
