/* SPDX-License-Identifier: MIT */
#include "bridge/provision/obk_roles.h"

#include <stddef.h>
#include <string.h>

/* In the order of their numbers. Those of other metering chips are left out: a profile has none. */
static const char *const roles[] = {
    "None",        "Rel",           "Rel_n",  "Btn",      "Btn_n",
    "LED",         "LED_n",         "PWM",    "WifiLED",  "WifiLED_n",
    "Btn_Tgl_All", "Btn_Tgl_All_n", "dInput", "dInput_n", "TglChanOnTgl",
};

bool obk_role_find(const char *name, const char **known, unsigned *number)
{
    for (unsigned i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(roles[i], name) != 0)
            continue;
        *known = roles[i];
        *number = i;
        return true;
    }
    return false;
}
