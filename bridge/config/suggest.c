/* SPDX-License-Identifier: MIT */
#include "bridge/config/suggest.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define WORD_MAX 40 /* no key is longer, so no longer word is a mistyped key */

static unsigned minimum(unsigned a, unsigned b, unsigned c)
{
    unsigned least_of_two = a < b ? a : b;
    return least_of_two < c ? least_of_two : c;
}

static int letter(char c)
{
    return c == '-' ? '_' : tolower((unsigned char)c);
}

/* Optimal string alignment distance: insertions, deletions, substitutions, neighbours swapped.
   Capitals and '-' for '_' count as right. */
static unsigned distance_between(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned table[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= a_length; i++)
        table[i][0] = (unsigned)i;
    for (size_t j = 0; j <= b_length; j++)
        table[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        for (size_t j = 1; j <= b_length; j++) {
            unsigned wrong = letter(a[i - 1]) != letter(b[j - 1]);
            table[i][j] =
                minimum(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + wrong);
            if (i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) &&
                letter(a[i - 2]) == letter(b[j - 1]) && table[i - 2][j - 2] + 1 < table[i][j])
                table[i][j] = table[i - 2][j - 2] + 1;
        }
    }
    return table[a_length][b_length];
}

void suggestion_offer(struct suggestion *suggestion, const char *candidate)
{
    size_t length = strlen(suggestion->word);
    size_t candidate_length = strlen(candidate);
    if (length > WORD_MAX || candidate_length > WORD_MAX || length == 0)
        return;
    size_t longer = length > candidate_length ? length : candidate_length;
    unsigned allowed = longer < 6 ? 1 : (unsigned)(longer / 3);
    unsigned distance = distance_between(suggestion->word, length, candidate, candidate_length);
    if (distance > allowed || distance == longer)
        return;
    if (suggestion->best == NULL || distance < suggestion->distance) {
        suggestion->best = candidate;
        suggestion->distance = distance;
    }
}
