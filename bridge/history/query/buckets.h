/* SPDX-License-Identifier: MIT */
/**
 * Where hours, days, weeks, months and years begin in the process's time zone (TZ). Pure but for the zone.
 *
 * A quarter of an hour is that of UTC too, as all offsets are multiples of one. An hour ends at the
 * next full hour of the local clock: one of Lord Howe Island's that loses half an hour to summer
 * time lasts 30 minutes. A day begins at the first moment of its date, which is 01:00 where summer
 * time skips midnight, and lasts 23, 23.5, 24, 24.5 or 25 hours. Dates a zone never had (Samoa's 30
 * December 2011) have no bucket.
 */
#ifndef BRIDGE_HISTORY_QUERY_BUCKETS_H
#define BRIDGE_HISTORY_QUERY_BUCKETS_H

#include <stdbool.h>
#include <stdint.h>

enum history_bucket {
    BUCKET_HOUR,
    BUCKET_DAY,
    BUCKET_MONTH,
    BUCKET_YEAR,
    BUCKET_QUARTER,
    BUCKET_WEEK, /**< ISO 8601: from Monday on */
};

/** Times that buckets are made for: 1970 to the end of 9999. */
#define BUCKET_TIME_MAX_MS 253402300799999LL

/** The first moment of the bucket that holds wall_ms. */
int64_t bucket_start(enum history_bucket bucket, int64_t wall_ms);

/** The first moment of the bucket after that one; always greater than wall_ms. */
int64_t bucket_next(enum history_bucket bucket, int64_t wall_ms);

#define BUCKET_ZONE_SIZE 128

/** Name of the process's time zone: TZ, or what /etc/localtime links to, or "". */
void bucket_zone(char name[BUCKET_ZONE_SIZE]);

/** Whether the C library can make anything of that value of TZ, so that it does not silently mean UTC: a name
 *  that this machine knows, or a rule such as CET-1CEST,M3.5.0,M10.5.0/3. NULL and "" are fine. */
bool bucket_zone_usable(const char *zone);

/** From now on the process's zone is that one (an IANA name such as Europe/Berlin); "system": the one
 *  that `own` names, TZ of the process's start (NULL: it had none). Before threads are started. */
void bucket_use_zone(const char *name, const char *own);

#endif
