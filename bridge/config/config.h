/* SPDX-License-Identifier: MIT */
/**
 * bridge.yaml in memory. One table (fields.c) names every key with its type, range, default and
 * meaning; the parser, the checks, `bl2mqtt check --print-defaults`, schema/bridge.schema.json's
 * test and docs/configuration.md come from it.
 *
 * All texts are owned by the config and never NULL unless said; an absent optional text is "".
 *
 * The environment overrides the file: BL2MQTT_MQTT__SERVER sets mqtt.server, two underscores stand
 * for a step down. Devices are addressed by id and channels by name, in capitals and with '-' as
 * '_': BL2MQTT_DEVICES__MY_HOUSE__CHANNELS__A__INVERT. Devices and channels can be changed that way
 * but not added. Any other variable that begins with BL2MQTT_ is an error.
 */
#ifndef BRIDGE_CONFIG_CONFIG_H
#define BRIDGE_CONFIG_CONFIG_H

#include "bridge/meter/calibration.h"
#include "drivers/base/log.h"
#include "drivers/base/status.h"
#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_DEVICES_MAX 8192

struct config_bridge {
    char *id;       /**< [a-z0-9_-]{1,32} */
    char *data_dir; /**< as configured; relative to the working directory */
    enum log_level log_level;
};

struct config_mqtt {
    char *server; /**< mqtt://host:port or mqtts://host:port; the port is always there */
    char *base_topic;
    char *user;
    char *password;
    char *client_id; /**< "" = derived from bridge.id: "bl2mqtt_<id>" */
    int64_t keepalive_ms;
    int version; /**< 4 (3.1.1) or 5 */
    char *ca, *cert, *key;
    bool insecure; /**< mqtts without checking the certificate */
    bool retain;   /**< false: nothing is published as retained */
};

struct config_homeassistant {
    bool enabled;
    char *discovery_prefix;
    char *status_topic;                  /**< Home Assistant's birth topic */
    bool device_discovery;               /**< true: device (HA >= 2024.11), false: component */
    char *backfill_url, *backfill_token; /**< "": nothing is filled in */
};

struct config_history {
    char *path; /**< in data_dir unless absolute */
    int64_t commit_interval_ms;
    int64_t clock_wait_ms; /**< after boot */
    char *time_zone;       /**< "system", or an IANA name that this machine knows */
    int64_t keep_raw_ms, keep_minute_ms, keep_hour_ms; /**< -1: unlimited */
    char *backup_time;                                 /**< "off" or "03:30" of the local clock */
    int64_t backup_keep;                               /**< copies, at least 1 */
    char *backup_folder; /**< in data_dir unless absolute; "": beside the history */
};

enum price_unit { PRICE_UNIT_KWH, PRICE_UNIT_MWH, PRICE_UNIT_CENTS };

/** Where the prices of dynamic tariffs come from. */
struct config_prices {
    char *topic; /**< "" none */
    char *file;  /**< in data_dir unless absolute; "" none */
    int unit;    /**< enum price_unit */
};

/** Where the CO2 intensities come from. */
struct config_co2 {
    char *topic; /**< "" none */
    char *file;  /**< in data_dir unless absolute; "" none */
};

struct config_tariff_window {
    char *from, *to;                    /**< "22:00"; "24:00" for the end of the day */
    char *days;                         /**< "mon-fri" */
    char *months;                       /**< "oct-mar" */
    int64_t price_micro, feed_in_micro; /**< TARIFF_ABSENT: the tariff's own */
};

/** As written; what the texts mean: bridge/meter/tariff.h. */
struct config_tariff {
    char *valid_from; /**< "2026-01-01", "": always */
    char *currency;   /**< "EUR" */
    int64_t price_micro, feed_in_micro, standing_charge_micro;
    bool dynamic, dynamic_feed_in;
    int64_t factor_micro;
    struct config_tariff_window *windows;
    size_t window_count;
};

/** Whether the web page and the API need a login. */
enum config_web_auth {
    WEB_AUTH_AUTO,   /**< only where others than this machine can connect */
    WEB_AUTH_NONE,   /**< never */
    WEB_AUTH_ALWAYS, /**< on loopback too: a proxy stands in front */
};

/** Where backups and firmware are handled over HTTP. */
enum config_web_maintenance {
    WEB_MAINTENANCE_PROTECTED, /**< on loopback, or behind a login */
    WEB_MAINTENANCE_ALWAYS,    /**< without a login too: something in front has done it */
    WEB_MAINTENANCE_OFF,
};

struct config_web {
    char *listen;    /**< "off" or host:port */
    char *password;  /**< "" none */
    char *token;     /**< "" none */
    char *base_path; /**< "" or "/meter" */
    enum config_web_auth auth;
    enum config_web_maintenance maintenance;
};

struct config_openbeken {
    char *images;       /**< folder with packages for updates; "" none */
    char *web_password; /**< of all modules' web pages; "" none */
};

struct config_channel {
    char *name;  /**< "a".."z" or a short word: [a-z0-9]{1,8} */
    char *label; /**< for people: "Solar"; "" none */
    char *port;  /**< bl0942 */
    int64_t baud;
    int64_t address;
    int64_t creep; /**< -1: leave the chip's own */
    bool invert;
    int64_t noise_floor_mw;
    bool calibrated;                /**< calibration was given */
    struct calibration calibration; /**< complete: defaults, or power from V and I */
    char *load;                     /**< simulator: name of the load profile */
    char *sum;    /**< virtual: "house/a,-solar/a", the members with their signs */
    bool balance; /**< virtual: added with their signs before import and export are distinguished */
    uint64_t from_secret; /**< as in struct config */
};

enum config_driver {
    DRIVER_BL0942,
    DRIVER_OPENBEKEN,
    DRIVER_SIMULATOR,
    DRIVER_VIRTUAL,
    DRIVER_ESPHOME,
    DRIVER_MQTT,
};

/** In what an OpenBeken module's energy topics count. */
enum config_energy_unit { ENERGY_UNIT_AUTO, ENERGY_UNIT_WH, ENERGY_UNIT_KWH };

/** Watches one property of a device; bridge/meter/alarm.h has the meaning of the conditions. */
struct config_alarm {
    char *name;     /**< [a-z0-9_-]{1,32} */
    char *when;     /**< "power_a > 7000" */
    char *until;    /**< "power_a < 6500"; "": when `when` no longer holds */
    int64_t for_ms; /**< so long it must hold */
};

/** How the properties of a device are published; INT64_MIN or -1: as usual for the property. */
struct config_publishing {
    int64_t voltage_micro, current_micro, power_micro, power_factor_micro, frequency_micro,
        energy_micro; /**< deadbands, in millionths of the property's unit */
    int64_t voltage, current, power, power_factor, frequency, energy; /**< decimals */
};

/** What is announced otherwise of one entity. */
struct config_entity {
    char *property;    /**< a key of the device's state, "power_a" */
    char *name;        /**< "": as usual, likewise the others */
    char *icon;        /**< "mdi:flash" */
    int enabled;       /**< -1: as usual, 0, 1 */
    int64_t precision; /**< decimals to show; -1: as usual */
};

/** A device in Home Assistant. */
struct config_device_homeassistant {
    bool enabled;  /**< announce it */
    char *name;    /**< "": the device's */
    char *exclude; /**< "power_factor_a,last_seen": entities that are not announced; "" none */
    struct config_entity *entities;
    size_t entity_count;
};

/** Which topics carry a device's state. */
enum config_output { OUTPUT_JSON, OUTPUT_ATTRIBUTES, OUTPUT_BOTH };

struct config_device {
    char *id;
    char *name; /**< defaults to id */
    enum config_driver driver;
    int64_t interval_ms;        /**< how often a chip is read */
    int64_t report_interval_ms; /**< how often the state is published at most */
    bool disabled;              /**< not read, and offline */
    int64_t min_interval_ms;    /**< between two states; 0: as usual */
    int64_t max_interval_ms;    /**< without a state; 0: as usual */
    enum config_output output;
    struct config_publishing publishing;
    struct config_alarm *alarms;
    size_t alarm_count;
    bool retain; /**< state topic retained */
    struct config_device_homeassistant homeassistant;
    char *topic;                         /**< openbeken: client id; esphome: topic_prefix */
    enum config_energy_unit energy_unit; /**< openbeken */
    char *mapping;                       /**< mqtt: a built-in mapping's name, or a file */
    bool begin_at_source;                /**< mqtt: totals begin at the meter's own counters */
    char *host;                          /**< openbeken: for HTTP; "": as it tells */
    int64_t mains_frequency_hz;
    double mains_voltage_v;
    double max_current_a;
    bool voltage_events; /**< sags, swells and interruptions are reported */
    int64_t sag_milli, swell_milli,
        interruption_milli; /**< thousandths of a percent of mains_voltage_v */
    struct config_channel *channels;
    size_t channel_count;
    bool adopted;         /**< has a file of its own (adopted.h) */
    int line, column;     /**< where it stands in the file, for messages */
    uint64_t from_secret; /**< as in struct config */
};

/** A time-series engine that gets what is measured; at most so many. */
#define CONFIG_SINKS_MAX 8

#define CONFIG_SEND_READINGS 1
#define CONFIG_SEND_MINUTES 2
#define CONFIG_SEND_QUARTERS 4
#define CONFIG_SEND_DAYS 8

struct config_sink {
    char *id;       /**< [a-z0-9_-]{1,32} */
    char *url;      /**< http:// or https://, with a path if the engine has one; no / at its end */
    char *database; /**< InfluxDB 1: ?db= */
    char *org;      /**< InfluxDB 2 */
    char *bucket;   /**< InfluxDB 2; "": the API of version 1 */
    char *token;
    char *user, *password;
    int64_t send;         /**< CONFIG_SEND_READINGS ..., or'ed */
    int64_t interval_ms;  /**< how often what is new is sent */
    int64_t batch;        /**< lines in one request at most */
    bool gzip;            /**< requests are compressed */
    bool from_now;        /**< what was stored before the sink was first configured is not sent */
    uint64_t from_secret; /**< as in struct config */
};

struct config {
    struct config_bridge bridge;
    struct config_mqtt mqtt;
    struct config_homeassistant homeassistant;
    struct config_history history;
    struct config_prices prices;
    struct config_co2 co2;
    struct config_tariff *tariffs;
    size_t tariff_count;
    struct config_web web;
    struct config_openbeken openbeken;
    struct config_device *devices; /**< with room for CONFIG_DEVICES_MAX: none ever moves */
    size_t device_count;
    struct config_sink *sinks;
    size_t sink_count;
    uint64_t from_secret; /**< field_bit of those whose value came from secrets.yaml */
};

/** An error refuses the configuration; a warning is only told. */
enum config_severity { CONFIG_ERROR, CONFIG_WARNING };

/** One thing wrong with a configuration. */
struct config_problem {
    char file[256];   /**< or the environment variable's name */
    int line, column; /**< 1-based; 0: not about a place in a file */
    enum config_severity severity;
    char message[400];
};

/** All of them in the order of the file, at most CONFIG_PROBLEMS_MAX; `more` counts the rest. When
 *  there is no room for all, errors displace warnings. */
#define CONFIG_PROBLEMS_MAX 100
struct config_problems {
    size_t count;
    size_t more;
    size_t errors, warnings; /**< how many there are in all, listed or not */
    struct config_problem list[CONFIG_PROBLEMS_MAX];
};

/**
 * Reads path (and secrets.yaml beside it), applies BL2MQTT_* from environment, validates.
 * With a path, the adopted devices (adopted.h) in bridge.data_dir are read as well.
 * Returns NULL if there is any error; problems (which it clears first) is always filled and may
 * hold warnings beside a config. Bounds: 1 MiB per file, depth 16, no aliases, 8192 devices.
 * environment: as environ(7), or NULL for none.
 */
struct config *config_load(const char *path, char *const *environment,
                           struct config_problems *problems);

/** The same as if the file had this text, which was not written yet. */
struct config *config_load_text(const char *path, const char *text, char *const *environment,
                                struct config_problems *problems);

/** The same from memory, for tests and the fuzzer; name is used in messages. Nothing is read from
 *  disk, so every `!secret` is an error. */
struct config *config_parse(const char *name, const char *bytes, size_t length,
                            char *const *environment, struct config_problems *problems);

/** ... and with the contents of secrets.yaml (messages call it that). */
struct config *config_parse_with_secrets(const char *name, const char *bytes, size_t length,
                                         const char *secrets, size_t secrets_length,
                                         char *const *environment,
                                         struct config_problems *problems);

/** Puts a text in the place of the configuration file: by a temporary file, fsync and rename, with the
 *  owner, group and mode of the file that is there (0640 for a new one). */
enum status config_save(const char *path, const char *text, struct error *error);

/** Which kind of readings a driver makes. */
enum reading_kind config_reading_kind(enum config_driver driver);

/** NULL is allowed. */
void config_free(struct config *config);

/** One line each, "file:line:column: message"; warnings say "warning: " in front of the message.
 *  Control characters from the input never get through. */
void config_problems_print(const struct config_problems *problems, FILE *out);

/** The first error, which a warning may stand before; NULL if there is none. Borrowed. */
const struct config_problem *config_problems_first_error(const struct config_problems *problems);

#endif
