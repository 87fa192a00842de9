/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disassembler: the text of single instructions by Capstone, for the guests' traces. Private to the guests.
 *
 * Capstone writes to its handle while it works, so each kind of code has one for the process, under a lock.
 */
#ifndef VISOR_TRANSLATOR_GUEST_DISASSEMBLER_H
#define VISOR_TRANSLATOR_GUEST_DISASSEMBLER_H

#include <capstone/capstone.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disassembler {
    cs_arch arch;
    cs_mode mode;
    pthread_mutex_t lock;
    csh handle;
    cs_insn *instruction; /* NULL: Capstone cannot be used, or has not been started */
    bool started;
};

#define DISASSEMBLER(capstone_arch, capstone_mode)                                                           \
    {                                                                                                        \
        .arch = (capstone_arch), .mode = (capstone_mode), .lock = PTHREAD_MUTEX_INITIALIZER                  \
    }

/* Writes the instruction at `code`, of which `length` bytes may be read, to `text`. False: it is none. Safe
 * from any thread. */
bool disassembler_text(struct disassembler *d, uint64_t pc, const uint8_t *code, size_t length, char *text,
                       size_t size);

#endif
