/* SPDX-License-Identifier: MIT */
/* From a checked configuration to the running service, and its clean stop. */
#include "bridge/service/first_id.h"
#include "bridge/service/service_parts.h"

#include "bridge/config/adopted.h"
#include "bridge/service/apply.h"
#include "bridge/service/broker.h"
#include "bridge/service/roster.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/version.h"

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define HISTORY_CLOSE_MS 10000
#define PUBLISHER_CLOSE_MS 3000
#define QUEUE_LIMIT 65536 /* readings; some 6 MB, nine hours of two channels at 1 Hz */

/* Paths in the configuration are relative to the data directory. */
static enum status in_data_dir(const struct service *service, const char *name, char path[PATH_MAX],
                               struct error *error)
{
    int length = name[0] == '/'
                     ? snprintf(path, PATH_MAX, "%s", name)
                     : snprintf(path, PATH_MAX, "%s/%s", service->config->bridge.data_dir, name);
    if (length < 0 || length >= PATH_MAX)
        return error_set(error, STATUS_USAGE, "The path of %s in bridge.data_dir is too long.",
                         name);
    return STATUS_OK;
}

/* "" for backups beside the history. */
static enum status backup_folder(const struct service *service, char folder[PATH_MAX],
                                 struct error *error)
{
    const char *name = service->config->history.backup_folder;
    return name[0] == '\0' ? STATUS_OK : in_data_dir(service, name, folder, error);
}

static void read_boot_id(char boot_id[40])
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    boot_id[0] = '\0'; /* then every start counts as a reboot: safe, only less exact */
    if (file_read("/proc/sys/kernel/random/boot_id", 64, &bytes, &length, NULL) == STATUS_OK)
        (void)snprintf(boot_id, 40, "%.*s", (int)strcspn(bytes, "\n"), bytes);
}

/* The configuration's -1, unlimited, is the history's 0. */
static int64_t keep_ms(int64_t configured_ms)
{
    return configured_ms < 0 ? 0 : configured_ms;
}

static enum status open_history(struct service *service, struct error *error)
{
    char path[PATH_MAX];
    enum status status = file_make_folder(service->config->bridge.data_dir, error);
    if (status == STATUS_OK)
        status = in_data_dir(service, "preferences.json", path, error);
    if (status != STATUS_OK)
        return status;
    service->preferences = preferences_open(path, service->log);
    status = in_data_dir(service, "announced.json", path, error);
    if (status == STATUS_OK)
        first_ids_recover(service->preferences, path, service->config->bridge.id);

    status = in_data_dir(service, service->config->history.path, path, error);
    char folder[PATH_MAX] = "";
    if (status == STATUS_OK)
        status = backup_folder(service, folder, error);
    if (status != STATUS_OK)
        return status;
    int64_t keep_hour_ms = service->config->history.keep_hour_ms;
    if (keep_hour_ms > 0 && service->config->history.keep_minute_ms > keep_hour_ms)
        keep_hour_ms = service->config->history.keep_minute_ms;
    if (service->config->history.keep_minute_ms < 0)
        keep_hour_ms = -1;
    const struct history_options options = {
        .path = path,
        .backup_folder = folder,
        .commit_interval_ms = service->config->history.commit_interval_ms,
        .clock_wait_ms = service->config->history.clock_wait_ms,
        .queue_limit = QUEUE_LIMIT,
        .keep_raw_ms = keep_ms(service->config->history.keep_raw_ms),
        .keep_minute_ms = keep_ms(service->config->history.keep_minute_ms),
        .keep_hour_ms = keep_ms(keep_hour_ms),
        .log = service->log,
        .wake = service_wake,
        .wake_context = service,
    };
    service->history_path = memory_copy_text(path);
    status = history_open(&options, &service->history, error);
    if (status != STATUS_OK)
        return status;
    const struct sinks_options sinks = {
        .config = service->config,
        .history_path = path,
        .history = service->history,
    };
    return sinks_create(&sinks, &service->sinks, error);
}

static void on_backup_event(void *context, const char *kind, const char *message)
{
    const struct service *service = context;
    notices_event(service->notices, LOG_LEVEL_DEBUG, kind, message); /* it is in the log already */
}

static enum status create_backups(struct service *service, struct error *error)
{
    const struct config_history *history = &service->config->history;
    char path[PATH_MAX];
    char folder[PATH_MAX] = "";
    enum status status = in_data_dir(service, history->path, path, error);
    if (status == STATUS_OK)
        status = backup_folder(service, folder, error);
    if (status == STATUS_OK && folder[0] != '\0')
        status = file_make_folder(folder, error);
    if (status != STATUS_OK)
        return status;
    const struct backups_options options = {
        .path = path,
        .folder = folder,
        .time = history->backup_time,
        .keep = history->backup_keep,
        .log = service->log,
        .event = on_backup_event,
        .context = service,
    };
    return backups_create(&service->loop, &options, &service->backups, error);
}

static enum status create_publisher(struct service *service, struct error *error)
{
    const struct config_mqtt *mqtt = &service->config->mqtt;
    char will_topic[256], client_id[64];
    (void)snprintf(client_id, sizeof client_id, "bl2mqtt_%s", service->config->bridge.id);
    (void)snprintf(will_topic, sizeof will_topic, "%s/bridge/state", mqtt->base_topic);
    struct publisher_options options = broker_options(mqtt);
    options.client_id = mqtt->client_id[0] != '\0' ? mqtt->client_id : client_id;
    options.will_topic = will_topic;
    options.will_payload = MESSAGE_OFFLINE;
    options.birth_payload = MESSAGE_ONLINE;
    options.log = service->log;
    options.wake = service_wake;
    options.wake_context = service;
    return publisher_create(&options, &service->publisher, error);
}

static void create_co2(struct service *service, const struct prices_options *prices)
{
    struct prices_options options = *prices;
    options.kind = INTERVAL_CO2;
    options.changed = service_co2_changed;
    service->co2 = prices_create(&options);
    service->co2_topic = co2_topic_create(service->publisher, service->config->mqtt.base_topic,
                                          prices_known(service->co2));
}

static enum status create_devices(struct service *service, struct error *error)
{
    const struct config *config = service->config;
    service_take_tariffs(service);
    service->pasts = past_reader_create(&service->loop, service->history_path);
    service->virtuals = virtuals_create();
    const struct config *first = service->first_config;
    const struct prices_options prices = {
        .loop = &service->loop,
        .kind = INTERVAL_PRICE,
        .data_dir = first->bridge.data_dir,
        .tariffs = &service->tariffs,
        .publisher = service->publisher,
        .history_path = service->history_path,
        .log = service->log,
        .changed = service_prices_changed,
        .event = service_prices_event,
        .context = service,
    };
    service->prices = prices_create(&prices);
    service->price_topic = price_topic_create(service->publisher, service->config->mqtt.base_topic,
                                              &service->tariffs, prices_known(service->prices));
    create_co2(service, &prices);
    service_follow_prices(service);
    service->outputs = (struct service_outputs){
        .history = service->history,
        .hub = service->hub,
        .preferences = service->preferences,
        .log = service->log,
        .boot_id = service->boot_id,
        .pasts = service->pasts,
        .tariffs = &service->tariffs,
        .market = prices_known(service->prices),
        .events = service->events,
        .updates = config->openbeken.images[0] != '\0',
        .statistics = service_statistics,
        .shifted = service_totals_shifted,
        .context = service,
    };
    return service_add_devices(service, error);
}

static void adopted_file(void *context, const char *device, char *path, size_t size)
{
    const struct service *service = context;
    const struct config *config = service->config;
    path[0] = '\0';
    for (size_t i = 0; i < config->device_count; i++)
        if (config->devices[i].adopted && strcmp(config->devices[i].id, device) == 0)
            (void)snprintf(path, size, "%s/" ADOPTED_FOLDER "/%s.yaml", config->bridge.data_dir,
                           device);
}

static void on_joining(void *context, const char *device)
{
    const struct service *service = context;
    roster_add(service->topics_path, service->first_config->mqtt.base_topic, device, service->log);
}

static enum status apply(void *context, struct config *after, const struct settings_rename *rename,
                         struct settings_result *result, struct error *error)
{
    return service_apply(context, after, rename, result, error);
}

static void create_settings(struct service *service)
{
    const struct settings_options options = {
        .path = service->config_path,
        .rules = service->first_config,
        .apply = apply,
        .adopted_file = adopted_file,
        .joining = on_joining,
        .context = service,
        .log = service->log,
    };
    service->settings = settings_create(&service->loop, &options);
    handlers_set_settings(service->handlers, service->settings);
}

/* The base of the HTTP API, for answers that are too long for MQTT; "" if it is off. */
static void http_address(const struct config *config, char *address, size_t size)
{
    address[0] = '\0';
    if (strcmp(config->web.listen, "off") != 0)
        (void)snprintf(address, size, "http://%s/api/v1", config->web.listen);
}

static void refresh(void *context)
{
    const struct service *service = context;
    announcer_refresh(service->announcer);
}

static size_t purge(void *context)
{
    const struct service *service = context;
    return announcer_purge(service->announcer);
}

static enum status create_requests(struct service *service, struct error *error)
{
    char address[300], path[PATH_MAX];
    enum status status = in_data_dir(service, service->config->history.path, path, error);
    if (status != STATUS_OK)
        return status;
    http_address(service->config, address, sizeof address);
    const struct handlers_options handlers = {
        .loop = &service->loop,
        .config = (const struct config *const *)&service->config,
        .tariffs = &service->tariffs,
        .config_path = service->config_path,
        .history_path = path,
        .history = service->history,
        .hub = service->hub,
        .backups = service->backups,
        .log = service->log,
        .refresh = refresh,
        .purge = purge,
        .reload = service_reload,
        .context = service,
    };
    service->handlers = handlers_create(&handlers);
    const struct requests_options requests = {
        .handlers = &service_handlers,
        .context = service->handlers,
        .device = service_meant_device,
        .device_context = service,
        .http_address = address[0] != '\0' ? address : NULL,
        .log = service->log,
    };
    service->requests = requests_create(&requests);
    return STATUS_OK;
}

static void create_hub(struct service *service)
{
    service->hub = hub_create(service_flush_soon, service);
    const struct notices_options notices = {
        .history = service->history,
        .hub = service->hub,
        .sinks = service->sinks,
        .events = service->events,
        .log = service->log,
    };
    service->notices = notices_create(&notices);
}

static void create_documents(struct service *service)
{
    const struct documents_options options = {
        .config = (const struct config *const *)&service->config,
        .hub = service->hub,
        .history = service->history,
        .publisher = service->publisher,
        .sinks = service->sinks,
        .backups = service->backups,
        .prices = (const struct prices *const *)&service->prices,
        .co2 = (const struct prices *const *)&service->co2,
        .log = service->log,
        .started_wall_ms = service->started_wall_ms,
        .started_boot_ms = service->started_boot_ms,
        .own_topics = (const struct own_topics *const *)&service->own_topics,
        .handlers = (const struct handlers *const *)&service->handlers,
        .backfills = (const struct backfills *const *)&service->backfills,
    };
    service->documents = documents_create(&options);
}

static void on_birth(void *context)
{
    const struct service *service = context;
    state_output_refresh(service->state_output);
    backfills_soon(service->backfills);
}

static bool find_device(void *context, const char *device_id, bool *retained)
{
    const struct service *service = context;
    const struct hub_device *device = hub_find(service->hub, device_id);
    *retained =
        device != NULL && service->config->mqtt.retain && hub_device_description(device)->retain;
    return device != NULL;
}

static void forget_device(void *context, const char *device_id)
{
    const struct service *service = context;
    announcer_forget(service->announcer, device_id);
}

static bool is_announced(void *context, const char *device_id)
{
    const struct service *service = context;
    return announcer_leaving(service->announcer, device_id);
}

static void on_own_problems(void *context)
{
    const struct service *service = context;
    hub_health_changed(service->hub);
}

static void create_own_topics(struct service *service)
{
    const struct own_topics_options options = {
        .publisher = service->publisher,
        .base_topic = service->config->mqtt.base_topic,
        .bridge_id = service->config->bridge.id,
        .log = service->log,
        .find = find_device,
        .forget = forget_device,
        .announced = is_announced,
        .changed = on_own_problems,
        .context = service,
    };
    service->own_topics = own_topics_create(&service->loop, &options);
}

static void create_outputs(struct service *service)
{
    const char *base_topic = service->config->mqtt.base_topic;
    const struct state_output_options states = {
        .hub = service->hub,
        .publisher = service->publisher,
        .base_topic = base_topic,
        .own = service->own_topics,
        .log = service->log,
    };
    service->bridge_output =
        bridge_output_create(service->hub, service->publisher, base_topic, service->log);
    service->state_output = state_output_create(&service->loop, &states);
    const struct request_door_options door = {
        .requests = service->requests,
        .publisher = service->publisher,
        .base_topic = base_topic,
        .log = service->log,
        .set = service_set,
        .get = service_get,
        .context = service,
    };
    service->door = mqtt_door_create(&door);
}

static enum status create_web(struct service *service, struct error *error)
{
    char path[PATH_MAX], folder[PATH_MAX] = "";
    enum status status = in_data_dir(service, service->config->history.path, path, error);
    if (status == STATUS_OK)
        status = backup_folder(service, folder, error);
    if (status != STATUS_OK)
        return status;
    const struct web_output_options options = {
        .config = service->config,
        .history_path = path,
        .backup_folder = folder,
        .tariffs = &service->tariffs,
        .loop = &service->loop,
        .hub = service->hub,
        .requests = service->requests,
        .log = service->log,
    };
    service->web = web_output_open(&options);
    return STATUS_OK;
}

static enum status create_announcer(struct service *service, struct error *error)
{
    const struct config *config = service->config;
    char path[PATH_MAX];
    enum status status = in_data_dir(service, "announced.json", path, error);
    if (status != STATUS_OK)
        return status;
    const struct device_description **devices memory_auto =
        memory_new(service->device_count, sizeof *devices);
    for (size_t i = 0; i < service->device_count; i++)
        devices[i] = hub_device_description(service_device_in_hub(service->devices[i]));
    const struct announcer_options options = {
        .context = {.base_topic = config->mqtt.base_topic,
                    .bridge_id = config->bridge.id,
                    .prefix = config->homeassistant.discovery_prefix,
                    .version = program_version,
                    .device_mode = config->homeassistant.device_discovery,
                    .currency = service->currency,
                    .co2 = prices_configured(service->co2)},
        .enabled = config->homeassistant.enabled,
        .status_topic = config->homeassistant.status_topic,
        .memory_path = path,
        .device_count = service->device_count,
        .devices = devices,
        .refresh = on_birth,
        .refresh_context = service,
        .log = service->log,
    };
    service->announcer = announcer_create(&service->loop, &options, service->publisher);
    return STATUS_OK;
}

/* <base>/<device> or <base>/bridge, of this base topic or of an earlier one. */
static void clear_topics(void *context, const char *topic)
{
    const struct service *service = context;
    char base[512];
    const char *discovery = strstr(topic, ROSTER_DISCOVERY);
    const char *end = discovery != NULL ? discovery : strrchr(topic, '/');
    if (end == NULL || (size_t)(end - topic) >= sizeof base)
        return;
    (void)snprintf(base, sizeof base, "%.*s", (int)(end - topic), topic);
    if (discovery != NULL)
        announcer_old_prefix(service->announcer, base);
    else
        own_topics_old_base(service->own_topics, base);
    if (discovery == NULL && strcmp(end + 1, "bridge") != 0)
        own_topics_left(service->own_topics, topic, true);
}

static enum status forget_removed_devices(struct service *service, struct error *error)
{
    enum status status = in_data_dir(service, "topics.json", service->topics_path, error);
    if (status == STATUS_OK)
        roster_update(service->topics_path, service->config, clear_topics, service, service->log);
    return status;
}

/* Start and stop are on record, so that times without readings can be explained. */
static enum status begin_history(struct service *service, struct error *error)
{
    enum status status = history_start(service->history, error);
    if (status != STATUS_OK)
        return status;
    service->history_started = true;
    char text[96];
    (void)snprintf(text, sizeof text, "bl2mqtt %.64s started.", program_version);
    history_put_event(service->history, 0, clock_wall_ms(), "started", text);
    return sinks_start(service->sinks, error);
}

static void create_sources(struct service *service)
{
    struct driver_sink sink = service_sink;
    sink.context = service;
    service->sources =
        sources_create(&service->loop, service->config->homeassistant.discovery_prefix, &sink,
                       service->publisher, service->log);
    service_read_devices(service);
}

/* What stands on the disk, the loop and the connection, before the first device. */
static enum status start_ground(struct service *service, struct error *error)
{
    enum status status = service_start_loop(service, error);
    if (status == STATUS_OK)
        status = open_history(service, error);
    if (status != STATUS_OK)
        return status;
    create_hub(service);
    status = create_backups(service, error);
    if (status == STATUS_OK)
        status = create_publisher(service, error);
    if (status != STATUS_OK)
        return status;
    service->relay = log_relay_create(service->log, service_wake, service);
    create_documents(service);
    return create_requests(service, error);
}

enum status service_start(struct service *service, struct error *error)
{
    enum status status = start_ground(service, error);
    if (status == STATUS_OK)
        status = create_devices(service, error);
    if (status == STATUS_OK)
        status = begin_history(service, error);
    if (status == STATUS_OK)
        status = create_announcer(service, error);
    if (status != STATUS_OK)
        return status;
    create_own_topics(service);
    status = forget_removed_devices(service, error);
    if (status != STATUS_OK)
        return status;
    create_settings(service);
    create_outputs(service);
    status = create_web(service, error);
    if (status == STATUS_OK)
        status = publisher_start(service->publisher, error);
    if (status != STATUS_OK)
        return status;
    service_start_optional(service);
    create_sources(service);
    hub_flush(service->hub);
    /* What was built for these messages is several times what stays; with thousands of devices it is
     * worth giving back. */
    (void)malloc_trim(0);
    service_start_timers(service);
    return STATUS_OK;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Whoever waits for an answer gets it, and the outputs leave before the devices do: on the broker they stay. */
static void finish_outputs(struct service *service)
{
    settings_close(service->settings);
    updates_close(service->updates);
    backfills_close(service->backfills);
    module_facts_free(service->facts);
    backups_close(service->backups);
    handlers_close(service->handlers);
    requests_free(service->requests);
    handlers_free(service->handlers);
    web_output_close(service->web);
    mqtt_door_free(service->door);
    announcer_close(service->announcer);
    if (service->end == SERVICE_STOPPED)
        state_output_all_offline(service->state_output);
    own_topics_close(service->own_topics);
    state_output_close(service->state_output);
    bridge_output_free(service->bridge_output);
    sinks_close(service->sinks);
}

/* A stop that is asked for while the service begins anew must not get lost with this loop: what has arrived is
 * taken now, what arrives later waits for the next loop (service_start_loop). */
static void hold_stop_signals(struct service *service)
{
    sigset_t set;
    service_hold_signals(&set);
    if (service->running)
        (void)uv_run(&service->loop, UV_RUN_NOWAIT);
}

/* In this order: no more readings, commit them, say goodbye, and only then free what logged. */
void service_finish(struct service *service)
{
    hold_stop_signals(service);
    sources_close(service->sources);
    service->sources = NULL;
    for (size_t i = 0; service->history_started && i < service->device_count; i++)
        service_device_readings_end(service->devices[i]);
    finish_outputs(service);
    if (service->history_started)
        history_put_event(service->history, 0, clock_wall_ms(), "stopped", "bl2mqtt stopped.");
    if (service->history != NULL)
        history_close(service->history, HISTORY_CLOSE_MS);
    if (service->publisher != NULL)
        publisher_close(service->publisher, PUBLISHER_CLOSE_MS);
    log_relay_close(service->relay);
    for (size_t i = 0; i < service->device_count; i++)
        service_device_free(service->devices[i]);
    free(service->devices);
    past_reader_close(service->pasts);
    virtuals_free(service->virtuals);
    price_topic_free(service->price_topic);
    co2_topic_free(service->co2_topic);
    prices_close(service->prices);
    prices_close(service->co2);
    tariffs_release(service->tariffs);
    free(service->history_path);
    documents_free(service->documents);
    notices_free(service->notices);
    hub_free(service->hub);
    preferences_close(service->preferences);
    if (service->config != service->first_config)
        config_free(service->config);
    if (service->loop_ready) {
        uv_walk(&service->loop, close_handle, NULL);
        (void)uv_run(&service->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&service->loop);
    }
}

enum status service_run(struct config *config, const char *config_path, struct log *log,
                        enum service_end *end, struct error *error)
{
    struct service *service = memory_new(1, sizeof *service);
    service->config = service->first_config = config;
    service->config_path = config_path;
    service->log = log;
    service->started_wall_ms = clock_wall_ms();
    service->started_boot_ms = clock_boot_ms();
    service->events = event_gate_create();
    read_boot_id(service->boot_id);

    enum status status = service_start(service, error);
    if (status == STATUS_OK) {
        char running[128];
        (void)snprintf(running, sizeof running, "Running with %zu device(s) from %.80s.",
                       config->device_count, config_path);
        log_info(log, "bl2mqtt %s: %s", program_version, running);
        watchdog_ready(running);
        service->running = true;
        (void)uv_run(&service->loop, UV_RUN_DEFAULT);
        if (service->end == SERVICE_STOPPED)
            watchdog_stopping();
    }
    service_finish(service);
    *end = service->end;
    event_gate_free(service->events);
    free(service);
    return status;
}
