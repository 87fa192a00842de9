/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_facts: what this host can do, found out by trying where looking is not enough. */
#ifndef VISOR_CLI_HOST_FACTS_H
#define VISOR_CLI_HOST_FACTS_H

enum verdict {
    VERDICT_YES,
    VERDICT_PARTLY, /* there, but limited: the detail says how */
    VERDICT_NO,
};

struct host_fact {
    const char *id;    /* stable name, for JSON */
    const char *label; /* for people */
    enum verdict verdict;
    char detail[192]; /* what there is, or the reason why it is missing */
};

#define HOST_FACTS_MAX 32

/* Fills facts[], at most HOST_FACTS_MAX; returns how many. */
unsigned host_facts_gather(struct host_fact facts[HOST_FACTS_MAX]);

#endif
