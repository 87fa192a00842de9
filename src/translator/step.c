/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * step: one guest instruction by the interpreter, for those that host code cannot execute: the guest's
 * processor ignores some bits of an address that the host's does not.
 *
 * A fault within it, of memory or of floating point, comes back here from the signal handler. That leaves
 * nothing behind: before the last operation that may fault an instruction has changed nothing, its address is
 * the CPU's pc, and no lock is held meanwhile.
 */
#include <setjmp.h>
#include <signal.h>

#include "base/macros.h"
#include "translator/ir/eval.h"
#include "translator/ir/host_float.h"
#include "translator/ir/x87.h"
#include "translator/runtime.h"

struct step_recovery {
    sigjmp_buf back;
    enum translator_exit exit;
};

bool step_fault(struct translator_cpu *cpu, int signal, const void *siginfo, void *ucontext)
{
    const siginfo_t *info = siginfo;
    struct step_recovery *recovery = cpu->step_recovery;
    if (!recovery)
        return false;
    cpu->step_recovery = NULL;
    ir_x87_settle_from(cpu->translator->isa, cpu, host_context_x87(ucontext));
    if (signal == SIGFPE) {
        cpu->fp_control = host_context_fp_control(ucontext);
        recovery->exit = TRANSLATOR_FLOAT;
        siglongjmp(recovery->back, 1);
    }
    cpu->fault_info.signal = info->si_code == SI_KERNEL ? SIGSEGV : signal;
    cpu->fault_info.code = info->si_code == SI_KERNEL ? SEGV_MAPERR : info->si_code;
    cpu->fault_info.write = host_context_is_write(ucontext);
    /* Where the host does not say where it was, it is where the access began. */
    cpu->exit_payload = info->si_code == SI_KERNEL ? cpu->access_address : (uintptr_t)info->si_addr;
    recovery->exit = TRANSLATOR_FAULT;
    siglongjmp(recovery->back, 1);
}

enum translator_exit step_interpret(struct translator_cpu *cpu)
{
    const uint32_t host_fp_control = host_control();
    struct step_recovery recovery;
    enum translator_exit exit;

    if (sigsetjmp(recovery.back, 1) == 0) {
        cpu->step_recovery = &recovery;
        exit = ir_interpret(cpu->translator->isa, cpu, cpu->region);
    } else {
        host_set_control(host_fp_control);
        exit = recovery.exit;
    }
    cpu->step_recovery = NULL;
    return exit;
}

enum translator_exit step_check_target(struct translator_cpu *cpu, enum translator_exit exit)
{
    const uint64_t pc = guest_pc(cpu), branch = cpu->branch_pc;
    const bool possible = (uint64_t)((int64_t)(pc << 16) >> 16) == pc;

    if (LIKELY(possible) || branch == ~(uint64_t)0 || (exit != TRANSLATOR_NONE && exit != TRANSLATOR_LOOKUP))
        return exit;
    cpu->exit_payload = pc;
    set_guest_pc(cpu, branch);
    return TRANSLATOR_TARGET;
}

enum translator_exit translator_step(struct translator_cpu *cpu, uint64_t ignored_bits)
{
    const uint64_t pc = guest_pc(cpu);
    const unsigned mode = cpu->mode;

    if (cpu->system)
        return system_step(cpu, ignored_bits);
    cpu->mode = wanted_mode(cpu);
    const bool lifted = lift_region(cpu, &(const struct code_source){.pc = pc}, 1);
    cpu->mode = mode;
    if (!lifted) {
        cpu->exit_payload = pc;
        return TRANSLATOR_FETCH_FAULT;
    }
    cpu->ignored_address_bits = ignored_bits;
    const enum translator_exit exit = step_interpret(cpu);
    cpu->ignored_address_bits = 0;
    return step_check_target(cpu, exit);
}
