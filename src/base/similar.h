/* SPDX-License-Identifier: GPL-2.0-or-later */
/* similar: which of the known words somebody may have meant. */
#ifndef VISOR_BASE_SIMILAR_H
#define VISOR_BASE_SIMILAR_H

/* How many letters are to be inserted, removed, replaced or swapped with their neighbour to make one word the
 * other; `most` + 1 if it is more than `most`, or if a word has more than 63 letters. */
unsigned similar_distance(const char *one, const char *two, unsigned most);

/* Of the words that `next` gives until NULL, the one nearest to `word`, if it is near enough to be a slip;
 * or NULL. */
const char *similar_find(const char *word, const char *(*next)(void *opaque), void *opaque);

#endif
