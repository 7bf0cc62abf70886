/* SPDX-License-Identifier: MIT */
/** What `openbeken provision` answers with: what it would send, and what it did. */
#ifndef BRIDGE_COMMANDS_OPENBEKEN_REPORT_H
#define BRIDGE_COMMANDS_OPENBEKEN_REPORT_H

#include "bridge/provision/module.h"
#include "bridge/provision/provision.h"

#include <jansson.h>
#include <stdbool.h>

#define SNIPPET_SIZE 4096

/** The lines for bridge.yaml; "" without a profile. */
void openbeken_make_snippet(const struct provision_options *options, char snippet[SNIPPET_SIZE]);

/** --dry-run: prints each request, or all of them as JSON. */
enum status openbeken_show_requests(const struct provision_options *options,
                                    const struct module *module, bool json, struct error *error);

enum openbeken_progress { OPENBEKEN_TEXT, OPENBEKEN_JSON, OPENBEKEN_SILENT };

/** How the work goes, on stderr; context: an enum openbeken_progress. */
void openbeken_print_progress(void *context, const char *sentence);
void openbeken_print_stage(void *context, const char *stage, size_t done, size_t total);

/** snippet: the lines for bridge.yaml. adopted: the service's answer, or NULL. failure: read unless status is
 *  STATUS_OK. */
json_t *openbeken_report_json(const struct provision_options *options, const char *host,
                              const struct provision_report *report, const char *snippet,
                              json_t *adopted, enum status status, const struct error *failure);
void openbeken_print_report(const struct provision_report *report, const char *snippet);

#endif
