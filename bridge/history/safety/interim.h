/* SPDX-License-Identifier: MIT */
/**
 * Totals between transactions, in a small file beside the database (PATH.interim).
 *
 * A transaction costs the disk several blocks, so readings are collected for one; but totals are shown within
 * seconds, and what was shown must not be taken back after a power cut. So what was counted since the
 * last transaction is written here, in place, synced: one block for up to 83 channels. Two slots are written
 * in turn, each with a checksum, so that a torn one leaves the one before.
 *
 * A record names the transaction that it comes on top of, by the word that this wrote into the database
 * (meta.commit). With any other word it says nothing: the file never needs to be emptied, and one that
 * belongs to another database does no harm.
 */
#ifndef BRIDGE_HISTORY_SAFETY_INTERIM_H
#define BRIDGE_HISTORY_SAFETY_INTERIM_H

#include "bridge/history/store/channels.h"
#include "bridge/history/store/meta.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A channel's counts since the base that its stored total has; of energy_state. */
struct interim_total {
    int64_t number;
    int64_t counter, counter_wall_ms, counter_boot_ms;
    int64_t imported, exported;
};

struct interim_record {
    char word[META_WORD_SIZE];
    char boot_id[40]; /**< of all counter_boot_ms */
    struct interim_total *totals;
    size_t count;
};

struct interim;

/** A new word for a transaction. */
void interim_word(char word[META_WORD_SIZE]);

/** The file is made when it is first written. */
struct interim *interim_create(const char *database_path);
/** NULL is allowed. */
void interim_free(struct interim *interim);

/** Returns when the record is on the disk. */
enum status interim_write(struct interim *interim, const struct interim_record *record,
                          struct error *error);

/** The newest sound record on top of the transaction with that word; count 0 if there is none. totals is to be
 *  freed. */
void interim_read(const char *database_path, const char *word, struct interim_record *record);

/** Channels that the record knows more of get its counts; they are dirty then, and the totals of theirs that
 *  count as stored are the record's. credit receives the counts that no reading in the database has.
 *  Returns how many. */
size_t interim_apply(const struct interim_record *record, struct channels *channels,
                     meta_credit credit, void *context);

#endif
