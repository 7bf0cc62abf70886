/* SPDX-License-Identifier: MIT */
#include "bridge/provision/obk_advice.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool has_flag(const struct obk_info *info, unsigned flag)
{
    return (info->flags >> flag & 1U) != 0;
}

static void say(struct obk_advice *advice, bool it_is_so, const char *sentence)
{
    if (it_is_so && advice->count < OBK_ADVICE_MAX)
        advice->sentences[advice->count++] = sentence;
}

void obk_advise(const struct obk_info *info, const struct obk_status *status, const char *autoexec,
                struct obk_advice *advice)
{
    advice->count = 0;
    say(advice, info->mqtt_host[0] == '\0', "MQTT is off: no broker is set.");
    say(advice, !status->has_energy,
        "No energy driver runs: autoexec.bat must start it (startDriver BL0942).");
    say(advice, obk_starts_driver(autoexec) && obk_starts_driver(info->startup_command),
        "Both autoexec.bat and the startup command start the driver; one of them is enough.");
    say(advice, has_flag(info, 7),
        "Flag 7 is on: all readings are retained on the broker and look fresh after they are old.");
    say(advice, !has_flag(info, 25),
        "Flag 25 is off: negative power is shown as 0, so a reversed clamp shows current but no "
        "power, and power fed in does not show at all.");
    say(advice, has_flag(info, 27),
        "Flag 27 is on: the module announces itself to Home Assistant, so that beside the bridge's "
        "entities its energy would be counted twice.");
    say(advice, has_flag(info, 30),
        "Flag 30 is on: the module takes Tasmota-style messages under its name for commands, also "
        "its own answers; nothing may ask it over MQTT.");
    say(advice, has_flag(info, 38),
        "Flag 38 is on: power and current are shown as 0 while all relays are open, and without a "
        "relay always.");
    say(advice, has_flag(info, 40), "Flag 40 is on: energy is published in kWh instead of Wh.");
}

/* The number behind each BL0942opts in the script; the last one counts. */
bool obk_reads_two_chips(const char *script)
{
    static const char command[] = "BL0942opts";
    bool both = false;
    const char *at = script;
    while ((at = strcasestr(at, command)) != NULL) {
        at += sizeof command - 1;
        at += strspn(at, " \t");
        if (isdigit((unsigned char)*at))
            both = (*at - '0') % 4 == 3 && !isdigit((unsigned char)at[1]);
    }
    return both;
}

bool obk_starts_driver(const char *script)
{
    static const char command[] = "startDriver";
    const char *at = script;
    while ((at = strcasestr(at, command)) != NULL) {
        at += sizeof command - 1;
        at += strspn(at, " \t");
        if (strncasecmp(at, "BL0942", 6) == 0)
            return true;
    }
    return false;
}
