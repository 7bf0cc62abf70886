/* SPDX-License-Identifier: MIT */
/**
 * Where an app ends by its own word. The start-up code that Beken's SDKs link in front of every app
 * copies the initialised variables from the end of the image into RAM; the three addresses it
 * copies by stand side by side in the app's first 4 KiB. An app file has no other field that tells
 * its length, so this is what shows that a download broke off. Pure.
 *
 * Seen in all of 48 public images and dumps (BekenEmulator's collection: Tuya's and OpenBeken's for
 * T, N, M, Q, U, 7238, 7252 and 7252N): each ends 11 to 63 bytes behind that address, in padding.
 */
#ifndef DRIVERS_BEKEN_STARTUP_H
#define DRIVERS_BEKEN_STARTUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How much of the app startup_find_end() looks at. */
#define STARTUP_SIZE 0x1000u

/** code: the app's beginning, deframed and decrypted, STARTUP_SIZE bytes or fewer. *end: the logical
 * address behind its last byte that means anything; false if it does not tell. */
bool startup_find_end(const uint8_t *code, size_t length, uint32_t *end);

#endif
