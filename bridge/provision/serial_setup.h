/* SPDX-License-Identifier: MIT */
/**
 * A module as it was bought, on a serial line, to its first readings on the broker: probe, line test,
 * backup, vendor's settings, firmware, configuration, restart, proof. Each step says what it does, and
 * if it fails, what to do by hand. Run again after an interruption, it does only what is missing.
 * Blocking; for commands.
 */
#ifndef BRIDGE_PROVISION_SERIAL_SETUP_H
#define BRIDGE_PROVISION_SERIAL_SETUP_H

#include "bridge/provision/broker_watch.h"
#include "bridge/provision/inputs.h"
#include "bridge/provision/obk_advice.h"
#include "drivers/beken/config_sector.h"
#include "drivers/beken/flasher.h"
#include "drivers/beken/tuya_report.h"

#include <jansson.h>
#include <limits.h>

/** What the steps need of whoever runs them. Each function gets context. */
struct serial_setup_host {
    void *context;
    /** A sentence for the person. */
    void (*say)(void *context, const char *sentence);
    /** Opens the port and links; *flasher stays the host's. */
    enum status (*open)(void *context, struct flasher **flasher, struct error *error);
    /** Lets go of the port. Also called when it was never opened. */
    void (*disconnect)(void *context);
    /** The backup that the write falls back on: made, or an earlier one of this module. *bytes: free(). */
    enum status (*keep_backup)(void *context, const char *path, uint8_t **bytes, bool *fresh,
                               struct error *error);
    /** A person wants it to end. */
    bool (*stopped)(void *context);
    /** Hands the module to the running service; *answer (json_decref) has its "id". */
    enum status (*adopt)(void *context, const struct profile *profile, const char *client_id,
                         const char *name, json_t **answer, struct error *error);
};

/** What came of it stays here, also after a failure. */
struct serial_setup {
    struct provision_inputs *inputs;
    const struct serial_setup_host *host;
    struct flasher *flasher;
    struct beken_module module; /**< as it was when the session ended */
    struct plan_place place;
    struct broker_watch *watch;
    bool foreign_online; /**< a client is online under this client id */
    char backup_path[PATH_MAX], vendor_path[PATH_MAX]; /**< "": none */
    uint8_t *backup;
    bool backup_is_fresh;
    struct tuya_report vendor;
    struct flasher_result result;
    struct config_sector sector;
    bool config_changed;
    int64_t deadline_boot_ms;
    bool waited; /**< observation is valid */
    struct broker_observation observation;
    struct obk_advice advice;
    json_t *adopted;          /**< NULL: was not */
    json_t *steps, *warnings; /**< lists: of {"step", "result"}, of sentences */
};

/** inputs are checked already; inputs and host are borrowed until serial_setup_end(). */
void serial_setup_begin(struct serial_setup *setup, struct provision_inputs *inputs,
                        const struct serial_setup_host *host);
enum status serial_setup_run(struct serial_setup *setup, struct error *error);
/** Every channel of the profile was seen on the broker. */
bool serial_setup_all_seen(const struct serial_setup *setup);
/** Frees what the setup holds; not the setup. */
void serial_setup_end(struct serial_setup *setup);

#endif
