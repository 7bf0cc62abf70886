/* SPDX-License-Identifier: MIT */
/** "Did you mean": the candidate that is closest to a mistyped word. */
#ifndef BRIDGE_CONFIG_SUGGEST_H
#define BRIDGE_CONFIG_SUGGEST_H

/** Set word (borrowed), leave the rest zero, offer candidates, read best. */
struct suggestion {
    const char *word;
    const char *best; /**< borrowed; NULL while nothing offered was close enough */
    unsigned distance;
};

/** Close enough: at most a third of the longer word's letters wrong, missing, too many or swapped
 *  with their neighbour (but one wrong letter in a word of two is allowed). */
void suggestion_offer(struct suggestion *suggestion, const char *candidate);

#endif
