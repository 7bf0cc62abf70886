/* SPDX-License-Identifier: MIT */
#include "bridge/service/updates.h"

#include "bridge/provision/update.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define IMAGES_MAX 64
#define SCAN_MS 60000
#define ASK_AFTER_MS 3000 /* by then, a module that just connected has reported its version */
#define ASK_PER_TICK 20
#define HTTP_TIMEOUT_MS 10000
#define CLIENT_SIZE 257

struct image {
    char path[PATH_MAX];
    struct app app;
};

/* What is in the folder; made by a worker. */
struct images {
    size_t count;
    uint64_t signature; /* of names, sizes and times */
    bool unchanged;     /* since the one before: the list is empty */
    struct error error; /* "" none */
    char refused[300];  /* a sentence about the last file that is no good; "" none */
    struct image list[IMAGES_MAX];
};

struct scan {
    uv_work_t work;
    struct updates *updates;
    const char *folder;
    uint64_t signature; /* of the last one */
    struct images *found;
};

struct module_entry {
    void *owner; /* NULL: the device left */
    char *id, *topic, *host;
    bool twin; /* a channel is on the second chip */
    bool asked;
    bool
        speaks_tele; /* flag 30 is on: it takes its own words for commands, and must not be asked */
    enum beken_chip chip;
    char ip[INET_ADDRSTRLEN];
    struct device_update reported; /* as the bridge was reported last */
};

/* One update; the worker's but for what is atomic. */
struct job {
    uv_work_t work;
    struct updates *updates;
    struct pending *pending;
    size_t entry;
    char path[PATH_MAX], host[256], client_id[CLIENT_SIZE];
    const char *web_password;
    atomic_int percent;
    atomic_bool stop;
    enum status status;
    struct error error;
    struct update_report report;
};

struct updates {
    uv_loop_t *loop;
    struct updates_options options;
    struct module_entry *entries;
    size_t count, room;
    bool some_left;        /* there may be entries without an owner */
    json_t *by_client;     /* client id -> index of its entry */
    struct images *images; /* NULL: not looked yet */
    struct scan scan;
    bool scanning, closing;
    int64_t next_scan_boot_ms, ask_at_boot_ms; /* ask: 0 not now */
    struct job *job;                           /* NULL: none is under way */
    char complaint[ERROR_TEXT_SIZE];           /* the last one that was logged */
};

static void free_texts(struct module_entry *entry)
{
    free(entry->id);
    free(entry->topic);
    free(entry->host);
}

static void free_if_done(struct updates *updates)
{
    if (!updates->closing || updates->scanning || updates->job != NULL)
        return;
    free(updates->images);
    for (size_t i = 0; i < updates->count; i++)
        free_texts(&updates->entries[i]);
    free(updates->entries);
    json_decref(updates->by_client);
    free(updates);
}

/* ---- the folder ---- */

static uint64_t mix(uint64_t signature, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++)
        signature = (signature ^ at[i]) * 1099511628211U; /* FNV-1a */
    return signature;
}

static bool is_package(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".rbl") == 0;
}

static bool path_of(const char *folder, const char *name, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return length > 0 && length < PATH_MAX;
}

/* Calls visit for each package until it says false. */
static bool visit_folder(const char *folder, void *context,
                         bool (*visit)(void *context, const char *path), struct error *error)
{
    DIR *open = opendir(folder);
    if (open == NULL) {
        (void)error_set(error, STATUS_FAILED,
                        "The folder openbeken.images (%s) cannot be read: %s.", folder,
                        strerror(errno));
        return false;
    }
    char path[PATH_MAX];
    const struct dirent *item;
    bool more = true;
    while (more && (item = readdir(open)) != NULL)
        if (is_package(item->d_name) && path_of(folder, item->d_name, path))
            more = visit(context, path);
    (void)closedir(open);
    return true;
}

/* The order in which a folder is read does not count, so the parts are added. */
static bool sign(void *context, const char *path)
{
    uint64_t *signature = context;
    struct stat facts;
    if (stat(path, &facts) != 0)
        return true;
    uint64_t part = mix(14695981039346656037U, path, strlen(path));
    part = mix(part, &facts.st_size, sizeof facts.st_size);
    part = mix(part, &facts.st_mtim, sizeof facts.st_mtim);
    *signature += part;
    return true;
}

static bool load(void *context, const char *path)
{
    struct images *images = context;
    struct update_package package;
    struct error error = {""};
    if (images->count == IMAGES_MAX) {
        (void)snprintf(images->refused, sizeof images->refused,
                       "There are more than %d packages in openbeken.images; the rest is left out.",
                       IMAGES_MAX);
        return false;
    }
    if (update_package_load(path, &package, &error) != STATUS_OK) {
        (void)snprintf(images->refused, sizeof images->refused, "%.290s", error.text);
        return true;
    }
    struct image *image = &images->list[images->count++];
    (void)snprintf(image->path, sizeof image->path, "%s", path);
    image->app = package.app;
    update_package_free(&package);
    return true;
}

static void look_through(uv_work_t *work)
{
    struct scan *scan = work->data;
    struct images *found = memory_new(1, sizeof *found);
    scan->found = found;
    found->signature = 1;
    if (!visit_folder(scan->folder, &found->signature, sign, &found->error))
        return;
    found->unchanged = found->signature == scan->signature;
    if (!found->unchanged)
        (void)visit_folder(scan->folder, found, load, &found->error);
}

/* Each complaint once, until there is another. */
static void complain(struct updates *updates, const char *sentence)
{
    if (strcmp(updates->complaint, sentence) == 0)
        return;
    (void)snprintf(updates->complaint, sizeof updates->complaint, "%s", sentence);
    if (sentence[0] != '\0')
        log_warning(updates->options.log, "%s", sentence);
}

static const struct image *newest_for(const struct updates *updates,
                                      const struct module_entry *entry)
{
    const struct image *newest = NULL;
    for (size_t i = 0; updates->images != NULL && i < updates->images->count; i++) {
        const struct image *image = &updates->images->list[i];
        bool fits =
            entry->chip != BEKEN_CHIP_UNKNOWN &&
            (beken_chip_runs(entry->chip, image->app.chip) ||
             (entry->chip == BEKEN_CHIP_BK7231M && image->app.chip == BEKEN_CHIP_BK7231N)) &&
            (image->app.twin || !entry->twin) && image->app.version[0] != '\0';
        if (fits &&
            (newest == NULL || obk_compare_versions(newest->app.version, image->app.version) < 0))
            newest = image;
    }
    return newest;
}

/* NULL if there is nothing newer than what the module has. */
static const struct image *update_for(const struct updates *updates,
                                      const struct module_entry *entry)
{
    const struct image *newest = newest_for(updates, entry);
    if (newest == NULL || entry->reported.installed[0] == '\0' ||
        obk_compare_versions(entry->reported.installed, newest->app.version) >= 0)
        return NULL;
    return newest;
}

static bool is_same(const struct device_update *a, const struct device_update *b)
{
    return strcmp(a->installed, b->installed) == 0 && strcmp(a->latest, b->latest) == 0 &&
           a->in_progress == b->in_progress && a->percentage == b->percentage;
}

static void publish(struct updates *updates, struct module_entry *entry,
                    const struct device_update *update)
{
    bool same = is_same(&entry->reported, update);
    entry->reported = *update;
    if (!same && !updates->closing && entry->owner != NULL)
        updates->options.changed(updates->options.context, entry->owner, update);
}

/* The version goes into JSON as it is: what a package says must be plain, too. */
static void set_version(char version[40], const char *text)
{
    size_t length = 0;
    for (; *text != '\0' && length < 39; text++)
        if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
            (*text >= '0' && *text <= '9') || strchr("._+-", *text) != NULL)
            version[length++] = *text;
    version[length] = '\0';
}

static void offer(struct updates *updates, struct module_entry *entry)
{
    struct device_update update = entry->reported;
    const struct image *image = update_for(updates, entry);
    set_version(update.latest, image != NULL ? image->app.version : update.installed);
    publish(updates, entry, &update);
}

static void after_look(uv_work_t *work, int status)
{
    struct scan *scan = work->data;
    struct updates *updates = scan->updates;
    (void)status;
    struct images *found = scan->found;
    updates->scanning = false;
    if (!updates->closing)
        complain(updates, found->error.text[0] != '\0' ? found->error.text : found->refused);
    if (updates->closing || found->unchanged) {
        free(found);
        free_if_done(updates);
        return;
    }
    free(updates->images);
    updates->images = found;
    scan->signature = found->signature;
    for (size_t i = 0; i < updates->count; i++)
        offer(updates, &updates->entries[i]);
}

static void start_look(struct updates *updates, int64_t boot_ms)
{
    updates->next_scan_boot_ms = boot_ms + SCAN_MS;
    updates->scan.work.data = &updates->scan;
    updates->scan.updates = updates;
    updates->scan.folder = updates->options.folder;
    updates->scanning =
        uv_queue_work(updates->loop, &updates->scan.work, look_through, after_look) == 0;
}

/* ---- the modules ---- */

struct updates *updates_create(uv_loop_t *loop, const struct updates_options *options)
{
    struct updates *updates = memory_new(1, sizeof *updates);
    updates->loop = loop;
    updates->options = *options;
    updates->by_client = json_object();
    return updates;
}

static void subscribe(const struct updates *updates, const char *client, const char *leaf)
{
    char filter[128];
    struct text text;
    text_init(&text, filter, sizeof filter);
    text_append(&text, "%s/%s", client, leaf);
    if (!text.cut)
        publisher_subscribe(updates->options.publisher, filter, 1);
}

/* One that left makes room, unless its update is still under way. */
static struct module_entry *take_entry(struct updates *updates)
{
    for (size_t i = 0; updates->some_left && i < updates->count; i++) {
        bool busy = updates->job != NULL && updates->job->entry == i;
        if (updates->entries[i].owner != NULL || busy)
            continue;
        free_texts(&updates->entries[i]);
        return &updates->entries[i];
    }
    updates->some_left = false;
    updates->entries =
        memory_grow(updates->entries, updates->count, &updates->room, sizeof *updates->entries);
    return &updates->entries[updates->count++];
}

void updates_add(struct updates *updates, void *owner, const struct config_device *config)
{
    if (config->driver != DRIVER_OPENBEKEN)
        return;
    struct module_entry *entry = take_entry(updates);
    *entry = (struct module_entry){
        .owner = owner,
        .id = memory_copy_text(config->id),
        .topic = memory_copy_text(config->topic),
        .host = memory_copy_text(config->host),
    };
    (void)json_object_set_new(updates->by_client, config->topic,
                              json_integer(entry - updates->entries));
    entry->reported.percentage = -1;
    for (size_t i = 0; i < config->channel_count; i++)
        entry->twin = entry->twin || strcmp(config->channels[i].name, "b") == 0;
    subscribe(updates, config->topic, "build");
    subscribe(updates, config->topic, "ip");
}

void updates_remove(struct updates *updates, const void *owner)
{
    for (size_t i = 0; i < updates->count; i++) {
        struct module_entry *entry = &updates->entries[i];
        if (entry->owner != owner)
            continue;
        (void)json_object_del(updates->by_client, entry->topic);
        entry->owner = NULL;
        updates->some_left = true;
    }
}

static struct module_entry *find_client(const struct updates *updates, const char *topic,
                                        const char *leaf)
{
    char client[CLIENT_SIZE];
    size_t length = strlen(topic) - strlen(leaf);
    if (length >= sizeof client)
        return NULL;
    memcpy(client, topic, length);
    client[length] = '\0';
    const json_t *index = json_object_get(updates->by_client, client);
    return index == NULL ? NULL : &updates->entries[json_integer_value(index)];
}

/* It has said something on tele/CLIENT/word. */
static void note_tele(const struct updates *updates, const char *topic)
{
    static const char tele[] = "tele/";
    const char *word = strrchr(topic, '/');
    if (strncmp(topic, tele, sizeof tele - 1) != 0)
        return;
    struct module_entry *entry = find_client(updates, topic + sizeof tele - 1, word);
    if (entry != NULL)
        entry->speaks_tele = true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length > wanted && strcmp(text + length - wanted, end) == 0;
}

static void take_build(struct updates *updates, struct module_entry *entry, const char *payload,
                       size_t length)
{
    char chip[16], version[40];
    struct device_update update = entry->reported;
    if (!obk_parse_build(payload, length, chip, version))
        return;
    if (chip[0] != '\0')
        (void)beken_chip_parse(chip, &entry->chip);
    set_version(update.installed, version);
    const struct device_update before = entry->reported;
    entry->reported = update; /* what is offered depends on it */
    const struct image *image = update_for(updates, entry);
    entry->reported = before;
    set_version(update.latest, image != NULL ? image->app.version : update.installed);
    publish(updates, entry, &update);
}

/* Anybody may publish this. It is an address of version 4 and nothing else: no port, and no name. */
static void take_ip(struct module_entry *entry, const char *payload, size_t length)
{
    char ip[sizeof entry->ip] = "";
    struct in_addr address;
    if (length == 0 || length >= sizeof ip || memchr(payload, '\0', length) != NULL)
        return;
    memcpy(ip, payload, length);
    if (inet_pton(AF_INET, ip, &address) == 1)
        memcpy(entry->ip, ip, sizeof ip);
}

bool updates_incoming(struct updates *updates, const struct publisher_incoming *incoming)
{
    if (incoming->kind == PUBLISHER_CONNECTED) {
        for (size_t i = 0; i < updates->count; i++)
            updates->entries[i].asked = false;
        updates->ask_at_boot_ms = -1; /* with the next tick's clock */
    }
    if (incoming->kind != PUBLISHER_MESSAGE)
        return false;
    note_tele(updates, incoming->topic);
    bool build = ends_with(incoming->topic, "/build");
    if (!build && !ends_with(incoming->topic, "/ip"))
        return false;
    struct module_entry *entry = find_client(updates, incoming->topic, build ? "/build" : "/ip");
    if (entry == NULL)
        return false;
    if (incoming->retained)
        return true; /* of some other day */
    if (build)
        take_build(updates, entry, incoming->payload, incoming->payload_length);
    else
        take_ip(entry, incoming->payload, incoming->payload_length);
    return true;
}

/* A module that was there before us does not tell its version again by itself. */
static void ask_some(struct updates *updates)
{
    size_t asked = 0;
    for (size_t i = 0; i < updates->count && asked < ASK_PER_TICK; i++) {
        struct module_entry *entry = &updates->entries[i];
        if (entry->owner == NULL || entry->asked || entry->speaks_tele ||
            entry->reported.installed[0] != '\0')
            continue;
        char topic[128];
        struct text text;
        text_init(&text, topic, sizeof topic);
        text_append(&text, "cmnd/%s/publishAll", entry->topic);
        entry->asked = true;
        asked++;
        if (!text.cut)
            publisher_event(updates->options.publisher, topic, "", 0, 1);
    }
}

/* ---- installing ---- */

static bool on_progress(void *context, enum update_stage stage, uint64_t done, uint64_t total)
{
    struct job *job = context;
    static const int begin[] = {
        [UPDATE_CHECK] = 0, [UPDATE_UPLOAD] = 1, [UPDATE_RESTART] = 80, [UPDATE_VERIFY] = 95};
    static const int span[] = {
        [UPDATE_CHECK] = 1, [UPDATE_UPLOAD] = 79, [UPDATE_RESTART] = 15, [UPDATE_VERIFY] = 5};
    if (total > 0)
        atomic_store(&job->percent, begin[stage] + (int)((uint64_t)span[stage] * done / total));
    return !atomic_load(&job->stop);
}

static void install(uv_work_t *work)
{
    struct job *job = work->data;
    struct update_package package;
    struct module *module = NULL;
    const struct http_options http = {
        .host = job->host, .web_password = job->web_password, .timeout_ms = HTTP_TIMEOUT_MS};
    const struct update_listener listener = {.context = job, .progress = on_progress};
    struct update_options options = {
        .package = &package, .client_id = job->client_id, .wait_ms = UPDATE_WAIT_DEFAULT_MS};
    job->status = update_package_load(job->path, &package, &job->error);
    if (job->status != STATUS_OK)
        return;
    job->status = module_open(&http, &module, &job->error);
    if (job->status == STATUS_OK)
        job->status = update_run(&options, module, &listener, &job->report, &job->error);
    module_close(module);
    update_package_free(&package);
}

static void report(struct updates *updates, const struct job *job)
{
    struct module_entry *entry = &updates->entries[job->entry];
    const char *id = entry->id;
    char message[sizeof job->error.text + 100];
    if (job->status == STATUS_OK)
        (void)snprintf(message, sizeof message, "The firmware was updated from %s to %s.",
                       job->report.from, job->report.to);
    else
        (void)snprintf(message, sizeof message, "The update failed: %s", job->error.text);
    if (job->status == STATUS_OK)
        log_info(updates->options.log, "%s: %s", id, message);
    else
        log_warning(updates->options.log, "%s: %s", id, message);
    for (size_t i = 0; i < job->report.warning_count; i++)
        log_warning(updates->options.log, "%s: %s", id, job->report.warnings[i]);
    updates->options.event(updates->options.context,
                           job->status == STATUS_OK ? "update_done" : "update_failed", id, message);
    if (job->status != STATUS_OK)
        pending_refuse(job->pending, job->status, &job->error);
    else
        pending_answer(job->pending, json_pack("{s:s, s:s, s:s}", "id", id, "from",
                                               job->report.from, "to", job->report.to));
}

static void after_install(uv_work_t *work, int status)
{
    struct job *job = work->data;
    struct updates *updates = job->updates;
    (void)status;
    updates->job = NULL;
    if (!updates->closing) {
        struct module_entry *entry = &updates->entries[job->entry];
        struct device_update update = entry->reported;
        update.in_progress = false;
        update.percentage = -1;
        if (job->report.updated)
            set_version(update.installed, job->report.to);
        publish(updates, entry, &update);
        offer(updates, entry);
        report(updates, job);
    }
    free(job);
    free_if_done(updates);
}

static enum status find_device(const struct updates *updates, const char *id, size_t *entry,
                               struct error *error)
{
    for (*entry = 0; *entry < updates->count; (*entry)++)
        if (updates->entries[*entry].owner != NULL && strcmp(updates->entries[*entry].id, id) == 0)
            return STATUS_OK;
    return error_set(error, STATUS_USAGE, "There is no OpenBeken module \"%s\".", id);
}

static enum status check_install(const struct updates *updates, const struct module_entry *entry,
                                 const struct image **image, struct error *error)
{
    const char *host = entry->host[0] != '\0' ? entry->host : entry->ip;
    if (updates->job != NULL)
        return error_set(error, STATUS_FAILED,
                         "An update is under way already, of %s; there is one at a time.",
                         updates->entries[updates->job->entry].id);
    if (entry->reported.installed[0] == '\0')
        return error_set(error, STATUS_FAILED,
                         "The module has not told which firmware it has; is it online?");
    *image = update_for(updates, entry);
    if (*image == NULL)
        return error_set(
            error, STATUS_FAILED,
            "There is no package in openbeken.images that is newer than %s and for this "
            "module's chip%s.",
            entry->reported.installed, entry->twin ? " and two channels" : "");
    if (entry->host[0] == '\0' && updates->options.web_password[0] != '\0')
        return error_set(error, STATUS_REFUSED,
                         "The web password is not sent to an address that came over MQTT, because "
                         "anybody may publish one; name the module's address as `host` of the "
                         "device in bridge.yaml.");
    if (host[0] == '\0')
        return error_set(error, STATUS_FAILED,
                         "The module has not told its address; name it as `host` of the device in "
                         "bridge.yaml.");
    return STATUS_OK;
}

enum status updates_install(struct updates *updates, struct pending *pending, struct error *error)
{
    const char *id = pending_text(pending, "id");
    size_t number = 0;
    const struct image *image = NULL;
    enum status status = find_device(updates, id, &number, error);
    if (status != STATUS_OK)
        pending_unknown(pending);
    if (status == STATUS_OK)
        status = check_install(updates, &updates->entries[number], &image, error);
    if (status != STATUS_OK)
        return status;
    struct module_entry *entry = &updates->entries[number];
    struct job *job = memory_new(1, sizeof *job);
    job->updates = updates;
    job->work.data = job;
    job->entry = number;
    job->web_password = entry->host[0] != '\0' ? updates->options.web_password : "";
    (void)snprintf(job->client_id, sizeof job->client_id, "%s", entry->topic);
    (void)snprintf(job->path, sizeof job->path, "%s", image->path);
    (void)snprintf(job->host, sizeof job->host, "%s",
                   entry->host[0] != '\0' ? entry->host : entry->ip);
    if (uv_queue_work(updates->loop, &job->work, install, after_install) != 0) {
        free(job);
        return error_set(error, STATUS_FAILED, "The update could not be started.");
    }
    job->pending = pending;
    updates->job = job;
    struct device_update update = entry->reported;
    update.in_progress = true;
    update.percentage = 0;
    log_info(updates->options.log, "%s: updating from %s with %s.", id, update.installed,
             image->path);
    publish(updates, entry, &update);
    return STATUS_OK;
}

/* ---- time ---- */

static void follow_job(struct updates *updates)
{
    if (updates->job == NULL)
        return;
    struct module_entry *entry = &updates->entries[updates->job->entry];
    struct device_update update = entry->reported;
    update.percentage = atomic_load(&updates->job->percent);
    publish(updates, entry, &update);
}

void updates_tick(struct updates *updates, int64_t boot_ms)
{
    follow_job(updates);
    if (!updates->scanning && boot_ms >= updates->next_scan_boot_ms)
        start_look(updates, boot_ms);
    if (updates->ask_at_boot_ms < 0)
        updates->ask_at_boot_ms = boot_ms + ASK_AFTER_MS;
    if (updates->ask_at_boot_ms > 0 && boot_ms >= updates->ask_at_boot_ms)
        ask_some(updates);
}

void updates_close(struct updates *updates)
{
    if (updates == NULL)
        return;
    updates->closing = true;
    if (updates->job != NULL)
        atomic_store(&updates->job->stop, true); /* requests_free answers */
    free_if_done(updates);
}
