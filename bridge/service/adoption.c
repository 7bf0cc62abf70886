/* SPDX-License-Identifier: MIT */
#include "bridge/service/adoption.h"

#include "bridge/config/adopted.h"
#include "bridge/service/module_id.h"
#include "bridge/service/roster.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_SIZE 257

/* One request on its way. */
struct job {
    struct job *next;
    struct pending *pending; /* NULL once answered */
    bool removes;
    struct config *device; /* the only one in it; NULL when it removes */
    char id[MODULE_ID_SIZE];
    char *text; /* of the file */
    char folder[PATH_MAX];
    char path[PATH_MAX];
    enum status status; /* of the disk */
    struct error error;
};

struct adoption {
    uv_loop_t *loop;
    struct adoption_options options;
    char *roster_path;
    struct module_ids *ids;
    struct job *first, *last; /* the first one is at the disk */
    size_t waiting;
    uv_work_t work;
    bool closing;
};

struct adoption *adoption_create(uv_loop_t *loop, const struct adoption_options *options)
{
    struct adoption *adoption = memory_new(1, sizeof *adoption);
    adoption->loop = loop;
    adoption->options = *options;
    adoption->roster_path = memory_copy_text(options->roster_path);
    adoption->ids = module_ids_create();
    adoption->work.data = adoption;
    return adoption;
}

static void free_job(struct job *job)
{
    config_free(job->device);
    free(job->text);
    free(job);
}

static void free_all(struct adoption *adoption)
{
    module_ids_free(adoption->ids);
    free(adoption->roster_path);
    free(adoption);
}

/* ---- the disk, on a thread of libuv's pool ---- */

static void write_file(const struct adoption *adoption, struct job *job)
{
    const struct config *config = adoption->options.config;
    job->status = file_make_folder(job->folder, &job->error);
    if (job->status == STATUS_OK && access(job->path, F_OK) == 0)
        job->status = error_set(&job->error, STATUS_FAILED,
                                "%s is there already; send the request restart to have it loaded, "
                                "or choose another id.",
                                job->path);
    if (job->status == STATUS_OK)
        job->status = file_replace(job->path, job->text, strlen(job->text), 0640, &job->error);
    if (job->status == STATUS_OK)
        roster_add(adoption->roster_path, config->mqtt.base_topic, job->id, adoption->options.log);
}

static void delete_file(struct job *job)
{
    if (unlink(job->path) == 0)
        return;
    job->status =
        error_set(&job->error, STATUS_FAILED, "%s could not be deleted: %s.%s", job->path,
                  strerrordesc_np(errno),
                  errno == ENOENT ? " Look for the file in that folder that has the id." : "");
}

static void at_disk(uv_work_t *work)
{
    struct adoption *adoption = work->data;
    if (adoption->first->removes)
        delete_file(adoption->first);
    else
        write_file(adoption, adoption->first);
}

static json_t *describe(const struct config_device *device, bool is_new, const char *path)
{
    json_t *channels = json_array();
    for (size_t i = 0; i < device->channel_count; i++)
        (void)json_array_append_new(channels, json_string(device->channels[i].name));
    json_t *data = json_pack("{s:s, s:s, s:s, s:o, s:b}", "id", device->id, "topic", device->topic,
                             "name", device->name, "channels", channels, "new", is_new);
    if (path != NULL)
        (void)json_object_set_new(data, "file", json_string(path));
    return data;
}

static json_t *finish_adopting(const struct adoption *adoption, struct job *job)
{
    json_t *data = describe(&job->device->devices[0], true, job->path);
    struct config *device = job->device;
    job->device = NULL;
    job->status = adoption->options.adopted(adoption->options.context, device, &job->error);
    if (job->status != STATUS_OK)
        (void)unlink(job->path);
    return data;
}

static json_t *finish(const struct adoption *adoption, struct job *job)
{
    if (job->status != STATUS_OK)
        return NULL;
    return job->removes ? json_pack("{s:s}", "id", job->id) : finish_adopting(adoption, job);
}

static void begin(struct adoption *adoption);

static void after_disk(uv_work_t *work, int cancelled)
{
    (void)cancelled; /* never asked for */
    struct adoption *adoption = work->data;
    const struct adoption_options *options = &adoption->options;
    struct job *job = adoption->first;
    adoption->first = job->next;
    adoption->waiting--;
    if (adoption->first == NULL)
        adoption->last = NULL;
    if (adoption->closing) { /* the file tells the next start */
        free_job(job);
        free_all(adoption);
        return;
    }
    json_t *data = finish(adoption, job);
    if (job->status == STATUS_OK && job->removes)
        job->status = options->removed(options->context, job->id, &job->error);
    if (job->status == STATUS_OK) {
        pending_answer(job->pending, data);
    } else {
        json_decref(data);
        pending_refuse(job->pending, job->status, &job->error);
    }
    free_job(job);
    begin(adoption);
}

static void begin(struct adoption *adoption)
{
    if (adoption->first != NULL)
        (void)uv_queue_work(adoption->loop, &adoption->work, at_disk, after_disk);
}

static void enqueue(struct adoption *adoption, struct job *job)
{
    if (adoption->last != NULL)
        adoption->last->next = job;
    else
        adoption->first = job;
    adoption->last = job;
    adoption->waiting++;
    if (adoption->first == job)
        begin(adoption);
}

void adoption_close(struct adoption *adoption)
{
    if (adoption == NULL)
        return;
    struct job *waiting = adoption->first == NULL ? NULL : adoption->first->next;
    while (waiting != NULL) {
        struct job *next = waiting->next;
        free_job(waiting);
        waiting = next;
    }
    adoption->closing = true;
    if (adoption->first == NULL)
        free_all(adoption);
    else
        adoption->first->next = NULL;
}

/* ---- what is asked for ---- */

/* What becomes the file, and before that is judged by the configuration's own rules. */
struct candidate {
    char topic[256];
    char id[MODULE_ID_SIZE];
    char name[NAME_SIZE];
    char unit[8];
    bool chips[2];
};

/* The table bounds their lengths; "" if it is absent. */
static void copy_text(const struct pending *pending, const char *key, char *text, size_t size)
{
    const char *given = pending_text(pending, key);
    (void)snprintf(text, size, "%s", given != NULL ? given : "");
}

static enum status read_channels(const struct adoption *adoption, const struct pending *pending,
                                 struct candidate *candidate, struct error *error)
{
    const json_t *list = pending_argument(pending, "channels");
    if (list == NULL) {
        adoption->options.received(adoption->options.context, candidate->topic, candidate->chips);
        candidate->chips[0] = candidate->chips[0] || !candidate->chips[1];
        return STATUS_OK;
    }
    size_t index;
    const json_t *entry;
    bool good = json_array_size(list) > 0;
    json_array_foreach(list, index, entry)
    {
        const char *name = json_string_value(entry);
        int chip = name == NULL ? -1 : strcmp(name, "a") == 0 ? 0 : strcmp(name, "b") == 0 ? 1 : -1;
        good = good && chip >= 0 && !candidate->chips[chip];
        if (good)
            candidate->chips[chip] = true;
    }
    return good ? STATUS_OK
                : error_set(error, STATUS_USAGE,
                            "channels must be a list such as [\"a\"] or [\"a\", \"b\"]; b is the "
                            "second chip of a twin build.");
}

static bool is_taken(void *context, const char *id)
{
    const struct adoption *adoption = context;
    const struct config *config = adoption->options.config;
    for (size_t i = 0; i < config->device_count; i++)
        if (strcmp(config->devices[i].id, id) == 0)
            return true;
    for (const struct job *job = adoption->first; job != NULL; job = job->next)
        if (strcmp(job->id, id) == 0)
            return true;
    return strcmp(id, "bridge") == 0;
}

static enum status read_candidate(struct adoption *adoption, const struct pending *pending,
                                  struct candidate *candidate, struct error *error)
{
    copy_text(pending, "topic", candidate->topic, sizeof candidate->topic);
    copy_text(pending, "id", candidate->id, sizeof candidate->id);
    copy_text(pending, "name", candidate->name, sizeof candidate->name);
    copy_text(pending, "energy_unit", candidate->unit, sizeof candidate->unit);
    candidate->chips[0] = candidate->chips[1] = false;
    enum status status = read_channels(adoption, pending, candidate, error);
    if (status != STATUS_OK)
        return status;
    if (candidate->id[0] == '\0')
        module_ids_make(adoption->ids, candidate->topic, is_taken, adoption, candidate->id);
    if (is_taken(adoption, candidate->id))
        return error_set(error, STATUS_USAGE,
                         "There is a device \"%s\" already; choose another id.", candidate->id);
    return STATUS_OK;
}

/* JSON's objects and strings are YAML's. */
static json_t *device_json(const struct candidate *candidate)
{
    static const char *const names[] = {"a", "b"};
    json_t *channels = json_object();
    for (size_t i = 0; i < 2; i++)
        if (candidate->chips[i])
            (void)json_object_set_new(channels, names[i], json_object());
    json_t *device =
        json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", candidate->id, "name",
                  candidate->name[0] != '\0' ? candidate->name : candidate->id, "driver",
                  "openbeken", "topic", candidate->topic, "channels", channels);
    if (candidate->unit[0] != '\0')
        (void)json_object_set_new(device, "energy_unit", json_string(candidate->unit));
    return device;
}

/* A key as the request has it: "devices.plug.topic is ..." becomes "topic is ...". */
static const char *in_the_request(const char *message, const char *id)
{
    static const char list[] = "devices.";
    size_t length = strlen(id);
    const char *rest = message + sizeof list - 1;
    if (strncmp(message, list, sizeof list - 1) != 0 || strncmp(rest, id, length) != 0 ||
        rest[length] != '.')
        return message;
    return rest + length + 1;
}

/* A configuration of this device alone, so that all rules about a device hold for it. */
static struct config *judge(const struct adoption *adoption, const json_t *device, const char *id,
                            struct error *error)
{
    const struct config *config = adoption->options.config;
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    json_t *root = json_pack("{s:{s:s}, s:{s:s}, s:[O]}", "mqtt", "base_topic",
                             config->mqtt.base_topic, "homeassistant", "discovery_prefix",
                             config->homeassistant.discovery_prefix, "devices", device);
    char *text memory_auto = json_dumps(root, 0);
    json_decref(root);
    struct config *alone =
        text == NULL ? NULL : config_parse("request", text, strlen(text), NULL, problems);
    const struct config_problem *first = config_problems_first_error(problems);
    if (alone == NULL)
        (void)error_set(error, STATUS_USAGE, "%s",
                        first != NULL ? in_the_request(first->message, id) : "It is not UTF-8.");
    return alone;
}

static char *file_text(const json_t *device)
{
    struct text text;
    size_t size = 4096;
    char *buffer = memory_new(1, size);
    text_init(&text, buffer, size);
    text_append(&text, "# Adopted by request. May be edited, or moved into bridge.yaml (below "
                       "`devices:`, behind `- `).\n");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)device, key, value)
    {
        char *shown memory_auto = json_dumps(value, JSON_ENCODE_ANY);
        text_append(&text, "%s: %s\n", key, shown == NULL ? "" : shown);
    }
    return buffer;
}

static enum status set_paths(const struct adoption *adoption, struct job *job, struct error *error)
{
    const char *data_dir = adoption->options.config->bridge.data_dir;
    if (snprintf(job->folder, sizeof job->folder, "%s/" ADOPTED_FOLDER, data_dir) <
            (int)sizeof job->folder &&
        snprintf(job->path, sizeof job->path, "%s/" ADOPTED_FOLDER "/%s.yaml", data_dir, job->id) <
            (int)sizeof job->path)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE, "The path of bridge.data_dir is too long.");
}

/* Takes the request over if all is well. */
static enum status plan(struct adoption *adoption, struct pending *pending,
                        const struct candidate *candidate, struct error *error)
{
    if (adoption->waiting >= ADOPTIONS_WAITING_MAX ||
        adoption->options.config->device_count + adoption->waiting >= CONFIG_DEVICES_MAX)
        return error_set(error, STATUS_FAILED, "Too many devices at once; ask again later.");
    json_t *device = device_json(candidate);
    struct config *alone = judge(adoption, device, candidate->id, error);
    struct job *job = memory_new(1, sizeof *job);
    (void)snprintf(job->id, sizeof job->id, "%s", candidate->id);
    job->device = alone;
    enum status status = alone != NULL ? set_paths(adoption, job, error) : STATUS_USAGE;
    if (status == STATUS_OK)
        job->text = file_text(device);
    json_decref(device);
    if (status != STATUS_OK) {
        free_job(job);
        return status;
    }
    job->pending = pending;
    enqueue(adoption, job);
    return STATUS_OK;
}

static const struct config_device *find_topic(const struct config *config, const char *topic)
{
    for (size_t i = 0; i < config->device_count; i++)
        if (config->devices[i].driver == DRIVER_OPENBEKEN &&
            strcmp(config->devices[i].topic, topic) == 0)
            return &config->devices[i];
    return NULL;
}

static bool topic_waits(const struct adoption *adoption, const char *topic)
{
    for (const struct job *job = adoption->first; job != NULL; job = job->next)
        if (job->device != NULL && strcmp(job->device->devices[0].topic, topic) == 0)
            return true;
    return false;
}

/* Asking twice does no harm. */
static void answer_known(struct pending *pending, const struct config_device *device)
{
    pending_answer(pending, describe(device, false, NULL));
}

enum status adoption_adopt(struct adoption *adoption, struct pending *pending, struct error *error)
{
    struct candidate candidate;
    const char *topic = pending_text(pending, "topic");
    const struct config_device *known = find_topic(adoption->options.config, topic);
    if (known != NULL) {
        answer_known(pending, known);
        return STATUS_OK;
    }
    if (topic_waits(adoption, topic))
        return error_set(error, STATUS_FAILED, "The module %s is just being adopted.", topic);
    enum status status = read_candidate(adoption, pending, &candidate, error);
    return status == STATUS_OK ? plan(adoption, pending, &candidate, error) : status;
}

enum status adoption_remove(struct adoption *adoption, struct pending *pending, struct error *error)
{
    const char *id = pending_text(pending, "id");
    const struct config *config = adoption->options.config;
    const struct config_device *device = NULL;
    for (size_t i = 0; i < config->device_count; i++)
        if (strcmp(config->devices[i].id, id) == 0)
            device = &config->devices[i];
    if (device == NULL) {
        pending_unknown(pending);
        return error_set(error, STATUS_USAGE, "There is no device \"%s\".", id);
    }
    if (!device->adopted)
        return error_set(error, STATUS_USAGE,
                         "The device \"%s\" was not adopted by request: take its lines out of "
                         "bridge.yaml, then send the request restart.",
                         id);
    struct job *job = memory_new(1, sizeof *job);
    job->removes = true;
    (void)snprintf(job->id, sizeof job->id, "%s", id);
    enum status status = set_paths(adoption, job, error);
    if (status != STATUS_OK) {
        free_job(job);
        return status;
    }
    job->pending = pending;
    enqueue(adoption, job);
    return STATUS_OK;
}
