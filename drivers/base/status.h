/* SPDX-License-Identifier: MIT */
/**
 * The one way this project reports that something went wrong.
 *
 * A function that can fail returns an enum status and takes a struct error * as its last argument
 * (NULL when the caller does not care for the words). On failure it fills the error with whole
 * sentences for a person: what happened, where, and what to do about it. On success it leaves the
 * error untouched. Out parameters are only valid after STATUS_OK.
 *
 * The words may quote what came from outside: what could upset a terminal is replaced (plain.h).
 *
 * The values are also the exit status of every command (docs: bl2mqtt(1), EXIT STATUS).
 */
#ifndef DRIVERS_BASE_STATUS_H
#define DRIVERS_BASE_STATUS_H

#include <stdbool.h>

enum status {
    STATUS_OK = 0,
    STATUS_FAILED = 1,    /**< it was tried and did not work */
    STATUS_USAGE = 2,     /**< the command line or the configuration is wrong */
    STATUS_NO_ANSWER = 3, /**< the device or the peer did not answer in time */
    STATUS_REFUSED = 4,   /**< not done, because doing it could do harm */
    STATUS_MISMATCH = 5,  /**< a verification found a difference */
};

#define ERROR_TEXT_SIZE 1024

/** The words that go with a status. Zero-initialise it: an empty text means "no error". */
struct error {
    char text[ERROR_TEXT_SIZE];
};

/**
 * Fills *error (if not NULL) with the formatted sentence, cut at ERROR_TEXT_SIZE, and returns
 * status, so that a failing function ends with: return error_set(error, STATUS_FAILED, "...", ...);
 */
enum status error_set(struct error *error, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Puts the formatted words in front of what *error already says ("While opening X: ..."). */
enum status error_prefix(struct error *error, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Puts them behind it, for what only the caller knows: how far it got, what to do. */
enum status error_append(struct error *error, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
