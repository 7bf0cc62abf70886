/* SPDX-License-Identifier: MIT */
/**
 * New firmware for an OpenBeken module over the network (POST /api/ota). Blocking; for commands and for
 * a thread of the service.
 *
 * First everything is looked at: is the package whole and for this chip (by its content), does it still
 * read the second chip if that is in use. Up to there nothing is changed. The module then takes the
 * package, which switches its MQTT off, and is restarted, so that its bootloader unpacks it; the
 * bootloader checks the package once more and starts the old firmware if it is not whole. At the end
 * version, energy counter and settings are compared with those before. Nothing is sent that would touch
 * calibration or counters.
 */
#ifndef BRIDGE_PROVISION_UPDATE_H
#define BRIDGE_PROVISION_UPDATE_H

#include "bridge/provision/module.h"
#include "drivers/beken/app.h"

#define UPDATE_WARNINGS_MAX 4
#define UPDATE_WAIT_DEFAULT_MS 180000

struct update_package {
    uint8_t *bytes; /**< owned */
    size_t length;
    struct app app;
};

/** Reads and checks a file. STATUS_USAGE: it cannot be read; STATUS_REFUSED: see app_of_package. */
enum status update_package_load(const char *path, struct update_package *package,
                                struct error *error);
void update_package_free(struct update_package *package);

struct update_options {
    const struct update_package *package;
    const char *client_id; /**< the module must say that this is its MQTT client id; NULL: any */
    bool reinstall;        /**< also if the module has this version already */
    bool lose_channel;     /**< also if the package cannot read the second chip, which is in use */
    bool dry_run;          /**< look and check only */
    int64_t wait_ms;       /**< for the restart, unpacking included */
};

enum update_stage { UPDATE_CHECK, UPDATE_UPLOAD, UPDATE_RESTART, UPDATE_VERIFY };
const char *update_stage_name(enum update_stage stage);

struct update_listener {
    void *context;
    void (*say)(void *context, const char *sentence); /**< may be NULL */
    /** done of total: bytes for the upload, else 0 or 1 of 1. May be NULL. False: the upload is broken
     *  off and the module restarted with its old firmware, or its restart is not waited for. */
    bool (*progress)(void *context, enum update_stage stage, uint64_t done, uint64_t total);
};

struct update_report {
    struct obk_info before, after; /**< after is valid if updated */
    char from[40], to[40];         /**< versions; to is the package's until updated */
    bool updated;                  /**< it runs the new firmware */
    bool has_energy;               /**< an energy driver ran before; then what it said: */
    struct obk_energy energy_before, energy_after;
    size_t warning_count;
    char warnings[UPDATE_WARNINGS_MAX][300];
};

/**
 * STATUS_OK: it runs the new firmware, or had it already (updated is false). STATUS_REFUSED: nothing was
 * done, because the package is for another chip or would lose a channel. STATUS_NO_ANSWER: the module
 * does not answer, or did not come back. STATUS_MISMATCH: it came back with the old firmware.
 * STATUS_FAILED: the upload failed; the sentence says in what state the module is.
 */
enum status update_run(const struct update_options *options, struct module *module,
                       const struct update_listener *listener, struct update_report *report,
                       struct error *error);

#endif
