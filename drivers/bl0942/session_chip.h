/* SPDX-License-Identifier: MIT */
/**
 * What the two halves of the session share: session.c owns the line (whose turn it is, breaks, baud
 * rates, deadlines), session_chip.c the course of one chip (looking for it, set-up, polls, what its
 * answers and silences mean). Private to these two.
 */
#ifndef DRIVERS_BL0942_SESSION_CHIP_H
#define DRIVERS_BL0942_SESSION_CHIP_H

#include "drivers/bl0942/codec.h"
#include "drivers/bl0942/session.h"

/* What is asked of a chip next. The order of the set-up steps is the order they are done in. */
enum step {
    STEP_PROBE, /* read MODE at a rate at which the chip may be */
    STEP_READ_CREEP,
    STEP_UNLOCK,
    STEP_WRITE_MODE,
    STEP_WRITE_CREEP,
    STEP_CHECK_MODE,
    STEP_CHECK_CREEP,
    STEP_LOCK,
    STEP_PACKET,
    STEP_VERIFY, /* read MODE before the packet in hand is reported */
};

enum availability { AVAILABILITY_UNKNOWN, AVAILABILITY_ONLINE, AVAILABILITY_OFFLINE };

#define NOISE_SLOTS 6 /* of 10 s each: the last minute */

struct noise_slot {
    int64_t number;
    unsigned good, damaged;
};

struct chip {
    struct bl0942_chip_options options;
    struct driver_statistics statistics;
    enum availability availability;

    enum step step;
    unsigned attempt; /* failed attempts of this step */
    int64_t due_ms;   /* not before this */
    int64_t grid_ms;  /* the next poll by the schedule; 0: never polled */
    unsigned misses, damaged_misses;

    uint32_t baud, reported_baud;
    size_t rate_index; /* of the rates to try */
    bool can_wait;     /* it has been silent: look for it in the gaps between the others' polls */
    bool break_due;    /* reset the line before the next probe */

    bool contacted;    /* it answered once since the session exists */
    bool mode_ours;    /* MODE was read as written and, as far as we know, still is */
    uint32_t odd_mode; /* a value of MODE to be confirmed by a second reading; 0: none */
    unsigned setup_attempts;
    bool stubborn; /* answers, but does not keep MODE */
    bool verify_due;
    int64_t verified_ms;

    bool reset_pending;  /* the next reading carries READING_CHIP_RESET */
    bool doubted;        /* one packet with an impossible counter was dropped already */
    struct reading held; /* the packet that waits for STEP_VERIFY */
    bool reported;       /* at least one reading, since the session exists */
    bool compared;       /* last_* are set: by the last reading, before that by the first packet */
    int64_t last_energy, last_ms;

    struct noise_slot noise[NOISE_SLOTS];
    bool noisy;
};

enum phase {
    PHASE_CLOSED,
    PHASE_IDLE,
    PHASE_BREAK,       /* the line is held low until until_ms */
    PHASE_AFTER_BREAK, /* and is quiet until until_ms */
    PHASE_WRITING,     /* a register write is on the wire until until_ms */
    PHASE_REPLY,       /* an answer is awaited until until_ms */
};

struct bl0942_session {
    struct driver_sink sink;
    char *name;
    uint32_t configured_baud;
    bool remote, raw;
    unsigned silence; /* requests in a row without a valid answer */
    size_t chip_count;
    struct chip chips[BL0942_CHIPS_PER_LINE];

    enum phase phase;
    int64_t until_ms;
    bool lost; /* the port was open before */
    uint32_t baud;
    struct chip *active; /* whose request is on the line, or was last */
    bool keep_active;    /* its next step comes before anything of the others */
    int64_t free_ms;     /* when the last exchange ended */
    int64_t quiet_ms;    /* an answer may still be under way until then */
    int64_t sent_ms;
    size_t received; /* bytes since the request */
    struct bl0942_receiver receiver;
    uint64_t junk_seen; /* of receiver.junk_bytes, already put into a chip's statistics */
};

/** Bytes on the wire, rounded up; and a request with its answer. */
int64_t bl0942_wire_ms(size_t bytes, uint32_t baud);
int64_t bl0942_exchange_ms(enum step step, uint32_t baud);
/** Register writes get no answer. */
bool bl0942_step_writes(enum step step);

/** The baud rate and the bytes of the chip's next request. */
uint32_t bl0942_chip_baud(const struct bl0942_session *session, const struct chip *chip);
size_t bl0942_chip_encode(const struct chip *chip, uint8_t bytes[BL0942_WRITE_SIZE]);

/** Begins a round through all baud rates at due_ms. */
void bl0942_chip_look_for(struct bl0942_session *session, struct chip *chip, int64_t due_ms);
void bl0942_chip_set_offline(const struct bl0942_session *session, struct chip *chip,
                             const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What came of the request: each sets the chip's next step and when it is due. */

/** The answer is in session->receiver. */
void bl0942_chip_answered(struct bl0942_session *session, struct chip *chip, int64_t now_ms,
                          int64_t wall_ms);
/** No usable answer by the deadline. */
void bl0942_chip_failed(struct bl0942_session *session, struct chip *chip, int64_t now_ms);
/** A register write has left the line. */
void bl0942_chip_written(struct bl0942_session *session, struct chip *chip, int64_t now_ms);

#endif
