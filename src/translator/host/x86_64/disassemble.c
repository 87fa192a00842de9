/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disassemble: host code as text, for traces. */
#include <capstone/capstone.h>
#include <inttypes.h>

#include "translator/host/host.h"

void host_disassemble(FILE *stream, const uint8_t *bytes, size_t size, uint64_t address)
{
    csh handle;
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK) {
        fprintf(stream, "    (capstone is not usable)\n");
        return;
    }
    cs_option(handle, CS_OPT_SYNTAX, CS_OPT_SYNTAX_INTEL);
    cs_option(handle, CS_OPT_SKIPDATA, CS_OPT_ON);
    cs_insn *insn = cs_malloc(handle);
    while (insn && size && cs_disasm_iter(handle, &bytes, &size, &address, insn))
        fprintf(stream, "    %" PRIx64 "  %s %s\n", insn->address, insn->mnemonic, insn->op_str);
    if (insn)
        cs_free(insn, 1);
    cs_close(&handle);
}
