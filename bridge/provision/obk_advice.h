/* SPDX-License-Identifier: MIT */
/** What about a module's settings would surprise its owner. Pure. */
#ifndef BRIDGE_PROVISION_OBK_ADVICE_H
#define BRIDGE_PROVISION_OBK_ADVICE_H

#include "bridge/provision/obk_answer.h"

#define OBK_ADVICE_MAX 12

struct obk_advice {
    size_t count;
    const char *sentences[OBK_ADVICE_MAX]; /**< constants */
};

/** autoexec: the script's text, "" if there is none. */
void obk_advise(const struct obk_info *info, const struct obk_status *status, const char *autoexec,
                struct obk_advice *advice);

/** True if a script (autoexec.bat or the startup command) makes a twin build read both chips:
 *  BL0942opts with bits 0 and 1 set. Case does not matter. */
bool obk_reads_two_chips(const char *script);

/** True if a script starts the BL0942 driver. */
bool obk_starts_driver(const char *script);

#endif
