/* SPDX-License-Identifier: MIT */
#include "bridge/backfill/conversation.h"

#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From here on the metadata have mean_type and unit_class instead of has_mean. */
#define MEAN_TYPE_YEAR 2025
#define MEAN_TYPE_MONTH 11

enum step {
    STEP_GREETING, /* waits for auth_required */
    STEP_LOGIN,
    STEP_ENTITIES,
    STEP_PRESENT,
    STEP_IMPORT,
};

struct conversation {
    struct conversation_options options;
    enum step step;
    bool has_mean;
    json_int_t id;   /* of the last command */
    char **entities; /* of each statistic; NULL: it has none */
    size_t at;       /* the statistic in question */
    struct backfill_found *found;
    size_t found_count, found_room, imported;
    char *reply;
};

struct conversation *conversation_create(const struct conversation_options *options)
{
    struct conversation *made = memory_new(1, sizeof *made);
    made->options = *options;
    made->entities = memory_new(options->count, sizeof *made->entities);
    return made;
}

void conversation_free(struct conversation *conversation)
{
    if (conversation == NULL)
        return;
    for (size_t i = 0; i < conversation->options.count; i++)
        free(conversation->entities[i]);
    free(conversation->entities);
    free(conversation->found);
    free(conversation->reply);
    free(conversation);
}

const struct backfill_found *conversation_found(const struct conversation *conversation,
                                                size_t *count)
{
    *count = conversation->found_count;
    return conversation->found;
}

size_t conversation_imported(const struct conversation *conversation)
{
    return conversation->imported;
}

/* ---- what is said ---- */

/* Takes the message. */
static void say(struct conversation *conversation, json_t *message)
{
    free(conversation->reply);
    conversation->reply = json_dumps(message, JSON_COMPACT);
    json_decref(message);
}

static void command(struct conversation *conversation, json_t *message)
{
    (void)json_object_set_new(message, "id", json_integer(++conversation->id));
    say(conversation, message);
}

json_t *backfill_time(int64_t ms)
{
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append_time(&text, ms, false);
    return json_string(buffer);
}

/* The next statistic that has an entity; done behind the last. */
static enum conversation_state ask_for_hours(struct conversation *conversation)
{
    const struct conversation_options *options = &conversation->options;
    while (conversation->at < options->count && conversation->entities[conversation->at] == NULL)
        conversation->at++;
    if (conversation->at == options->count)
        return CONVERSATION_DONE;
    conversation->step = STEP_PRESENT;
    command(conversation,
            json_pack("{s:s, s:o, s:o, s:s, s:[s], s:[s, s], s:{s:s}}", "type",
                      "recorder/statistics_during_period", "start_time",
                      backfill_time(options->from_ms), "end_time", backfill_time(options->to_ms),
                      "period", "hour", "statistic_ids", conversation->entities[conversation->at],
                      "types", "state", "sum", "units", "energy", "kWh"));
    return CONVERSATION_GOES_ON;
}

/* ---- what is received ---- */

static enum conversation_state fail(struct error *error, const char *problem)
{
    (void)error_set(error, STATUS_FAILED, "%s", problem);
    return CONVERSATION_FAILED;
}

static enum conversation_state take_greeting(struct conversation *conversation, const char *type,
                                             struct error *error)
{
    if (strcmp(type, "auth_required") != 0)
        return fail(error, "What answers at homeassistant.backfill.url is not Home Assistant.");
    conversation->step = STEP_LOGIN;
    say(conversation,
        json_pack("{s:s, s:s}", "type", "auth", "access_token", conversation->options.token));
    return CONVERSATION_GOES_ON;
}

static bool is_older(const char *version)
{
    int year = 0, month = 0;
    return version != NULL && sscanf(version, "%4d.%2d", &year, &month) == 2 &&
           year * 12 + month < MEAN_TYPE_YEAR * 12 + MEAN_TYPE_MONTH;
}

static enum conversation_state take_login(struct conversation *conversation, const char *type,
                                          const json_t *message, struct error *error)
{
    if (strcmp(type, "auth_invalid") == 0) {
        (void)error_set(error, STATUS_USAGE,
                        "Home Assistant does not accept homeassistant.backfill.token: make a new "
                        "long-lived token of an administrator (profile, Security).");
        return CONVERSATION_REFUSED;
    }
    if (strcmp(type, "auth_ok") != 0)
        return fail(error, "Home Assistant did not answer the login.");
    conversation->has_mean = is_older(json_string_value(json_object_get(message, "ha_version")));
    conversation->step = STEP_ENTITIES;
    command(conversation, json_pack("{s:s}", "type", "config/entity_registry/list"));
    return CONVERSATION_GOES_ON;
}

static bool good_entity(const char *entity)
{
    size_t length = entity == NULL ? 0 : strlen(entity);
    return length > 0 && length < BACKFILL_ENTITY_SIZE &&
           strspn(entity, "abcdefghijklmnopqrstuvwxyz0123456789_.") == length;
}

static void take_entity(struct conversation *conversation, const json_t *entry)
{
    const struct conversation_options *options = &conversation->options;
    const char *entity = json_string_value(json_object_get(entry, "entity_id"));
    const char *unique_id = json_string_value(json_object_get(entry, "unique_id"));
    const char *platform = json_string_value(json_object_get(entry, "platform"));
    if (unique_id == NULL || !good_entity(entity) || platform == NULL ||
        strcmp(platform, "mqtt") != 0 || strncmp(entity, "sensor.", 7) != 0)
        return;
    for (size_t i = 0; i < options->count; i++)
        if (conversation->entities[i] == NULL &&
            strcmp(options->statistics[i].unique_id, unique_id) == 0)
            conversation->entities[i] = memory_copy_text(entity);
}

static enum conversation_state take_entities(struct conversation *conversation,
                                             const json_t *result, struct error *error)
{
    size_t index;
    const json_t *entry;
    if (!json_is_array(result))
        return fail(error, "Home Assistant's list of entities is none.");
    json_array_foreach(result, index, entry) take_entity(conversation, entry);
    return ask_for_hours(conversation);
}

static void note_found(struct conversation *conversation, const char *entity,
                       const struct statistics_missing *missing)
{
    conversation->found = memory_grow(conversation->found, conversation->found_count,
                                      &conversation->found_room, sizeof *conversation->found);
    struct backfill_found *found = &conversation->found[conversation->found_count++];
    *found = (struct backfill_found){
        .statistic = conversation->at,
        .hours = missing->hours,
        .first_ms = missing->first_ms,
        .last_ms = missing->last_ms,
        .energy_uwh = missing->energy_uwh,
    };
    (void)snprintf(found->entity, sizeof found->entity, "%s", entity);
}

static enum conversation_state take_hours(struct conversation *conversation, const json_t *result,
                                          struct error *error)
{
    const struct conversation_options *options = &conversation->options;
    const char *entity = conversation->entities[conversation->at];
    const json_t *rows = json_object_get(result, entity);
    struct statistics_missing missing = {.import = NULL};
    if (json_is_array(rows) &&
        options->look(options->context, &options->statistics[conversation->at], entity,
                      conversation->has_mean, rows, &missing, error) != STATUS_OK)
        return CONVERSATION_FAILED;
    if (missing.hours > 0)
        note_found(conversation, entity, &missing);
    if (missing.hours == 0 || options->dry_run) {
        json_decref(missing.import);
        conversation->at++;
        return ask_for_hours(conversation);
    }
    conversation->step = STEP_IMPORT;
    (void)json_object_set_new(missing.import, "type", json_string("recorder/import_statistics"));
    command(conversation, missing.import);
    return CONVERSATION_GOES_ON;
}

static enum conversation_state take_refusal(const struct conversation *conversation,
                                            const json_t *message, struct error *error)
{
    static const char *const asked[] = {
        [STEP_ENTITIES] = "the list of entities",
        [STEP_PRESENT] = "the hours that it has",
        [STEP_IMPORT] = "an import of statistics",
    };
    const json_t *problem = json_object_get(message, "error");
    const char *words = json_string_value(json_object_get(problem, "message"));
    const char *code = json_string_value(json_object_get(problem, "code"));
    bool rights = code != NULL && strcmp(code, "unauthorized") == 0;
    (void)error_set(error, rights ? STATUS_USAGE : STATUS_FAILED,
                    "Home Assistant refuses %s: %.120s%s", asked[conversation->step],
                    words != NULL ? words : "it says nothing more",
                    rights ? ". homeassistant.backfill.token must be an administrator's." : ".");
    return rights ? CONVERSATION_REFUSED : CONVERSATION_FAILED;
}

static enum conversation_state take_result(struct conversation *conversation, const json_t *message,
                                           struct error *error)
{
    const json_t *result = json_object_get(message, "result");
    if (!json_is_true(json_object_get(message, "success")))
        return take_refusal(conversation, message, error);
    if (conversation->step == STEP_ENTITIES)
        return take_entities(conversation, result, error);
    if (conversation->step == STEP_PRESENT)
        return take_hours(conversation, result, error);
    conversation->imported++;
    conversation->at++;
    return ask_for_hours(conversation);
}

enum conversation_state conversation_take(struct conversation *conversation, const char *message,
                                          size_t length, const char **reply, struct error *error)
{
    json_t *document = json_loadb(message, length, 0, NULL);
    const char *type = json_string_value(json_object_get(document, "type"));
    enum conversation_state state = CONVERSATION_GOES_ON;
    free(conversation->reply);
    conversation->reply = NULL;
    if (type == NULL)
        state = fail(error, "What answers at homeassistant.backfill.url is not Home Assistant.");
    else if (conversation->step == STEP_GREETING)
        state = take_greeting(conversation, type, error);
    else if (conversation->step == STEP_LOGIN)
        state = take_login(conversation, type, document, error);
    else if (strcmp(type, "result") == 0 &&
             json_integer_value(json_object_get(document, "id")) == conversation->id)
        state = take_result(conversation, document, error);
    json_decref(document);
    *reply = conversation->reply;
    return state;
}
