/* SPDX-License-Identifier: MIT */
/**
 * What an OpenBeken module answers over HTTP, understood. Pure; every input is taken for hostile. What it
 * publishes on MQTT is drivers/openbeken/codec.h's.
 *
 * The firmware's JSON is not always JSON: numbers may be inf or nan, texts are written without
 * escaping (OpenBK7231T_App, src/httpserver/json_interface.c). What can be repaired is: inf and nan are
 * read as null, control characters inside a text as blanks.
 */
#ifndef BRIDGE_PROVISION_OBK_ANSWER_H
#define BRIDGE_PROVISION_OBK_ANSWER_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBK_ANSWER_MAX 65536 /**< bytes of an answer that are read */
#define OBK_TEXT_SIZE 160
#define OBK_SCRIPT_SIZE 2048

/** GET /api/info. Texts that are missing or too long for their place are "" or cut. */
struct obk_info {
    int64_t uptime_s; /**< -1: unknown */
    char build[OBK_TEXT_SIZE];
    char ip[OBK_TEXT_SIZE], mac[OBK_TEXT_SIZE];
    uint64_t flags; /**< bit n is flag n */
    char mqtt_host[OBK_TEXT_SIZE];
    int mqtt_port;
    char client_id[OBK_TEXT_SIZE];
    char chipset[OBK_TEXT_SIZE];
    char short_name[OBK_TEXT_SIZE];
    char startup_command[OBK_SCRIPT_SIZE];
};

/** STATUS_FAILED if this is not an OpenBeken module's answer. */
enum status obk_parse_info(const char *bytes, size_t length, struct obk_info *info,
                           struct error *error);

/** What the first chip measures. NAN: the module does not know. */
struct obk_energy {
    double voltage_v, current_a, power_w, frequency_hz, total_wh;
};

/** Status 0 or Status 8. */
struct obk_status {
    bool is_obk;              /**< StatusFWR.SDK says so; only in Status 0 */
    char name[OBK_TEXT_SIZE]; /**< the full device name; only in Status 0 */
    char mqtt_user[OBK_TEXT_SIZE];
    bool has_energy; /**< an energy driver runs */
    struct obk_energy energy;
};

enum status obk_parse_status(const char *bytes, size_t length, struct obk_status *status,
                             struct error *error);

/**
 * POST /api/cmnd. STATUS_OK if the module did it. unknown (may be NULL) is set when this build has no
 * such command, which is STATUS_FAILED.
 */
enum status obk_parse_command(const char *command, const char *bytes, size_t length, bool *unknown,
                              struct error *error);

/** POST /api/lfs/NAME: STATUS_OK if that file was written with that size. */
enum status obk_parse_written(const char *name, size_t size, const char *bytes, size_t length,
                              struct error *error);

/** GET /api/lfs/: size is that of the file, -1 if it is not in the list. */
enum status obk_parse_list(const char *name, const char *bytes, size_t length, int64_t *size,
                           struct error *error);

/** POST /api/ota: STATUS_OK if all bytes were taken. */
enum status obk_parse_taken(size_t size, const char *bytes, size_t length, struct error *error);

/** The firmware's version in what /api/info calls build ("Built on ... version 1.18.300"); "" if there
 *  is none. */
void obk_build_version(const char *build, char *version, size_t size);

/** The same on MQTT ("OpenBK7231N 1.18.300 Aug 2 ..."), with the chip: "" if it is not said. Both
 *  are letters, digits and ._+- only. False if there is no version. */
bool obk_parse_build(const char *payload, size_t length, char chip[16], char version[40]);

/** Like strcmp, by the numbers between the dots: 1.9 is less than 1.18. What follows them ("_twin") does
 *  not count. */
int obk_compare_versions(const char *one, const char *other);

/** POST /api/reboot. */
enum status obk_parse_reboot(const char *bytes, size_t length, struct error *error);

#endif
