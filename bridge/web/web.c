/* SPDX-License-Identifier: MIT */
#include "bridge/web/web.h"

#include "bridge/history/safety/backup.h"
#include "bridge/web/api.h"
#include "drivers/base/address.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

struct web {
    struct api api;
    struct server *server;
    char *base_path;
    char *folder, *backup_base;
};

enum status web_open(const struct web_settings *settings, struct web **result, struct error *error)
{
    char host[256];
    uint16_t port = 0;
    if (!address_split(settings->listen, host, sizeof host, &port))
        return error_set(error, STATUS_USAGE, "web.listen is no address with a port.");
    struct web *web = memory_new(1, sizeof *web);
    const struct server_settings server = {
        .host = host,
        .port = port,
        .loop = settings->loop,
        .log = settings->log,
        .handle = api_handle,
        .upload = api_upload,
        .context = &web->api,
    };
    enum status status = server_open(&server, &web->server, error);
    if (status != STATUS_OK) {
        free(web);
        return status;
    }
    web->base_path = memory_copy_text(settings->base_path);
    web->folder = memory_copy_text(settings->folder);
    web->backup_base = history_backup_base(settings->history_path, settings->backup_folder);
    /* One that cannot be made is reported with the first upload. */
    (void)file_make_folder(settings->folder, &(struct error){""});
    web->api = (struct api){
        .hub = settings->hub,
        .requests = settings->requests,
        .guard = guard_create(&(struct guard_settings){
            .loopback = address_is_loopback(host),
            .always = settings->login_always,
            .never = settings->login_never,
            .password = settings->password,
            .token = settings->token,
        }),
        .streams = stream_open(settings->loop, settings->hub),
        .queries = queries_open(&(struct queries_settings){
            .loop = settings->loop,
            .hub = settings->hub,
            .history_path = settings->history_path,
            .tariffs = settings->tariffs,
        }),
        .transfers = queries_open(&(struct queries_settings){.loop = settings->loop}),
        .base_path = web->base_path,
        .backup_base = web->backup_base,
        .folder = web->folder,
        .maintenance = settings->maintenance,
        .maintenance_open = settings->maintenance_open,
        .started_boot_ms = clock_boot_ms(),
    };
    *result = web;
    return STATUS_OK;
}

/* First everything that waits for an answer gets one, then the connections close. */
void web_close(struct web *web)
{
    if (web == NULL)
        return;
    api_end(&web->api);
    queries_end(web->api.queries);
    queries_end(web->api.transfers);
    stream_end(web->api.streams);
    server_close(web->server);
    queries_free(web->api.queries);
    queries_free(web->api.transfers);
    stream_free(web->api.streams);
    guard_free(web->api.guard);
    free(web->base_path);
    free(web->folder);
    free(web->backup_base);
    free(web);
}
