/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/reason.h"

#include <stddef.h>

static const struct {
    int code;
    const char *text;
} reasons[] = {
    {1, "it does not speak this MQTT version; set mqtt.version to 3.1.1"},
    {2, "it does not accept the client id; set another mqtt.client_id"},
    {3, "it says it is unavailable; look at the broker's log"},
    {4, "user or password is wrong; check mqtt.user and mqtt.password"},
    {5,
     "this user is not allowed in; check mqtt.user, mqtt.password and the broker's access rules"},
    {0x80, "it names no reason (MQTT reason code 128); look at the broker's log"},
    {0x81, "it says that a packet of this bridge was malformed; please report this"},
    {0x82, "it says that this bridge broke the protocol; please report this"},
    {0x83, "it does not accept something that MQTT allows; look at the broker's log"},
    {0x84, "it does not speak this MQTT version; set mqtt.version to 3.1.1"},
    {0x85, "it does not accept the client id; set another mqtt.client_id"},
    {0x86, "user or password is wrong; check mqtt.user and mqtt.password"},
    {0x87, "this user is not allowed to do this; check mqtt.user, mqtt.password and the broker's "
           "access rules"},
    {0x88, "it says it is unavailable; look at the broker's log"},
    {0x89, "it says it is busy; look at the broker's log"},
    {0x8a, "this client is banned; look at the broker's log"},
    {0x8b, "the broker is shutting down"},
    {0x8c, "it wants another way to authenticate than user and password"},
    {0x8d, "it received nothing for one and a half keep-alive intervals; check the network and "
           "mqtt.keepalive"},
    {0x8e, "another client has connected with the same client id; give each its own "
           "mqtt.client_id"},
    {0x8f, "it does not accept a subscription; check mqtt.base_topic and the broker's rules for "
           "topics"},
    {0x90, "it does not accept a topic; check mqtt.base_topic and the broker's rules for topics"},
    {0x91, "it says that a packet number was in use; please report this"},
    {0x92, "it says that a packet number was unknown; please report this"},
    {0x93, "it got more unacknowledged messages than it accepts"},
    {0x94, "it says that a topic alias was invalid; please report this"},
    {0x95, "a packet was larger than it accepts; raise its limit (mosquitto: max_packet_size)"},
    {0x96, "it got messages faster than it accepts; raise its limit or the report intervals"},
    {0x97, "a quota for this client is used up; look at the broker's limits"},
    {0x98, "an administrator closed the connection"},
    {0x99, "a payload was not in the format that it expects"},
    {0x9a, "it keeps no retained messages; set mqtt.retain to false"},
    {0x9b, "it does not accept this quality of service"},
    {0x9c, "it wants another server to be used for now; check mqtt.server"},
    {0x9d, "it has moved to another server; change mqtt.server"},
    {0x9e, "it has no shared subscriptions"},
    {0x9f, "it got connections faster than it accepts"},
    {0xa0, "the connection stood as long as it allows"},
    {0xa1, "it has no subscription identifiers"},
    {0xa2, "it accepts no wildcards in subscriptions, which this bridge needs"},
};

const char *reason_text(int code)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].code == code)
            return reasons[i].text;
    return "it did not say why; look at the broker's log";
}
