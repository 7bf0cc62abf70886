/* SPDX-License-Identifier: MIT */
#include "bridge/requests/table.h"

#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

#define FACTOR_MIN 1.0 /* calibration.h: what a board can have */
#define FACTOR_MAX 1e8
#define ENERGY_KWH_MAX 9.0e6 /* nine gigawatt hours still fit microwatt hours in 64 bits */
#define PATH_BYTES_MAX 4095

#define END                                                                                        \
    {                                                                                              \
        .key = NULL                                                                                \
    }

/* Rows that many requests share. */
#define ID_OF_DEVICE                                                                               \
    {                                                                                              \
        .key = "id", .also = "device", .type = REQUEST_DEVICE, .low = 1, .high = 256,              \
        .required = true, .help = "the device's id, or its name"                                   \
    }
#define CHANNEL_OF_DEVICE                                                                          \
    {                                                                                              \
        .key = "channel", .type = REQUEST_TEXT, .low = 1, .high = 15, .required = true,            \
        .help = "the channel's name"                                                               \
    }
#define FACTOR(name)                                                                               \
    {                                                                                              \
        .key = name, .type = REQUEST_NUMBER, .low = FACTOR_MIN, .high = FACTOR_MAX,                \
        .help = "factor in counts per unit; default: unchanged"                                    \
    }
#define DEVICE_ASKED(needed)                                                                       \
    {                                                                                              \
        .key = "device", .also = "id", .type = REQUEST_DEVICE, .low = 1, .high = 256,              \
        .required = needed, .help = "the device's id, or its name" needed##_DEFAULT                \
    }
#define true_DEFAULT ""
#define false_DEFAULT "; default: all"
#define CHANNEL_ASKED                                                                              \
    {                                                                                              \
        .key = "channel", .type = REQUEST_TEXT, .low = 1, .high = 15,                              \
        .help = "one channel; default: the sum, or all"                                            \
    }
#define SPAN_ASKED(default_from)                                                                   \
    {.key = "from", .type = REQUEST_TEXT, .low = 1, .help = "begin; default: " default_from},      \
    {                                                                                              \
        .key = "to", .type = REQUEST_TEXT, .low = 1, .help = "end, not included; default: now"     \
    }

static const struct request_argument log_level_rows[] = {
    {.key = "level",
     .also = "value",
     .type = REQUEST_CHOICE,
     .words = "error|warning|info|debug",
     .required = true,
     .help = "the level"},
    END,
};

static const struct request_argument options_rows[] = {
    {.key = "options",
     .type = REQUEST_OBJECT,
     .required = true,
     .help = "a piece of bridge.yaml: the keys to change, nested as there"},
    END,
};

static const struct request_argument mqtt_test_rows[] = {
    {.key = "mqtt",
     .type = REQUEST_OBJECT,
     .help = "keys of `mqtt` in bridge.yaml to try; default: those in force"},
    END,
};

static const struct request_argument scan_rows[] = {
    {.key = "port",
     .type = REQUEST_TEXT,
     .low = 1,
     .high = PATH_BYTES_MAX,
     .required = true,
     .help = "the serial port"},
    {.key = "baud", .type = REQUEST_INTEGER, .low = 4800, .high = 38400, .help = "only this rate"},
    END,
};

static const struct request_argument permit_join_rows[] = {
    {.key = "time",
     .type = REQUEST_INTEGER,
     .low = 0,
     .high = 3600,
     .help = "seconds to listen; default: 75; 0 ends the search"},
    {.key = "value",
     .type = REQUEST_ANY,
     .help = "Zigbee2MQTT's older form: true, false, or the seconds"},
    END,
};

static const struct request_argument backup_rows[] = {
    {.key = "include_config",
     .type = REQUEST_FLAG,
     .help = "also back up bridge.yaml and secrets.yaml; default: false"},
    END,
};

static const struct request_argument restore_rows[] = {
    {.key = "history", .type = REQUEST_FLAG, .help = "restore the history; default: true"},
    {.key = "config",
     .type = REQUEST_FLAG,
     .help = "restore bridge.yaml and secrets.yaml; default: false"},
    END,
};

#define TEXT_OF_MODULE(name, words)                                                                \
    {                                                                                              \
        .key = name, .type = REQUEST_TEXT, .low = 1, .high = 255, .help = words                    \
    }

/* clang-format off */
#define BROKER_OF_MODULE(user)                                                                     \
    TEXT_OF_MODULE("mqtt_host", "the broker, as the module reaches it"),                           \
    {.key = "mqtt_port", .type = REQUEST_INTEGER, .low = 1, .high = 65535, .help = "default: 1883"}, \
    TEXT_OF_MODULE("mqtt_user", user),                                                             \
    TEXT_OF_MODULE("mqtt_password", "its password")

#define PROOF_OF_MODULE                                                                            \
    {.key = "wait", .type = REQUEST_INTEGER, .low = 1, .high = 3600,                               \
     .help = "seconds to wait for its first readings; default: 150"},                              \
    {.key = "adopt", .type = REQUEST_FLAG, .help = "then add it to this bridge; default: true"}
/* clang-format on */

static const struct request_argument flash_start_rows[] = {
    {.key = "job",
     .type = REQUEST_CHOICE,
     .words = "probe|link-test|backup|provision",
     .required = true,
     .help = "the command of `bl2mqtt flash` to run"},
    {.key = "port",
     .type = REQUEST_TEXT,
     .low = 1,
     .high = PATH_BYTES_MAX,
     .required = true,
     .help = "the adapter's serial port"},
    {.key = "reset",
     .type = REQUEST_CHOICE,
     .words = "none|rts|dtr|rts-dtr",
     .help = "the adapter's line that pulls CEN; default: none"},
    {.key = "baud",
     .type = REQUEST_INTEGER,
     .low = 9600,
     .high = 4000000,
     .help = "keep to this rate; default: the best one"},
    {.key = "timeout",
     .type = REQUEST_INTEGER,
     .low = 1,
     .high = 3600,
     .help = "seconds to wait for the module; default: 60"},
    {.key = "firmware",
     .type = REQUEST_TEXT,
     .low = 1,
     .high = PATH_BYTES_MAX,
     .help =
         "`upload`: the file of `PUT /api/v1/upload/firmware`; else a file in `bridge.data_dir` "
         "or `openbeken.images`"},
    TEXT_OF_MODULE("profile", "kind of meter, of `flash/profiles`"),
    TEXT_OF_MODULE("client_id", "the module's MQTT client id"),
    TEXT_OF_MODULE("name", "the module's name; default: none"),
    TEXT_OF_MODULE("wifi_ssid", "the network that it is to join"),
    TEXT_OF_MODULE("wifi_password", "its password; absent: the network is open"),
    BROKER_OF_MODULE("user at the broker; default: none"),
    TEXT_OF_MODULE("module_host", "where it will be on the network; default: as it reports"),
    PROOF_OF_MODULE,
    END,
};

static const struct request_argument openbeken_provision_rows[] = {
    {.key = "host",
     .type = REQUEST_TEXT,
     .low = 1,
     .high = 255,
     .required = true,
     .help = "the module's address on the network"},
    TEXT_OF_MODULE("web_password", "of its web pages, if it has one"),
    TEXT_OF_MODULE("profile", "kind of meter, of `flash/profiles`; default: script and flags stay"),
    TEXT_OF_MODULE("client_id", "the MQTT client id that it is to have"),
    TEXT_OF_MODULE("name", "its name; default: stays"),
    BROKER_OF_MODULE("user at the broker; default: user and password stay"),
    PROOF_OF_MODULE,
    END,
};

static const struct request_argument device_add_rows[] = {
    {.key = "id",
     .type = REQUEST_TEXT,
     .low = 1,
     .high = 63,
     .help = "the device's id; default: made from name, topic or driver"},
    END,
};

static const struct request_argument device_adopt_rows[] = {
    {.key = "topic",
     .type = REQUEST_TEXT,
     .low = 0,
     .high = 63,
     .required = true,
     .help = "the module's MQTT client id; of one with ESPHome, its `topic_prefix`"},
    {.key = "driver",
     .type = REQUEST_CHOICE,
     .words = "openbeken|esphome",
     .help = "the module's firmware; default: `openbeken`"},
    {.key = "id",
     .type = REQUEST_TEXT,
     .low = 0,
     .high = 32,
     .help = "the device's id; default: made from the last word of `topic`"},
    {.key = "name", .type = REQUEST_TEXT, .high = 256, .help = "for people; default: the id"},
    {.key = "channels",
     .type = REQUEST_LIST,
     .low = 1,
     .high = 2,
     .help =
         "`[\"a\"]`, `[\"b\"]` or `[\"a\",\"b\"]`; default: what the last `permit_join` received "
         "of the module, or else `[\"a\"]`"},
    {.key = "energy_unit",
     .type = REQUEST_TEXT,
     .high = 7,
     .help = "`Wh`, `kWh` or `auto`, of a module with OpenBeken; default: `auto`"},
    {.key = "max_current",
     .type = REQUEST_NUMBER,
     .low = 0.1,
     .high = 5000,
     .help = "amperes that it can measure; default: that of `mains.max_current`"},
    END,
};

static const struct request_argument device_rows[] = {ID_OF_DEVICE, END};

static const struct request_argument device_remove_rows[] = {
    ID_OF_DEVICE,
    {.key = "history",
     .type = REQUEST_FLAG,
     .help = "false would delete its history as well, and is refused for now; default: true"},
    {.key = "force", .type = REQUEST_FLAG, .help = "Zigbee2MQTT's; has no effect"},
    {.key = "block", .type = REQUEST_FLAG, .help = "Zigbee2MQTT's; has no effect"},
    END,
};

static const struct request_argument device_rename_rows[] = {
    {.key = "from",
     .type = REQUEST_TEXT,
     .low = 1,
     .high = 256,
     .required = true,
     .help = "the device's id or present name"},
    {.key = "to",
     .type = REQUEST_TEXT,
     .low = 1,
     .high = 256,
     .required = true,
     .help = "its new name, or its new id"},
    {.key = "id",
     .type = REQUEST_FLAG,
     .help = "true: `to` is the new id; its history follows, and Home Assistant keeps its "
             "entities; default: false"},
    {.key = "homeassistant_rename", .type = REQUEST_FLAG, .help = "Zigbee2MQTT's; has no effect"},
    END,
};

static const struct request_argument device_options_rows[] = {
    ID_OF_DEVICE,
    {.key = "options",
     .type = REQUEST_OBJECT,
     .required = true,
     .help = "the keys to change, as in the device's block of bridge.yaml"},
    END,
};

static const struct request_argument device_calibrate_rows[] = {
    ID_OF_DEVICE,
    CHANNEL_OF_DEVICE,
    {.key = "voltage", .type = REQUEST_NUMBER, .low = 1, .high = 1000, .help = "true volts"},
    {.key = "current", .type = REQUEST_NUMBER, .low = 0.001, .high = 10000, .help = "true amperes"},
    {.key = "power", .type = REQUEST_NUMBER, .low = 0.1, .high = 1e6, .help = "true watts"},
    {.key = "seconds",
     .type = REQUEST_INTEGER,
     .low = 3,
     .high = 600,
     .help = "how long to measure; default: 20"},
    {.key = "apply",
     .type = REQUEST_FLAG,
     .help = "store the result and use it from now on; default: false"},
    END,
};

static const struct request_argument calibration_set_rows[] = {
    ID_OF_DEVICE,
    CHANNEL_OF_DEVICE,
    FACTOR("voltage"),
    FACTOR("current"),
    FACTOR("power"),
    {.key = "force",
     .type = REQUEST_FLAG,
     .help = "set factors that do not fit each other; default: false"},
    END,
};

static const struct request_argument energy_set_rows[] = {
    ID_OF_DEVICE,
    CHANNEL_OF_DEVICE,
    {.key = "energy",
     .type = REQUEST_NUMBER,
     .low = 0,
     .high = ENERGY_KWH_MAX,
     .help = "kWh drawn; default: unchanged"},
    {.key = "energy_produced",
     .type = REQUEST_NUMBER,
     .low = 0,
     .high = ENERGY_KWH_MAX,
     .help = "kWh fed back; default: unchanged"},
    END,
};

static const struct request_argument history_energy_rows[] = {
    DEVICE_ASKED(true),
    CHANNEL_ASKED,
    SPAN_ASKED("24 hours, 7 days, 12 months or 10 years before `to`"),
    {.key = "bucket",
     .type = REQUEST_CHOICE,
     .words = "15m|hour|day|month|year",
     .help = "default: `day`"},
    END,
};

static const struct request_argument history_power_rows[] = {
    DEVICE_ASKED(true),
    CHANNEL_ASKED,
    SPAN_ASKED("24 hours before `to`"),
    {.key = "points",
     .type = REQUEST_INTEGER,
     .low = 1,
     .high = 99999,
     .help = "at most so many rows; default: 300"},
    {.key = "bucket", .type = REQUEST_TEXT, .low = 1, .high = 15, .help = "length of a row: `15m`"},
    END,
};

static const struct request_argument history_cost_rows[] = {
    DEVICE_ASKED(true),
    CHANNEL_ASKED,
    SPAN_ASKED("7 days, 12 months or 10 years before `to`"),
    {.key = "bucket",
     .type = REQUEST_CHOICE,
     .words = "day|month|year",
     .help = "default: `month`"},
    END,
};

static const struct request_argument history_gaps_rows[] = {
    DEVICE_ASKED(false),
    CHANNEL_ASKED,
    SPAN_ASKED("7 days before `to`"),
    {.key = "min",
     .type = REQUEST_TEXT,
     .low = 1,
     .high = 15,
     .help = "only gaps that are longer, such as `1m`"},
    END,
};

static const struct request_argument history_events_rows[] = {
    DEVICE_ASKED(false),
    CHANNEL_ASKED,
    SPAN_ASKED("7 days before `to`"),
    END,
};

static const struct request_argument history_voltage_rows[] = {
    DEVICE_ASKED(true),
    CHANNEL_ASKED,
    SPAN_ASKED("7 days or 4 weeks before `to`"),
    {.key = "bucket", .type = REQUEST_CHOICE, .words = "day|week", .help = "default: `week`"},
    END,
};

static const struct request_argument recalibrate_rows[] = {
    DEVICE_ASKED(true),
    CHANNEL_OF_DEVICE,
    {.key = "since", .type = REQUEST_TEXT, .low = 1, .help = "begin of the time to correct"},
    {.key = "until", .type = REQUEST_TEXT, .low = 1, .help = "its end; default: now"},
    FACTOR("voltage"),
    FACTOR("current"),
    FACTOR("power"),
    {.key = "calibration",
     .type = REQUEST_ANY,
     .help = "the number of a calibration, instead of factors"},
    {.key = "undo", .type = REQUEST_FLAG, .help = "take the last correction back"},
    {.key = "dry_run", .type = REQUEST_FLAG, .help = "only answer what would change"},
    END,
};

static const struct request_argument backfill_rows[] = {
    {.key = "dry_run", .type = REQUEST_FLAG, .help = "only answer what would be imported"},
    END,
};

static const struct request_argument clear_announcements_rows[] = {
    {.key = "topic",
     .type = REQUEST_TEXT,
     .low = 1,
     .high = 63,
     .required = true,
     .help = "the module's MQTT client id"},
    END,
};

#define ROW(request, member, ...)                                                                  \
    {                                                                                              \
        .name = (request), .handler = offsetof(struct request_handlers, member), __VA_ARGS__       \
    }

const struct request_row request_rows[] = {
    ROW("health_check", health_check, .plain = "", .help = "answers `{\"healthy\":true}`"),
    ROW("restart", restart, .plain = "",
        .help = "loads bridge.yaml again and starts everything anew"),
    ROW("log_level", log_level, .plain = "level", .arguments = log_level_rows,
        .help =
            "sets `bridge.log_level` at once, and answers `{\"level\"}` when bridge.yaml has it"),
    ROW("options", options, .arguments = options_rows,
        .help = "changes settings live and writes them to bridge.yaml; answers "
                "`{\"changed\":[\"bridge.log_level\"],\"restart_required\":false}`"),
    ROW("ports", ports, .plain = "", .help = "the serial ports, as `bl2mqtt ports --json`"),
    ROW("scan", scan, .plain = "port", .arguments = scan_rows,
        .help = "looks for BL0942 chips on a port, as `bl2mqtt scan --json`"),
    ROW("mqtt/test", mqtt_test, .plain = "", .arguments = mqtt_test_rows,
        .help = "connects to a broker as `bl2mqtt check --online`, and changes nothing; answers "
                "`{\"connected\":false,\"reason\":\"...\"}`"),
    ROW("permit_join", permit_join, .plain = "value", .arguments = permit_join_rows,
        .help = "listens for OpenBeken modules, then answers "
                "`{\"connected\",\"modules\":[...],\"cleared\"}`"),
    ROW("backup", backup, .plain = "", .arguments = backup_rows,
        .help = "backs the history up; answers `{\"path\",\"bytes\"}` when the backup is complete "
                "and checked"),
    ROW("restore/check", restore_check, .plain = "", .trusted = true,
        .help =
            "unpacks and checks the backup of `PUT /api/v1/upload/backup`, and changes nothing; "
            "answers what is in it. HTTP only, as the next two"),
    ROW("restore", restore, .trusted = true, .arguments = restore_rows,
        .help = "ends the service, puts the checked backup in the place of what is there, which is "
                "kept, and begins again; totals do not fall"),
    ROW("restore/state", restore_state, .plain = "", .trusted = true,
        .help = "answers what the last `restore` did: `{\"checking\",\"last\":{\"time\",\"ok\","
                "\"sentence\"}}`"),
    ROW("flash/profiles", flash_profiles, .plain = "",
        .help = "the kinds of meter that are known, as `bl2mqtt profiles --json`"),
    ROW("flash/start", flash_start, .trusted = true, .arguments = flash_start_rows,
        .help = "begins a job on a module at a serial port, one at a time; answers at once, `GET "
                "/api/v1/job` and the stream's event `job` have how it goes. HTTP only"),
    ROW("flash/cancel", flash_cancel, .plain = "", .trusted = true,
        .help = "asks the job that runs to end at the next safe moment. HTTP only"),
    ROW("openbeken/provision", openbeken_provision, .trusted = true,
        .arguments = openbeken_provision_rows,
        .help = "begins the job `bl2mqtt openbeken provision` on a module that is on the network; "
                "otherwise as `flash/start`, and `flash/cancel` ends it. HTTP only"),
    ROW("device/add", device_add, .open = true, .arguments = device_add_rows,
        .help = "adds a device, written as in bridge.yaml; answers `{\"id\"}`"),
    ROW("device/adopt", device_adopt, .plain = "topic", .arguments = device_adopt_rows,
        .help = "adds a module with OpenBeken or ESPHome; answers "
                "`{\"id\",\"topic\",\"name\",\"channels\","
                "\"new\"}`"),
    ROW("device/remove", device_remove, .plain = "id", .arguments = device_remove_rows,
        .help = "stops a device and takes it out of bridge.yaml, the broker and Home Assistant; "
                "answers `{\"id\"}`"),
    ROW("device/rename", device_rename, .arguments = device_rename_rows,
        .help = "gives a device another name or id; answers `{\"from\",\"to\"}`"),
    ROW("device/enable", device_enable, .plain = "id", .arguments = device_rows,
        .help = "starts a disabled device; answers `{\"id\"}`"),
    ROW("device/disable", device_disable, .plain = "id", .arguments = device_rows,
        .help = "stops a device: it is offline and its source is not asked; answers `{\"id\"}`"),
    ROW("device/options", device_options, .arguments = device_options_rows,
        .help = "changes settings of one device live and writes them to bridge.yaml; answers as "
                "`options`"),
    ROW("device/raw", device_raw, .plain = "id", .arguments = device_rows,
        .help = "what the source of each channel delivered last, before any calibration, and its "
                "counters of errors; nothing is asked of the meter for it"),
    ROW("device/calibrate", device_calibrate, .arguments = device_calibrate_rows,
        .help = "measures and checks as `bl2mqtt calibrate`; answers with the old and the new "
                "factors"),
    ROW("device/calibration/set", device_calibration_set, .arguments = calibration_set_rows,
        .help = "sets factors from now on, until those in bridge.yaml change; totals continue from "
                "where they are"),
    ROW("device/energy/set", device_energy_set, .arguments = energy_set_rows,
        .help = "sets totals: the only way they can go down; refused while the disk refuses"),
    ROW("device/update", device_update, .plain = "id", .arguments = device_rows,
        .help = "gives an OpenBeken module the newest package of `openbeken.images` that fits; "
                "answers `{\"id\",\"from\",\"to\"}` when the module is back"),
    ROW("history/energy", history_energy, .arguments = history_energy_rows,
        .help = "as `bl2mqtt history energy --json`"),
    ROW("history/power", history_power, .arguments = history_power_rows,
        .help = "as `bl2mqtt history power --json`"),
    ROW("history/cost", history_cost, .arguments = history_cost_rows,
        .help = "as `bl2mqtt history cost --json`"),
    ROW("history/gaps", history_gaps, .arguments = history_gaps_rows,
        .help = "as `bl2mqtt history gaps --json`"),
    ROW("history/events", history_events, .arguments = history_events_rows,
        .help = "as `bl2mqtt history events --json`"),
    ROW("history/voltage", history_voltage, .arguments = history_voltage_rows,
        .help = "as `bl2mqtt history voltage --json`"),
    ROW("history/recalibrate", history_recalibrate, .arguments = recalibrate_rows,
        .help = "corrects the past; answers with energy, totals and factors before and after"),
    ROW("homeassistant/refresh", homeassistant_refresh, .plain = "",
        .help = "announces all devices to Home Assistant anew"),
    ROW("homeassistant/backfill", homeassistant_backfill, .arguments = backfill_rows,
        .help = "imports hours of energy that Home Assistant missed (`homeassistant.backfill`); "
                "answers "
                "`{\"dry_run\",\"statistics\":[{\"statistic_id\",\"hours\",\"from\",\"to\","
                "\"energy_kwh\",\"imported\"}]}`"),
    ROW("homeassistant/purge", homeassistant_purge, .plain = "",
        .help = "removes announcements of this bridge that no device stands behind; answers "
                "`{\"removed\"}`"),
    ROW("openbeken/clear_announcements", openbeken_clear_announcements, .plain = "topic",
        .arguments = clear_announcements_rows,
        .help = "removes what a module announced to Home Assistant itself; `cleared` is their "
                "number"),
};
const size_t request_row_count = sizeof request_rows / sizeof request_rows[0];

const struct request_row *request_row_find(const char *name)
{
    for (size_t i = 0; i < request_row_count; i++)
        if (strcmp(request_rows[i].name, name) == 0)
            return &request_rows[i];
    return NULL;
}

/* ---- what is derived from the table ---- */

json_t *request_row_schema(const struct request_row *row)
{
    json_t *schema = arguments_schema(row->arguments);
    (void)json_object_set_new(schema, "description", json_string(row->help));
    (void)json_object_set_new(schema, "additionalProperties", json_true());
    return schema;
}

json_t *requests_schema(void)
{
    json_t *all = json_object();
    for (size_t i = 0; i < request_row_count; i++)
        (void)json_object_set_new(all, request_rows[i].name, request_row_schema(&request_rows[i]));
    return all;
}

static void write_bounds(FILE *out, const struct request_argument *row)
{
    switch (row->type) {
    case REQUEST_CHOICE:
        (void)fputs("one of ", out);
        for (const char *at = row->words; *at != '\0';) {
            int length = (int)strcspn(at, "|");
            (void)fprintf(out, "`%.*s`%s", length, at, at[length] == '|' ? ", " : "");
            at += length + (at[length] == '|' ? 1 : 0);
        }
        break;
    case REQUEST_NUMBER:
    case REQUEST_INTEGER:
        (void)fprintf(out, "%s", row->type == REQUEST_NUMBER ? "number" : "integer");
        if (row->low < row->high)
            (void)fprintf(out, ", %.10g to %.10g", row->low, row->high);
        break;
    case REQUEST_TEXT:
    case REQUEST_DEVICE:
        (void)fputs("text", out);
        break;
    case REQUEST_FLAG:
        (void)fputs("true or false", out);
        break;
    case REQUEST_LIST:
        (void)fputs("list of texts", out);
        break;
    case REQUEST_OBJECT:
        (void)fputs("object", out);
        break;
    case REQUEST_ANY:
        (void)fputs("any", out);
        break;
    }
}

static void write_row(FILE *out, const struct request_row *row)
{
    (void)fprintf(out, "| `%s` | | | %s |\n", row->name, row->help);
    for (const struct request_argument *argument = row->arguments;
         argument != NULL && argument->key != NULL; argument++) {
        (void)fprintf(out, "| | `%s`%s | ", argument->key, argument->required ? " (needed)" : "");
        write_bounds(out, argument);
        (void)fprintf(out, " | %s |\n", argument->help);
    }
}

char *request_reference(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return memory_copy_text("");
    (void)fputs("| X | key | value | meaning |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < request_row_count; i++)
        write_row(out, &request_rows[i]);
    if (fclose(out) == 0)
        return text;
    free(text);
    return memory_copy_text("");
}
