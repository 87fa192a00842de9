/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disassemble: the text of one x86 instruction, for traces. */
#include <capstone/capstone.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "translator/guest/x86/private.h"

/* Capstone writes to its handle while it works, so there is one for the process, under a lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static csh handle;
static cs_insn *instruction; /* NULL: Capstone cannot be used, or has not been started */
static bool started;

static void start(void)
{
    started = true;
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
        return;
    instruction = cs_malloc(handle);
    if (!instruction)
        cs_close(&handle);
}

void x86_disassemble(uint64_t pc, const uint8_t *code, char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    if (!started)
        start();
    size_t length = X86_INSTRUCTION_MAX;
    const uint8_t *at = code;
    if (instruction && cs_disasm_iter(handle, &at, &length, &pc, instruction)) {
        const char *space = instruction->op_str[0] ? " " : "";
        snprintf(text, size, "%s%s%s", instruction->mnemonic, space, instruction->op_str);
    } else {
        snprintf(text, size, ".byte 0x%02x", code[0]);
    }
    pthread_mutex_unlock(&lock);
}
