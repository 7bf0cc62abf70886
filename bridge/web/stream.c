/* SPDX-License-Identifier: MIT */
#include "bridge/web/stream.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

#define BLOCK 4096
#define RETRY_MS 2000
#define DEVICE_ID_SIZE 64

/* The kinds of events, as bits of what a viewer wants. */
enum {
    KIND_STATE,
    KIND_AVAILABILITY,
    KIND_EVENT,
    KIND_LOG,
    KIND_HEALTH,
    KIND_DEVICES,
    KIND_JOB,
    KINDS
};
static const char *const kind_names[KINDS] = {
    [KIND_STATE] = "state",   [KIND_AVAILABILITY] = "availability",
    [KIND_EVENT] = "event",   [KIND_LOG] = "log",
    [KIND_HEALTH] = "health", [KIND_DEVICES] = "devices",
    [KIND_JOB] = "job",
};

struct viewer {
    struct stream_hub *streams;
    struct exchange *exchange;
    struct viewer *next;
    char device[DEVICE_ID_SIZE]; /* "": all */
    unsigned kinds;
    size_t synced; /* devices whose first state was sent */
    char *backlog; /* NULL while nothing waits, so that idle viewers cost little */
    size_t length, capacity;
    bool slow; /* to be disconnected */
};

struct stream_hub {
    struct hub *hub;
    struct viewer *viewers;
    size_t viewer_count;
    uv_timer_t *pace, *alive;
    bool pacing;
    struct hub_device **changed; /* since the last round */
    size_t changed_count, changed_capacity;
    char *log[STREAM_LOG_LINES]; /* a ring */
    size_t log_next;
    bool closing;
    char buffer[HUB_STATE_SIZE + 256];
};

/* ---- what waits for a viewer ---- */

static void push(struct viewer *viewer, const char *bytes, size_t length)
{
    if (viewer->slow)
        return;
    if (viewer->length + length > STREAM_BACKLOG_MAX) {
        viewer->slow = true;
        exchange_stream_ready(viewer->exchange);
        return;
    }
    if (viewer->length + length > viewer->capacity) {
        size_t capacity = viewer->capacity == 0 ? BLOCK : viewer->capacity;
        while (capacity < viewer->length + length)
            capacity *= 2;
        char *grown = memory_new(capacity, 1);
        if (viewer->length > 0)
            memcpy(grown, viewer->backlog, viewer->length);
        free(viewer->backlog);
        viewer->backlog = grown;
        viewer->capacity = capacity;
    }
    memcpy(viewer->backlog + viewer->length, bytes, length);
    viewer->length += length;
    exchange_stream_ready(viewer->exchange);
}

static bool wants(const struct viewer *viewer, int kind, const char *device)
{
    if ((viewer->kinds & (1u << kind)) == 0)
        return false;
    return device == NULL || viewer->device[0] == '\0' || strcmp(viewer->device, device) == 0;
}

static void push_to_all(struct stream_hub *streams, int kind, const char *device,
                        const struct text *message)
{
    for (struct viewer *viewer = streams->viewers; viewer != NULL; viewer = viewer->next)
        if (wants(viewer, kind, device))
            push(viewer, message->buffer, message->length);
}

/* data is one line of JSON. */
static void send_event(struct stream_hub *streams, int kind, const char *device, const char *data)
{
    if (streams->viewers == NULL || data == NULL)
        return;
    size_t size = strlen(data) + 64;
    char *buffer memory_auto = memory_new(size, 1);
    struct text text;
    text_init(&text, buffer, size);
    text_append(&text, "event: %s\ndata: %s\n\n", kind_names[kind], data);
    push_to_all(streams, kind, device, &text);
}

/* ---- states ---- */

static bool append_state(const struct hub_device *device, struct text *text)
{
    text_append(text, "event: state\ndata: {\"device\":\"%s\",\"state\":",
                hub_device_description(device)->id);
    bool fits = hub_state_json(device, text);
    text_append(text, "}\n\n");
    return fits && !text->cut;
}

static void append_availability(const struct hub_device *device, struct text *text)
{
    text_append(text, "event: availability\ndata: {\"device\":\"%s\",\"state\":\"%s\"}\n\n",
                hub_device_description(device)->id,
                hub_device_online(device) ? "online" : "offline");
}

static void send_state(struct stream_hub *streams, const struct hub_device *device)
{
    struct text text;
    text_init(&text, streams->buffer, sizeof streams->buffer);
    if (append_state(device, &text))
        push_to_all(streams, KIND_STATE, hub_device_description(device)->id, &text);
}

static void on_pace(uv_timer_t *timer)
{
    struct stream_hub *streams = timer->data;
    streams->pacing = streams->changed_count > 0;
    for (size_t i = 0; i < streams->changed_count; i++)
        send_state(streams, streams->changed[i]);
    streams->changed_count = 0;
    if (streams->pacing)
        (void)uv_timer_start(timer, on_pace, STREAM_PACE_MS, 0);
}

static void on_state(void *context, struct hub_device *device, enum hub_reason reason)
{
    struct stream_hub *streams = context;
    if (streams->viewers == NULL || reason == HUB_READING_PART)
        return;
    for (size_t i = 0; i < streams->changed_count; i++)
        if (streams->changed[i] == device)
            return;
    streams->changed = memory_grow(streams->changed, streams->changed_count,
                                   &streams->changed_capacity, sizeof *streams->changed);
    streams->changed[streams->changed_count++] = device;
    if (streams->pacing)
        return;
    streams->pacing = true; /* at once, and then not before a pause */
    (void)uv_timer_start(streams->pace, on_pace, 0, 0);
}

static void on_availability(void *context, struct hub_device *device)
{
    struct stream_hub *streams = context;
    char buffer[256];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    append_availability(device, &text);
    push_to_all(streams, KIND_AVAILABILITY, hub_device_description(device)->id, &text);
}

static void on_removed(void *context, struct hub_device *device)
{
    struct stream_hub *streams = context;
    for (size_t i = 0; i < streams->changed_count; i++)
        if (streams->changed[i] == device)
            streams->changed[i--] = streams->changed[--streams->changed_count];
}

/* ---- the rest of what the hub reports ---- */

static void on_event(void *context, const struct message_event *event)
{
    struct stream_hub *streams = context;
    if (streams->viewers == NULL)
        return;
    char *json memory_auto = hub_event_json(event);
    send_event(streams, KIND_EVENT, event->device, json);
}

/* The payload of bridge/logging, and when: a viewer that comes later gets the lines before as well. */
static char *log_line(enum log_level level, const char *message)
{
    char *json memory_auto = hub_log_json(level, message);
    size_t length = json == NULL ? 0 : strlen(json);
    if (length < 2)
        return NULL;
    char *line = memory_new(length + 64, 1);
    struct text text;
    text_init(&text, line, length + 64);
    text_append(&text, "%.*s,\"time\":\"", (int)length - 1, json); /* without its closing brace */
    text_append_time(&text, clock_wall_ms(), true);
    text_append(&text, "\"}");
    return line;
}

static void on_log(void *context, enum log_level level, const char *message)
{
    struct stream_hub *streams = context;
    char *line = log_line(level, message);
    if (line == NULL)
        return;
    send_event(streams, KIND_LOG, NULL, line);
    char **place = &streams->log[streams->log_next++ % STREAM_LOG_LINES];
    free(*place);
    *place = line;
}

static void on_health(void *context)
{
    struct stream_hub *streams = context;
    if (streams->viewers == NULL)
        return;
    char *json memory_auto = hub_health_json(streams->hub);
    send_event(streams, KIND_HEALTH, NULL, json);
}

static void on_devices(void *context)
{
    send_event(context, KIND_DEVICES, NULL, "{}");
}

static void on_job(void *context, const char *json)
{
    send_event(context, KIND_JOB, NULL, json);
}

/* ---- one viewer ---- */

static ssize_t read_viewer(void *context, char *bytes, size_t size)
{
    struct viewer *viewer = context;
    struct stream_hub *streams = viewer->streams;
    if (streams->closing || viewer->slow)
        return EXCHANGE_END;
    /* The first states one by one, as the viewer takes them: there may be thousands of devices. */
    while (viewer->length == 0 && viewer->synced < hub_device_count(streams->hub)) {
        const struct hub_device *device = hub_device_at(streams->hub, viewer->synced++);
        const char *id = hub_device_description(device)->id;
        struct text text;
        text_init(&text, streams->buffer, sizeof streams->buffer);
        if (wants(viewer, KIND_AVAILABILITY, id))
            append_availability(device, &text);
        if (wants(viewer, KIND_STATE, id) && append_state(device, &text))
            push(viewer, text.buffer, text.length);
    }
    if (viewer->length == 0)
        return EXCHANGE_WAIT;
    size_t taken = viewer->length < size ? viewer->length : size;
    memcpy(bytes, viewer->backlog, taken);
    viewer->length -= taken;
    memmove(viewer->backlog, viewer->backlog + taken, viewer->length);
    if (viewer->length == 0) {
        free(viewer->backlog);
        viewer->backlog = NULL;
        viewer->capacity = 0;
    }
    return (ssize_t)taken;
}

static void end_viewer(void *context)
{
    struct viewer *viewer = context;
    struct stream_hub *streams = viewer->streams;
    struct viewer **place = &streams->viewers;
    while (*place != viewer)
        place = &(*place)->next;
    *place = viewer->next;
    streams->viewer_count--;
    free(viewer->backlog);
    free(viewer);
}

/* "state,log" to bits; false if a word is none. */
static bool parse_kinds(const char *list, unsigned *kinds)
{
    *kinds = 0;
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        int kind = 0;
        while (kind < KINDS &&
               (strlen(kind_names[kind]) != length || strncmp(kind_names[kind], list, length) != 0))
            kind++;
        if (kind == KINDS)
            return false;
        *kinds |= 1u << kind;
        list += length + (list[length] == ',' ? 1 : 0);
    }
    return *kinds != 0;
}

/* False if it was answered with an error. */
static bool read_parameters(struct stream_hub *streams, struct exchange *exchange,
                            struct viewer *viewer)
{
    size_t count;
    const struct exchange_parameter *parameters = exchange_parameters(exchange, &count);
    for (size_t i = 0; i < count; i++) {
        const char *value = parameters[i].value;
        if (strcmp(parameters[i].name, "device") == 0) {
            if (hub_find(streams->hub, value) == NULL) {
                exchange_reply_error(exchange, 404, "There is no device with that id.");
                return false;
            }
            (void)snprintf(viewer->device, sizeof viewer->device, "%s", value);
        } else if (strcmp(parameters[i].name, "events") != 0) {
            exchange_reply_error(exchange, 400, "stream has the parameters device and events.");
            return false;
        } else if (!parse_kinds(value, &viewer->kinds)) {
            exchange_reply_error(exchange, 400,
                                 "events is a list of some of state, availability, event, log, "
                                 "health, devices and job, with commas between them.");
            return false;
        }
    }
    return true;
}

static void push_log(struct viewer *viewer)
{
    const struct stream_hub *streams = viewer->streams;
    for (size_t i = 0; i < STREAM_LOG_LINES; i++) {
        const char *line = streams->log[(streams->log_next + i) % STREAM_LOG_LINES];
        char buffer[4096];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        text_append(&text, "event: log\ndata: %s\n\n", line == NULL ? "" : line);
        if (line != NULL && !text.cut)
            push(viewer, text.buffer, text.length);
    }
}

static void push_health(struct viewer *viewer)
{
    char *json memory_auto = hub_health_json(viewer->streams->hub);
    if (json == NULL)
        return;
    push(viewer, "event: health\ndata: ", 20);
    push(viewer, json, strlen(json));
    push(viewer, "\n\n", 2);
}

static void push_job(struct viewer *viewer)
{
    const char *json = hub_job_json(viewer->streams->hub);
    push(viewer, "event: job\ndata: ", 17);
    push(viewer, json, strlen(json));
    push(viewer, "\n\n", 2);
}

void stream_begin(struct stream_hub *streams, struct exchange *exchange)
{
    struct viewer *viewer = memory_new(1, sizeof *viewer);
    *viewer = (struct viewer){.streams = streams, .exchange = exchange, .kinds = (1u << KINDS) - 1};
    if (streams->viewer_count == STREAM_VIEWERS_MAX) {
        exchange_reply_error(exchange, 503, "64 streams are open already; try again later.");
        free(viewer);
        return;
    }
    if (!read_parameters(streams, exchange, viewer)) {
        free(viewer);
        return;
    }
    viewer->next = streams->viewers;
    streams->viewers = viewer;
    streams->viewer_count++;
    exchange_set_header(exchange, "X-Accel-Buffering", "no"); /* a proxy must not wait for more */
    exchange_reply_stream(
        exchange, 200, "text/event-stream", BLOCK,
        &(struct exchange_source){.read = read_viewer, .end = end_viewer, .context = viewer});
    char retry[32];
    int length = snprintf(retry, sizeof retry, "retry: %d\n\n", RETRY_MS);
    push(viewer, retry, (size_t)length);
    if (wants(viewer, KIND_HEALTH, NULL))
        push_health(viewer);
    if (wants(viewer, KIND_LOG, NULL))
        push_log(viewer);
    if (wants(viewer, KIND_JOB, NULL))
        push_job(viewer);
}

/* ---- opening and closing ---- */

/* So that a peer that is gone is noticed, and proxies do not close a quiet connection. */
static void on_alive(uv_timer_t *timer)
{
    struct stream_hub *streams = timer->data;
    for (struct viewer *viewer = streams->viewers; viewer != NULL; viewer = viewer->next)
        push(viewer, ":\n\n", 3);
}

static uv_timer_t *new_timer(struct stream_hub *streams, uv_loop_t *loop)
{
    uv_timer_t *timer = memory_new(1, sizeof *timer);
    (void)uv_timer_init(loop, timer);
    timer->data = streams;
    return timer;
}

struct stream_hub *stream_open(uv_loop_t *loop, struct hub *hub)
{
    struct stream_hub *streams = memory_new(1, sizeof *streams);
    streams->hub = hub;
    streams->pace = new_timer(streams, loop);
    streams->alive = new_timer(streams, loop);
    (void)uv_timer_start(streams->alive, on_alive, STREAM_ALIVE_MS, STREAM_ALIVE_MS);
    (void)hub_subscribe(hub, &(struct hub_output){
                                 .context = streams,
                                 .state = on_state,
                                 .availability = on_availability,
                                 .device_removed = on_removed,
                                 .devices = on_devices,
                                 .event = on_event,
                                 .log = on_log,
                                 .job = on_job,
                                 .health = on_health,
                             });
    return streams;
}

static void free_timer(uv_handle_t *timer)
{
    free(timer);
}

void stream_end(struct stream_hub *streams)
{
    hub_unsubscribe(streams->hub, streams);
    streams->closing = true;
    for (struct viewer *viewer = streams->viewers; viewer != NULL; viewer = viewer->next)
        exchange_stream_ready(viewer->exchange);
    uv_close((uv_handle_t *)streams->pace, free_timer);
    uv_close((uv_handle_t *)streams->alive, free_timer);
}

void stream_free(struct stream_hub *streams)
{
    for (size_t i = 0; i < STREAM_LOG_LINES; i++)
        free(streams->log[i]);
    free(streams->changed);
    free(streams);
}
