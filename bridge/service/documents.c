/* SPDX-License-Identifier: MIT */
#include "bridge/service/documents.h"

#include "bridge/config/json.h"
#include "bridge/requests/requests.h"
#include "bridge/service/service_device.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/version.h"

#include <uv.h>

#define PROBLEMS_MAX (4 + CONFIG_SINKS_MAX + PUBLISHER_PROBLEMS_MAX + OWN_TOPICS_PROBLEMS_MAX)

struct documents {
    struct documents_options options;
    json_t *config_schema, *request_schema;
    bool restart_required;
    /* What the last health points to. */
    struct history_health history;
    struct sink_health sinks[CONFIG_SINKS_MAX];
    char quarantine[640];
    char broker[PUBLISHER_PROBLEMS_MAX][PUBLISHER_PROBLEM_SIZE];
    char own[OWN_TOPICS_PROBLEMS_MAX][OWN_TOPICS_PROBLEM_SIZE];
    const char *problems[PROBLEMS_MAX];
};

static int64_t resident_bytes(void)
{
    size_t bytes = 0;
    return uv_resident_set_memory(&bytes) == 0 ? (int64_t)bytes : 0;
}

static void add_problem(struct documents *documents, struct message_health *health,
                        const char *problem)
{
    if (problem != NULL && problem[0] != '\0' && health->problem_count < PROBLEMS_MAX)
        documents->problems[health->problem_count++] = problem;
}

static void collect_problems(struct documents *documents, struct message_health *health,
                             const char *backup)
{
    const struct history_health *history = &documents->history;
    add_problem(documents, health, history->problem);
    history_quarantine_sentence(history, documents->quarantine, sizeof documents->quarantine);
    add_problem(documents, health, documents->quarantine);
    add_problem(documents, health, history->clock_awaited ? history->clock_message : NULL);
    for (size_t i = 0; i < sinks_count(documents->options.sinks); i++) {
        sinks_health(documents->options.sinks, i, &documents->sinks[i]);
        add_problem(documents, health, documents->sinks[i].problem);
    }
    add_problem(documents, health, backup);
    add_problem(documents, health, backfills_problem(*documents->options.backfills));
    const struct prices *prices = *documents->options.prices;
    add_problem(documents, health, prices == NULL ? NULL : prices_problem(prices));
    const struct prices *co2 = *documents->options.co2;
    add_problem(documents, health, co2 == NULL ? NULL : prices_problem(co2));
    size_t broker = publisher_problems(documents->options.publisher, documents->broker);
    for (size_t i = 0; i < broker; i++)
        add_problem(documents, health, documents->broker[i]);
    size_t own = own_topics_problems(*documents->options.own_topics, documents->own);
    for (size_t i = 0; i < own; i++)
        add_problem(documents, health, documents->own[i]);
    health->problems = documents->problems;
}

static void on_health(void *context, struct message_health *health)
{
    struct documents *documents = context;
    const struct documents_options *options = &documents->options;
    struct publisher_health mqtt;
    struct backups_last backup = {.file = ""};
    history_health(options->history, &documents->history);
    publisher_health(options->publisher, &mqtt);
    backups_last(options->backups, &backup);
    *health = (struct message_health){
        .now_wall_ms = clock_wall_ms(),
        .uptime_ms = clock_boot_ms() - options->started_boot_ms,
        .memory_bytes = resident_bytes(),
        .mqtt_connected = mqtt.connected,
        .mqtt_published = mqtt.published,
        .mqtt_received = mqtt.received,
        .mqtt_dropped = mqtt.dropped,
        .mqtt_reconnects = mqtt.reconnects,
        .history_queued = documents->history.queued,
        .history_dropped = documents->history.dropped_rows,
        .history_late_ms = documents->history.late_ms,
        .backup_wall_ms = backup.made_ms,
        .backup_file = backup.file,
        .backup_bytes = backup.bytes,
    };
    collect_problems(documents, health, backup.problem);
}

static void on_device_health(void *context, void *owner, struct message_device_health *health)
{
    (void)context;
    service_device_health(owner, health);
}

static void on_info(void *context, struct message_info *info, json_t **config)
{
    const struct documents *documents = context;
    const struct config *in_force = *documents->options.config;
    *config = config_to_json(in_force, true);
    *info = (struct message_info){
        .version = program_version,
        .bridge_id = in_force->bridge.id,
        .started_wall_ms = documents->options.started_wall_ms,
        .now_wall_ms = clock_wall_ms(),
        .log_level = log_level(documents->options.log),
        .config_schema = documents->config_schema,
        .request_schema = documents->request_schema,
        .restart_required = documents->restart_required,
        .permit_join = handlers_searching(*documents->options.handlers),
    };
}

struct documents *documents_create(const struct documents_options *options)
{
    struct documents *documents = memory_new(1, sizeof *documents);
    documents->options = *options;
    documents->config_schema = config_schema();
    documents->request_schema = requests_schema();
    const struct hub_sources sources = {
        .context = documents,
        .health = on_health,
        .device_health = on_device_health,
        .info = on_info,
    };
    hub_set_sources(options->hub, &sources);
    return documents;
}

void documents_set_restart_required(struct documents *documents, bool required)
{
    documents->restart_required = required;
    hub_info_changed(documents->options.hub);
}

void documents_free(struct documents *documents)
{
    if (documents == NULL)
        return;
    hub_set_sources(documents->options.hub, &(struct hub_sources){.context = NULL});
    json_decref(documents->config_schema);
    json_decref(documents->request_schema);
    free(documents);
}
