/* SPDX-License-Identifier: MIT */
/** The version of this program, as scripts/version finds it when it is built. */
#ifndef DRIVERS_BASE_VERSION_H
#define DRIVERS_BASE_VERSION_H

/** "0.1.0", or "0.1.0-12-gabcdef0" when it was built from a git tree behind the release. */
extern const char program_version[];

#endif
