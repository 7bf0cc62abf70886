/* SPDX-License-Identifier: MIT */
#include "bridge/commands/openbeken_report.h"

#include "bridge/commands/openbeken_shared.h"

#include <stdio.h>

/* ---- dry run ---- */

struct showing {
    const char *host;
    json_t *requests;
    bool json;
};

static void show_request(void *context, const char *why, const struct obk_request *request)
{
    struct showing *showing = context;
    const char *method = request->post ? "POST" : "GET";
    if (showing->json) {
        (void)json_array_append_new(showing->requests,
                                    json_pack("{s:s, s:s, s:s, s:s}", "method", method, "path",
                                              request->shown, "body", request->body, "why", why));
        return;
    }
    (void)printf("# %s\n%s http://%s%s\n", why, method, showing->host, request->shown);
    bool line_begins = true;
    for (const char *c = request->body; *c != '\0'; c++) {
        (void)printf(line_begins ? "    %c" : "%c", *c);
        line_begins = *c == '\n';
    }
    (void)printf(line_begins ? "\n" : "\n\n");
}

enum status openbeken_show_requests(const struct provision_options *options,
                                    const struct module *module, bool json, struct error *error)
{
    struct showing showing = {.host = module_host(module), .requests = json_array(), .json = json};
    enum status status = provision_show(options, &showing, show_request, error);
    if (status == STATUS_OK && json)
        return openbeken_print_json(json_pack("{s:b, s:s, s:o}", "dry_run", 1, "host", showing.host,
                                              "requests", showing.requests),
                                    error);
    json_decref(showing.requests);
    if (status == STATUS_OK)
        (void)fprintf(stderr, "Nothing was sent.\n");
    return status;
}

/* ---- the answer ---- */

void openbeken_print_progress(void *context, const char *sentence)
{
    const enum openbeken_progress *progress = context;
    if (*progress == OPENBEKEN_JSON)
        openbeken_print_message(sentence, 0);
    else if (*progress == OPENBEKEN_TEXT)
        (void)fprintf(stderr, "%s\n", sentence);
}

void openbeken_print_stage(void *context, const char *stage, size_t done, size_t total)
{
    const enum openbeken_progress *progress = context;
    if (*progress == OPENBEKEN_JSON)
        (void)fprintf(stderr, "{\"stage\":\"%s\",\"done\":%zu,\"total\":%zu}\n", stage, done,
                      total);
}

json_t *openbeken_report_json(const struct provision_options *options, const char *host,
                              const struct provision_report *report, const char *snippet,
                              json_t *adopted, enum status status, const struct error *failure)
{
    json_t *changed = json_array();
    for (size_t i = 0; i < report->changed_count; i++)
        (void)json_array_append_new(changed, json_string(report->changed[i]));
    json_t *online = report->waited ? json_boolean(report->observation.online) : json_null();
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:b, s:o, s:o, s:o, s:s}", "host",
                             host, "chipset", report->info.chipset, "build", report->info.build,
                             "mac", report->info.mac, "client_id", options->mqtt.client_id,
                             "changed", changed, "kept_old_script", report->kept_old_script,
                             "restarted", report->restarted, "online", online, "channels",
                             openbeken_channels_json(report->waited ? &report->observation : NULL),
                             "warnings", openbeken_advice_json(&report->advice), "config", snippet);
    (void)json_object_set_new(json, "adopted",
                              adopted == NULL ? json_null() : json_incref(adopted));
    (void)json_object_set_new(json, "error",
                              status == STATUS_OK ? json_null() : json_string(failure->text));
    return json;
}

void openbeken_print_report(const struct provision_report *report, const char *snippet)
{
    openbeken_print_advice(&report->advice);
    if (report->kept_old_script)
        (void)fprintf(stderr, "The script that was there before is now autoexec.old.\n");
    if (report->waited) {
        openbeken_print_channels(&report->observation);
        openbeken_warn_of_power(&report->observation);
    }
    if (snippet[0] != '\0')
        (void)printf("\nFor bridge.yaml:\n\n%s", snippet);
}

void openbeken_make_snippet(const struct provision_options *options, char snippet[SNIPPET_SIZE])
{
    struct text text;
    text_init(&text, snippet, SNIPPET_SIZE);
    if (options->profile != NULL)
        profile_append_bridge(options->profile, options->mqtt.client_id, options->name, &text);
}
