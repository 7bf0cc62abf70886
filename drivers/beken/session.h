/* SPDX-License-Identifier: MIT */
/** What the parts of the flasher share; nobody else includes it. */
#ifndef DRIVERS_BEKEN_SESSION_H
#define DRIVERS_BEKEN_SESSION_H

#include "drivers/beken/flasher.h"
#include "drivers/beken/pace.h"

struct flasher {
    struct flasher_options options;
    struct link *link;
    struct beken_module module;
    uint32_t baud;       /* where the session wants to be */
    uint32_t clean_baud; /* the highest rate that a thorough test found clean; 0 = none yet */
    bool line_is_fair;   /* a short test at this rate found no error */
    bool unprotected;    /* N: protection was lifted and must be lifted again after a reset */
    bool erase_opened;   /* T: LinkCheck + erase has opened the flash since the last CheckCRC */
    bool identified;     /* the module is known, and must still be the same after a reset */
    bool rebooted;       /* nobody listens any more */
    bool writing;        /* something was erased: the flash is neither old nor new */
    bool has_registers_found;
    uint32_t registers_found; /* N: as they were before the protection was lifted */
    unsigned doubts;          /* erases and writes that may have hit another place */
    struct pace pace;
    int64_t slowest_tail_us; /* of a write that went well; 0 = none yet */
    uint64_t retries;
    unsigned reconnects;
    struct flasher_times times;
};

int64_t session_now_us(void);
__attribute__((format(printf, 2, 3))) void session_note(struct flasher *flasher, const char *format,
                                                        ...);
void session_progress(struct flasher *flasher, const char *stage, uint64_t done, uint64_t total,
                      uint32_t address);

/** True for a T and everything that is not surely a boot ROM. */
bool session_is_flapping(const struct flasher *flasher);

/** Asks up to a few times, resynchronising in between; no reconnect. For identification. */
enum status session_ask_few(struct flasher *flasher, const struct beken_command *command,
                            const struct link_want *want, struct beken_reply *reply, unsigned tries,
                            struct error *error);
/** The same, and reconnects when the module is lost. For questions that can be repeated. */
enum status session_ask(struct flasher *flasher, const struct beken_command *command,
                        const struct link_want *want, struct beken_reply *reply,
                        struct error *error);
/** After trouble: listens at the present rate, else reconnects, returns to the session's rate,
 * makes sure it is the same module and lifts the protection again. */
enum status session_recover(struct flasher *flasher, struct error *error);
/** What a person has to do before the command can be run again: the start of a sentence. */
const char *session_way_back(const struct flasher *flasher);
/** One rate lower, if the rate is the session's own choice; false at the lowest. */
bool session_step_down(struct flasher *flasher);

enum status session_read_sector(struct flasher *flasher, uint32_t address, uint8_t *bytes,
                                struct error *error);
/** CRC as on the wire over length bytes, a multiple of 256. surely: no late answer to an earlier
 *  question can be taken for this one's; costs a round trip. */
enum status session_crc(struct flasher *flasher, uint32_t address, uint32_t length, bool surely,
                        uint32_t *crc, struct error *error);
/** Surely, and asked twice before it is believed that it differs. */
enum status session_crc_equals(struct flasher *flasher, uint32_t address, const uint8_t *bytes,
                               uint32_t length, bool *equal, struct error *error);
enum status session_erase(struct flasher *flasher, enum beken_erase_size size, uint32_t address,
                          struct error *error);

/** Fills the module from what it answers. */
enum status session_identify(struct flasher *flasher, struct error *error);
/** After a reconnect: STATUS_FAILED if another module answers now. */
enum status session_check_same(struct flasher *flasher, struct error *error);
/** N: reads the status registers, and lifts the protection if lift is set. */
enum status session_protection(struct flasher *flasher, bool lift, struct error *error);
/** N: puts the protection back as it was before it was lifted; STATUS_OK too if it never was. */
enum status session_protect_again(struct flasher *flasher, struct error *error);

/** One rate of a line test, as thorough as volleys and sectors say. */
struct line_effort {
    unsigned volleys, sectors;
    bool until_error; /* only clean or not is asked */
};
enum status session_test_rate(struct flasher *flasher, uint32_t baud, struct line_effort effort,
                              struct flasher_rate *rate, struct error *error);
/** A T is written only over a line that a thorough test found clean: STATUS_REFUSED else. */
enum status session_require_clean_line(struct flasher *flasher, struct error *error);
/** The same after a short test, for a write that could not repair what a damaged command does. */
enum status session_require_fair_line(struct flasher *flasher, struct error *error);

#endif
