/* SPDX-License-Identifier: MIT */
/** The codes with which a broker says no, in words: what each means and what to do. Pure. */
#ifndef BRIDGE_MQTT_REASON_H
#define BRIDGE_MQTT_REASON_H

#define REASON_TOPIC_INVALID 0x90
#define REASON_PACKET_TOO_LARGE 0x95
#define REASON_RETAIN_NOT_SUPPORTED 0x9a
#define REASON_QOS_NOT_SUPPORTED 0x9b

/** A part of a sentence, static: "it does not accept the client id; set another mqtt.client_id". Codes below
 *  0x80 are the return codes of MQTT 3.1.1's CONNACK, those from 0x80 on the reason codes of MQTT 5. */
const char *reason_text(int code);

#endif
