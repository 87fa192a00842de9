/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A place is short of memory when a tenth of it is left, but a small one sooner: a guest that reads a file
 * takes as many bytes a second there as elsewhere. Machines know nothing of
 * each other. One that needs memory takes it until the host is pressed; then those that have some to spare
 * give it back, up to somewhat more than that share; and so on, until nobody has any to spare or needs any.
 */
#include "domain/balance_policy.h"

#include "base/macros.h"

#define SHORT_MOST (UINT64_C(256) << 20) /* bytes, and at most a quarter, of which a small place is short */

#define RATE (UINT64_C(1) << 20) /* bytes a millisecond that guests may take meanwhile */

#define STALLED_WARY    10  /* permille of the time */
#define STALLED_PRESSED 100 /* permille of the time */
#define STALLED_GRAVE   400 /* permille of the time */

#define WAIT_LEAST 50   /* milliseconds */
#define WAIT_MOST  1000 /* milliseconds */

#define STEP_LEAST (UINT64_C(16) << 20) /* bytes */
#define ALIGNMENT  (UINT64_C(1) << 20)  /* of targets, but for the bounds */

void balance_host_begin(struct balance_host *host)
{
    *host = (struct balance_host){.available = UINT64_MAX, .until = UINT64_MAX, .left = 1000};
}

void balance_host_add(struct balance_host *host, uint64_t total, uint64_t available)
{
    const uint64_t least = MAX(total / 10, MIN(total / 4, SHORT_MOST)), good = least + least / 4;
    const uint64_t left = total ? MIN(available, total) / (total / 1000 + 1) : 0;
    host->lack = MAX(host->lack, good - MIN(good, available));
    host->available = MIN(host->available, available);
    host->until = MIN(host->until, available - MIN(least, available));
    host->left = MIN(host->left, (unsigned)left);
    host->short_of |= available < least;
    host->very_short |= available < least / 4;
}

static enum balance_mood find_mood(const struct balance_host *host)
{
    if (host->very_short || host->stalled >= STALLED_GRAVE)
        return BALANCE_GRAVE;
    if (host->short_of || host->stalled >= STALLED_PRESSED)
        return BALANCE_PRESSED;
    return host->stalled >= STALLED_WARY ? BALANCE_WARY : BALANCE_CALM;
}

/* What the guest can do without; of one that says nothing a little is tried at a time. */
static uint64_t find_spare(const struct balance_guest *guest)
{
    const uint64_t reserve = MAX(guest->total / 16, STEP_LEAST);
    if (!guest->has_told)
        return STEP_LEAST;
    return guest->available - MIN(guest->available, reserve);
}

/* What is on its way already counts. Who is below its least, since somebody wants it so, stays there. */
static uint64_t shrink(const struct balance_bounds *bounds, const struct balance_host *host,
                       const struct balance_guest *guest, bool grave)
{
    const uint64_t base = MIN(guest->size, guest->target);
    const uint64_t pending = guest->size - base;
    const uint64_t wanted = MAX(host->lack, MAX(bounds->most / 32, STEP_LEAST));
    uint64_t give = grave ? wanted : MIN(wanted, find_spare(guest));
    give -= MIN(give, pending);
    if (!give || base <= bounds->least)
        return base;
    give = MIN(give, base - bounds->least);
    return MAX((base - give) / ALIGNMENT * ALIGNMENT, bounds->least);
}

/* A guest needs more if less than an eighth of what it has is available. Others may take at the same time. */
static uint64_t grow(const struct balance_bounds *bounds, const struct balance_host *host,
                     const struct balance_guest *guest)
{
    const uint64_t base = MAX(guest->size, guest->target);
    const bool needs = !guest->has_told || guest->strained || guest->available < guest->total / 8;
    if (!needs || base >= bounds->most)
        return guest->target;
    const uint64_t step = MIN(MAX(base / 8, STEP_LEAST), host->available / 16);
    return MIN(MAX((base + step) / ALIGNMENT * ALIGNMENT, base), bounds->most);
}

/* Half the time in which the host could come to be short of memory. */
static unsigned wait_until(const struct balance_host *host)
{
    return (unsigned)MAX(WAIT_LEAST, MIN(host->until / RATE / 2, WAIT_MOST));
}

struct balance_decision balance_decide(const struct balance_bounds *bounds, const struct balance_host *host,
                                       const struct balance_guest *guest)
{
    struct balance_decision decision = {
        .mood = find_mood(host), .target = guest->target, .wait = wait_until(host)};
    switch (decision.mood) {
    case BALANCE_CALM: decision.target = grow(bounds, host, guest); break;
    case BALANCE_WARY: break;
    case BALANCE_PRESSED: decision.target = shrink(bounds, host, guest, false); break;
    case BALANCE_GRAVE: decision.target = shrink(bounds, host, guest, true); break;
    }
    return decision;
}

const char *balance_mood_name(enum balance_mood mood)
{
    static const char *const names[] = {[BALANCE_CALM] = "calm",
                                        [BALANCE_WARY] = "wary",
                                        [BALANCE_PRESSED] = "pressed",
                                        [BALANCE_GRAVE] = "grave"};
    return names[mood];
}
