/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disassembler: see disassembler.h. */
#include "translator/guest/disassembler.h"

#include <stdio.h>

static void start(struct disassembler *d)
{
    d->started = true;
    if (cs_open(d->arch, d->mode, &d->handle) != CS_ERR_OK)
        return;
    d->instruction = cs_malloc(d->handle);
    if (!d->instruction)
        cs_close(&d->handle);
}

bool disassembler_text(struct disassembler *d, uint64_t pc, const uint8_t *code, size_t length, char *text,
                       size_t size)
{
    pthread_mutex_lock(&d->lock);
    if (!d->started)
        start(d);
    bool done = d->instruction && cs_disasm_iter(d->handle, &code, &length, &pc, d->instruction);
    if (done) {
        const char *space = d->instruction->op_str[0] ? " " : "";
        snprintf(text, size, "%s%s%s", d->instruction->mnemonic, space, d->instruction->op_str);
    }
    pthread_mutex_unlock(&d->lock);
    return done;
}
