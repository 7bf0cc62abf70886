/* SPDX-License-Identifier: MIT */
/** Delays at random, so that many clients that saw the same event do not act at the same moment. */
#ifndef BRIDGE_MQTT_JITTER_H
#define BRIDGE_MQTT_JITTER_H

#include <stdint.h>

/** low..high, both included, evenly enough; low if high is not greater. Never blocks. */
int64_t jitter_between(int64_t low, int64_t high);

#endif
