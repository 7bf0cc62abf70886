/* SPDX-License-Identifier: MIT */
/**
 * What the history knows of its channels, in memory: numbers, the last calibration, the latest
 * total. Loaded when the file is opened; from then on memory is ahead of the file, and whatever is
 * not yet `stored` goes into the next transaction. So a full disk at start is no obstacle, and a
 * file that has to be made afresh gets everything again. Pure; the caller locks.
 */
#ifndef BRIDGE_HISTORY_STORE_CHANNELS_H
#define BRIDGE_HISTORY_STORE_CHANNELS_H

#include "bridge/history/cadence.h"
#include "bridge/history/store/key.h"
#include "bridge/meter/calibration.h"
#include "bridge/meter/energy.h"
#include "drivers/base/status.h"
#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Longest device id and channel name that are accepted from a file. */
#define CHANNEL_TEXT_MAX 128

/** Where factors come from; the numbers stand in the file. */
enum calibration_origin { CALIBRATION_CONFIGURED = 1, CALIBRATION_MEASURED = 2 };

/** A row of the table `calibration`; id 0: none. */
struct known_calibration {
    int64_t id;
    int64_t valid_from_ms;
    struct calibration factors;
    bool invert;
    enum calibration_origin origin;
};

/** What the counts of a stored total are counted from. */
struct stored_base {
    bool known; /**< a total is stored */
    int64_t calibration;
    int64_t imported_uwh, exported_uwh;
};

struct known_channel {
    unsigned number;
    char *device;
    char *channel;
    enum reading_kind kind;
    bool stored;
    struct known_calibration recorded; /**< the last one: the one in use */
    bool recorded_stored;
    struct known_calibration configured; /**< the last of that origin; may be the same one */
    bool configured_stored;
    bool has_state;
    struct energy_state state;
    struct known_calibration counted; /**< under which state's counts were counted */
    bool dirty;                       /**< state is newer than the file */
    bool adjusted;                    /**< states that are put do not know of adjustment yet */
    struct energy_adjustment adjustment;
    bool read;              /**< a reading came in this run */
    struct cadence cadence; /**< of the readings of this run */
    int64_t
        stored_imported_uwh; /**< totals as of the last transaction, or what the disk has since */
    int64_t stored_exported_uwh;
    struct stored_base stored_base;
};

struct channels {
    struct known_channel *list; /**< ascending by number */
    size_t count;
    size_t capacity;
    int64_t last_calibration_id; /**< maximum id in use */
    char **retired;              /**< names of renamed devices, which a snapshot may still use */
    size_t retired_count, retired_capacity;
};

void channels_free(struct channels *channels);

/** NULL if there is none. Borrowed until the next channels_add. */
struct known_channel *channels_find(struct channels *channels, unsigned number);
struct known_channel *channels_find_name(struct channels *channels, const char *device,
                                         const char *channel, enum reading_kind kind);

/** Adds a channel with that number, or with the next free one if number is 0 or taken. NULL if all
 *  are in use. The texts are copied. */
struct known_channel *channels_add(struct channels *channels, unsigned number, const char *device,
                                   const char *channel, enum reading_kind kind);

/** Whether some channel is of that device. */
bool channels_have_device(const struct channels *channels, const char *device);
/** All channels of a device become those of another id, and are to be stored anew. */
void channels_rename_device(struct channels *channels, const char *from, const char *to);

/** Another source now reads the circuit: when a channel of the same name and another kind has more
 *  energy, that becomes the base of this one's state, which then begins anew. */
void channels_take_over(struct channels *channels, struct known_channel *channel);

/** Makes calibration the last one recorded, if it differs; true if it did. */
bool channels_record(struct channels *channels, struct known_channel *channel,
                     const struct calibration *factors, bool invert, enum calibration_origin origin,
                     int64_t wall_ms);

/**
 * What a channel is to be run with, given what is configured now, becomes the last one recorded:
 * the configured factors, unless factors were measured since and the configured ones are still
 * those of that time.
 */
void channels_configure(struct channels *channels, struct known_channel *channel,
                        const struct calibration *factors, bool invert, int64_t wall_ms);

/** True if the one recorded last would be lost were another recorded now: it is in no transaction
 *  yet. */
bool channels_record_waits(const struct known_channel *channel);

/** The state becomes the channel's latest, counted with the calibration recorded last. */
void channels_put_state(struct known_channel *channel, const struct energy_state *state);

/** Gives a channel the state of a found one, counted with the calibration that was counted with. */
void channels_take(struct channels *channels, struct known_channel *channel,
                   const struct known_channel *found);

/** The past was recalibrated, as is stored already: states that are put get the difference until
 *  channels_adjusted says that their owner has it. */
void channels_adjust(struct known_channel *channel, const struct energy_adjustment *adjustment);
void channels_adjusted(struct known_channel *channel);

/** Imported and exported total of a state; without factors (id 0) counts mean nothing, and only the
 *  base is known. */
void channels_totals_uwh(const struct energy_state *state, const struct known_calibration *counted,
                         enum reading_kind kind, int64_t *imported_uwh, int64_t *exported_uwh);

/** A total with this state and calibration is on the disk. */
void channels_stored(struct known_channel *channel, const struct energy_state *state,
                     const struct known_calibration *counted);

/** Whether the channel's counts are counted from where those of its stored total are. */
bool channels_same_base(const struct known_channel *channel);

/** Energy of the state so far in microwatt hours, imported plus exported: it only grows, so the
 *  greater of two states of one channel is the later one. */
int64_t channels_energy_uwh(const struct known_channel *channel);

/** Everything is to be stored again, because the file is a new one. */
void channels_forget_stored(struct channels *channels);

/** What an energy_state read from a file must satisfy to be believed. */
bool channels_state_plausible(const struct energy_state *state);

#endif
