/* SPDX-License-Identifier: MIT */
/*
 * The publisher and the announcer on a loop of their own, for tests against a real broker. Options
 * come as JSON in the first argument, commands as lines on stdin, what happens as lines on stdout:
 *
 *   publish RETAINED QOS TOPIC PAYLOAD...   events: event QOS TOPIC PAYLOAD...
 *   subscribe FILTER                        messages: prints the bridge's own messages to <base>/...
 *   state                                   publishes one state of every device
 *   health                                  prints {"connected":...,"loop_late_ms":...}
 *   close MS                                publisher_close and exit
 *
 *   connected | disconnected | message RETAINED TOPIC PAYLOAD | refresh | idle | health ... | closed MS
 */
#include "bridge/device/state.h"
#include "bridge/hub/messages.h"
#include "bridge/mqtt/announcer.h"
#include "bridge/mqtt/publisher.h"
#include "bridge/requests/payload.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEVICES_MAX 8
#define BEAT_MS 10

struct probe {
    uv_loop_t loop;
    uv_async_t wake;
    uv_poll_t input;
    uv_timer_t beat, idle_check;
    int64_t last_beat_ms, late_ms;
    bool was_idle;
    json_t *options;
    struct log *log;
    struct publisher *publisher;
    struct announcer *announcer;
    struct announcer_timing timing;
    const char *base;
    size_t device_count;
    struct device_description devices[DEVICES_MAX];
    const char *channel_names[DEVICES_MAX][DEVICE_CHANNELS_MAX];
    const struct device_description *device_list[DEVICES_MAX];
    char line[70000];
    size_t length;
};

static const char *text_option(const struct probe *probe, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(probe->options, key));
    return text != NULL ? text : otherwise;
}

static int64_t number_option(const struct probe *probe, const char *key, int64_t otherwise)
{
    const json_t *number = json_object_get(probe->options, key);
    return json_is_integer(number) ? json_integer_value(number) : otherwise;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)printf("\n");
    (void)fflush(stdout);
}

/* "x" of <base>/bridge/request/x; NULL: it is another topic. */
static const char *request_of(const struct probe *probe, const char *topic)
{
    static const char levels[] = "/bridge/request/";
    size_t base = strlen(probe->base);
    bool own = strncmp(topic, probe->base, base) == 0 &&
               strncmp(topic + base, levels, sizeof levels - 1) == 0;
    return own ? topic + base + sizeof levels - 1 : NULL;
}

static void answer(struct probe *probe, const struct publisher_incoming *incoming, const char *name)
{
    struct payload request;
    struct error error = {.text = ""};
    enum status status =
        payload_parse(incoming->payload, incoming->payload_length, &request, &error);
    char *response = payload_response(status, NULL, 0, &error, request.transaction);
    char topic[512];
    (void)snprintf(topic, sizeof topic, "%s/bridge/response/%s", probe->base, name);
    publisher_event(probe->publisher, topic, response, strlen(response), 1);
    free(response);
    payload_free(&request);
}

static void on_incoming(void *context, const struct publisher_incoming *incoming)
{
    struct probe *probe = context;
    const char *name;
    bool announcers = probe->announcer != NULL && announcer_incoming(probe->announcer, incoming);
    switch (incoming->kind) {
    case PUBLISHER_CONNECTED:
        probe->was_idle = false;
        say("connected");
        break;
    case PUBLISHER_DISCONNECTED:
        say("disconnected");
        break;
    case PUBLISHER_MESSAGE:
        if (announcers)
            break;
        name = request_of(probe, incoming->topic);
        if (name != NULL)
            answer(probe, incoming, name);
        else
            say("message %d %s %.*s", incoming->retained, incoming->topic,
                (int)incoming->payload_length, incoming->payload);
        break;
    }
}

static void on_wake(uv_async_t *wake)
{
    struct probe *probe = wake->data;
    publisher_poll(probe->publisher, on_incoming, probe);
}

static void wake(void *context)
{
    struct probe *probe = context;
    (void)uv_async_send(&probe->wake);
}

static void on_beat(uv_timer_t *beat)
{
    struct probe *probe = beat->data;
    int64_t now = clock_boot_ms();
    int64_t late = now - probe->last_beat_ms - BEAT_MS;
    if (late > probe->late_ms)
        probe->late_ms = late;
    probe->last_beat_ms = now;
}

static void on_idle_check(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    bool idle = announcer_idle(probe->announcer);
    if (idle && !probe->was_idle)
        say("idle");
    probe->was_idle = idle;
}

static void on_refresh(void *context)
{
    (void)context;
    say("refresh");
}

static void publish_states(struct probe *probe)
{
    for (size_t i = 0; i < probe->device_count; i++) {
        struct channel_values values[DEVICE_CHANNELS_MAX] = {{.flow = FLOW_UNKNOWN}};
        for (size_t c = 0; c < probe->devices[i].channel_count; c++)
            values[c] = (struct channel_values){
                .voltage_mv = {true, 231449},
                .power_mw = {true, -211200},
                .energy_uwh = {true, 4711203999999},
                .flow = FLOW_PRODUCING,
            };
        struct device_state state = {
            .channels = values, .last_seen_wall_ms = clock_wall_ms(), .report_interval_ms = 5000};
        static char buffer[16384];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        device_state_json(&probe->devices[i], &state, &text);
        char topic[256];
        (void)snprintf(topic, sizeof topic, "%s/%s", probe->base, probe->devices[i].id);
        publisher_publish(probe->publisher, topic, buffer, text.length, false, 0);
        (void)snprintf(topic, sizeof topic, "%s/%s/availability", probe->base,
                       probe->devices[i].id);
        publisher_publish(probe->publisher, topic, MESSAGE_ONLINE, strlen(MESSAGE_ONLINE), true, 1);
    }
}

static void publish_own(struct probe *probe, const char *leaf, char *payload, bool retained)
{
    char topic[256];
    (void)snprintf(topic, sizeof topic, "%s/bridge/%s", probe->base, leaf);
    if (retained)
        publisher_publish(probe->publisher, topic, payload, strlen(payload), true, 1);
    else
        publisher_event(probe->publisher, topic, payload, strlen(payload), 0);
    free(payload);
}

static void publish_messages(struct probe *probe)
{
    json_t *config = json_pack("{s:{s:s,s:s,s:s}}", "mqtt", "server", "mqtt://x", "user", "me",
                               "password", "hunter2");
    struct message_info info = {.version = "1.2.3",
                                .bridge_id = "home",
                                .started_wall_ms = 1000,
                                .now_wall_ms = clock_wall_ms(),
                                .log_level = LOG_LEVEL_INFO,
                                .config = config};
    publish_own(probe, "info", message_bridge_info(&info), true);
    json_decref(config);
    struct message_device *list memory_auto = memory_new(probe->device_count, sizeof *list);
    for (size_t i = 0; i < probe->device_count; i++)
        list[i].description = probe->device_list[i];
    publish_own(probe, "devices", message_bridge_devices(list, probe->device_count), true);
    const char *problems[] = {"The disk is full."};
    struct message_device_health device = {
        .id = "house", .online = true, .readings = 7, .problems = PROBLEM_SILENT | PROBLEM_NOISY};
    struct message_health health = {.now_wall_ms = clock_wall_ms(),
                                    .uptime_ms = 5000,
                                    .memory_bytes = 9 << 20,
                                    .mqtt_connected = true,
                                    .problems = problems,
                                    .problem_count = 1,
                                    .devices = &device,
                                    .device_count = 1};
    publish_own(probe, "health", message_bridge_health(&health), true);
    struct message_event event = {.type = "chip_reset",
                                  .wall_ms = clock_wall_ms(),
                                  .device = "house",
                                  .channel = "a",
                                  .message = "The chip restarted."};
    publish_own(probe, "event", message_bridge_event(&event), false);
    publish_own(probe, "logging", message_bridge_logging(LOG_LEVEL_WARNING, "A cut \xc3"), false);
}

static void print_health(struct probe *probe)
{
    struct publisher_health health;
    publisher_health(probe->publisher, &health);
    say("health {\"connected\":%s,\"published\":%" PRIu64 ",\"received\":%" PRIu64
        ",\"dropped\":%" PRIu64 ",\"reconnects\":%" PRIu64 ",\"progress\":%" PRIu64
        ",\"loop_late_ms\":%" PRId64 "}",
        health.connected ? "true" : "false", health.published, health.received, health.dropped,
        health.reconnects, health.progress, probe->late_ms);
    probe->late_ms = 0;
}

static void finish(struct probe *probe, int64_t timeout_ms)
{
    if (probe->announcer != NULL)
        announcer_close(probe->announcer);
    probe->announcer = NULL;
    int64_t start = clock_boot_ms();
    publisher_close(probe->publisher, timeout_ms);
    say("closed %" PRId64, clock_boot_ms() - start);
    uv_close((uv_handle_t *)&probe->wake, NULL);
    uv_close((uv_handle_t *)&probe->input, NULL);
    uv_close((uv_handle_t *)&probe->beat, NULL);
    uv_close((uv_handle_t *)&probe->idle_check, NULL);
}

static void obey(struct probe *probe, char *line)
{
    char topic[512];
    int retained = 0;
    int qos = 0;
    int at = 0;
    if (sscanf(line, "publish %d %d %511s %n", &retained, &qos, topic, &at) == 3)
        publisher_publish(probe->publisher, topic, line + at, strlen(line + at), retained != 0,
                          qos);
    else if (sscanf(line, "event %d %511s %n", &qos, topic, &at) == 2)
        publisher_event(probe->publisher, topic, line + at, strlen(line + at), qos);
    else if (sscanf(line, "subscribe %511s", topic) == 1)
        publisher_subscribe(probe->publisher, topic, 1);
    else if (strcmp(line, "messages") == 0)
        publish_messages(probe);
    else if (strcmp(line, "state") == 0)
        publish_states(probe);
    else if (strcmp(line, "health") == 0)
        print_health(probe);
    else if (sscanf(line, "close %d", &qos) == 1)
        finish(probe, qos);
}

static void on_input(uv_poll_t *input, int status, int events)
{
    (void)status;
    (void)events;
    struct probe *probe = input->data;
    ssize_t got =
        read(STDIN_FILENO, probe->line + probe->length, sizeof probe->line - probe->length - 1);
    if (got <= 0) {
        finish(probe, 2000);
        return;
    }
    probe->length += (size_t)got;
    char *end;
    while ((end = memchr(probe->line, '\n', probe->length)) != NULL) {
        *end = '\0';
        char *line = memory_copy_text(probe->line);
        size_t used = (size_t)(end - probe->line) + 1;
        memmove(probe->line, probe->line + used, probe->length - used);
        probe->length -= used;
        obey(probe, line);
        free(line);
    }
}

static void read_devices(struct probe *probe)
{
    const char *id;
    json_t *channels;
    json_object_foreach(json_object_get(probe->options, "devices"), id, channels)
    {
        size_t i = probe->device_count++;
        size_t index;
        json_t *channel;
        json_array_foreach(channels, index, channel)
        {
            probe->channel_names[i][index] = json_string_value(channel);
        }
        probe->devices[i] = (struct device_description){
            .id = id,
            .name = "A meter",
            .driver = "simulator",
            .manufacturer = "Shanghai Belling",
            .model = "BL0942",
            .channel_count = json_array_size(channels),
            .channel_names = probe->channel_names[i],
            .homeassistant = true,
            .state_as_json = true,
        };
        probe->device_list[i] = &probe->devices[i];
        if (probe->device_count == DEVICES_MAX)
            break;
    }
}

static void create_announcer(struct probe *probe)
{
    if (json_object_get(probe->options, "memory") == NULL)
        return;
    probe->timing = (struct announcer_timing){
        .gap_ms = number_option(probe, "gap_ms", 50),
        .settle_ms = number_option(probe, "settle_ms", 300),
        .birth_min_ms = number_option(probe, "birth_min_ms", 50),
        .birth_max_ms = number_option(probe, "birth_max_ms", 150),
        .birth_quiet_ms = number_option(probe, "birth_quiet_ms", 500),
        .refresh_min_ms = 50,
        .refresh_max_ms = 100,
    };
    struct announcer_options options = {
        .context = {.base_topic = probe->base,
                    .bridge_id = text_option(probe, "bridge_id", "home"),
                    .prefix = text_option(probe, "prefix", "homeassistant"),
                    .version = "1.2.3",
                    .device_mode = strcmp(text_option(probe, "mode", "device"), "device") == 0},
        .enabled = number_option(probe, "enabled", 1) != 0,
        .status_topic = "homeassistant/status",
        .memory_path = text_option(probe, "memory", ""),
        .device_count = probe->device_count,
        .devices = probe->device_list,
        .refresh = on_refresh,
        .refresh_context = probe,
        .timing = &probe->timing,
        .log = probe->log,
    };
    probe->announcer = announcer_create(&probe->loop, &options, probe->publisher);
}

static enum status create_publisher(struct probe *probe, struct error *error)
{
    char topic[256];
    (void)snprintf(topic, sizeof topic, "%s/bridge/state", probe->base);
    struct publisher_options options = {
        .server = text_option(probe, "server", ""),
        .client_id = text_option(probe, "client_id", "probe"),
        .user = text_option(probe, "user", ""),
        .password = text_option(probe, "password", ""),
        .keepalive_ms = number_option(probe, "keepalive_ms", 30000),
        .version = (int)number_option(probe, "version", 4),
        .ca = text_option(probe, "ca", ""),
        .cert = text_option(probe, "cert", ""),
        .key = text_option(probe, "key", ""),
        .insecure = number_option(probe, "insecure", 0) != 0,
        .will_topic = topic,
        .will_payload = MESSAGE_OFFLINE,
        .birth_payload = MESSAGE_ONLINE,
        .retry_ms = number_option(probe, "retry_ms", 200),
        .log = probe->log,
        .wake = wake,
        .wake_context = probe,
    };
    return publisher_create(&options, &probe->publisher, error);
}

static void start_loop(struct probe *probe)
{
    uv_loop_init(&probe->loop);
    uv_async_init(&probe->loop, &probe->wake, on_wake);
    uv_poll_init(&probe->loop, &probe->input, STDIN_FILENO);
    uv_timer_init(&probe->loop, &probe->beat);
    uv_timer_init(&probe->loop, &probe->idle_check);
    probe->wake.data = probe->input.data = probe->beat.data = probe->idle_check.data = probe;
    uv_poll_start(&probe->input, UV_READABLE, on_input);
}

int main(int argc, char **argv)
{
    static struct probe probe;
    struct error error = {.text = ""};
    if (argc < 2 || (probe.options = json_loads(argv[1], 0, NULL)) == NULL)
        return STATUS_USAGE;
    probe.base = text_option(&probe, "base", "bl2mqtt");
    probe.log = log_create(LOG_LEVEL_DEBUG);
    start_loop(&probe);
    read_devices(&probe);
    enum status status = create_publisher(&probe, &error);
    if (status == STATUS_OK) {
        create_announcer(&probe);
        status = publisher_start(probe.publisher, &error);
    }
    if (status == STATUS_OK) {
        probe.last_beat_ms = clock_boot_ms();
        uv_timer_start(&probe.beat, on_beat, BEAT_MS, BEAT_MS);
        if (probe.announcer != NULL)
            uv_timer_start(&probe.idle_check, on_idle_check, BEAT_MS, BEAT_MS);
        uv_run(&probe.loop, UV_RUN_DEFAULT);
        uv_loop_close(&probe.loop);
    } else {
        say("error %s", error.text);
    }
    log_free(probe.log);
    json_decref(probe.options);
    return (int)status;
}
