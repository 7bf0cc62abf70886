/* SPDX-License-Identifier: MIT */
/**
 * An OpenBeken module on the network: questions and orders, one function each. What only reads is
 * tried up to three times when the connection breaks; what changes something is sent once.
 *
 * All return STATUS_OK, or what http_ask returns, or STATUS_FAILED when the answer is not as it must
 * be; the sentence names the host or the command.
 */
#ifndef BRIDGE_PROVISION_MODULE_H
#define BRIDGE_PROVISION_MODULE_H

#include "bridge/provision/http.h"
#include "bridge/provision/obk_answer.h"
#include "bridge/provision/obk_request.h"

#define MODULE_FILE_MAX (OBK_BODY_SIZE - 1) /**< bytes; longer ones are refused */

struct module;

enum status module_open(const struct http_options *options, struct module **module,
                        struct error *error);
/** NULL is allowed. */
void module_close(struct module *module);
const char *module_host(const struct module *module);

enum status module_info(struct module *module, struct obk_info *info, struct error *error);
/** which: 0 or 8 */
enum status module_status(struct module *module, int which, struct obk_status *status,
                          struct error *error);
/** unknown (may be NULL): see obk_parse_command. */
enum status module_command(struct module *module, const char *command, bool *unknown,
                           struct error *error);
/**
 * Whether this build can read two chips: whether it knows BL0942opts, which without an argument only
 * tells its setting (OpenBK7231T_App, src/driver/drv_bl0942.c).
 */
enum status module_has_twin(struct module *module, bool *twin, struct error *error);

/** The file's bytes, NUL-terminated (free()); NULL with STATUS_OK if there is no such file. Compared
 *  in size with the list of files, because an answer may break off unnoticed. */
enum status module_read_file(struct module *module, const char *name, char **bytes, size_t *length,
                             struct error *error);

/** Sends a request that writes, restarts or deletes, and judges the answer by what it was. */
enum status module_order(struct module *module, const struct obk_request *request,
                         struct error *error);

/**
 * Waits until the module answers with an uptime that began after its restart was ordered.
 * STATUS_NO_ANSWER if it does not by the deadline; say in front of it what that means. go_on (may be
 * NULL) is asked now and then; false: STATUS_FAILED.
 */
enum status module_wait_return(struct module *module, int64_t ordered_boot_ms,
                               int64_t deadline_boot_ms, bool (*go_on)(void *context),
                               void *context, struct obk_info *info, struct error *error);

/** POST /api/ota: the module writes the package into its flash, and uses it after a restart. MQTT is
 *  off from then on until the restart. progress may be NULL. */
enum status module_upload(struct module *module, const uint8_t *package, size_t length,
                          http_progress progress, void *context, struct error *error);

#endif
