/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_sigreturn: any bytes as the frame that rt_sigreturn finds on the guest's stack are refused, with the
 * CPU as it was, or give a CPU whose own frame is then read back as the same registers.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "personality/linux/arch.h"
#include "translator/guest/arm64/arm64.h"

#define FRAME_ROOM 8192
#define STACK_SIZE (4 * FRAME_ROOM)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t stack[STACK_SIZE] __attribute__((aligned(16)));
    static struct arm64_cpu cpu;
    static struct linux_process process;
    struct linux_thread thread = {.cpu = &cpu.common, .process = &process};
    struct linux_signal_frame frame = {0};

    uint8_t *at = stack + sizeof stack - FRAME_ROOM;
    memset(stack, 0, sizeof stack);
    memset(&cpu.state, 0, sizeof cpu.state);
    memcpy(at, data, size < FRAME_ROOM ? size : FRAME_ROOM);
    cpu.state.sp = (uintptr_t)at;
    struct arm64_state before = cpu.state;
    int code = linux_arm64.pop_frame(&thread, &frame);
    if (code != 0) {
        if ((code != -EINVAL && code != -EFAULT) || memcmp(&before, &cpu.state, sizeof before) != 0)
            abort();
        return 0;
    }

    /* There and back. */
    struct arm64_state popped = cpu.state;
    frame.sp = (uintptr_t)at;
    frame.info.si_signo = 10;
    if (linux_arm64.push_frame(&thread, &frame) != 0 || linux_arm64.pop_frame(&thread, &frame) != 0)
        abort();
    if (memcmp(popped.x, cpu.state.x, sizeof popped.x) != 0 || popped.sp != cpu.state.sp ||
        popped.pc != cpu.state.pc || memcmp(popped.v, cpu.state.v, sizeof popped.v) != 0)
        abort();
    return 0;
}
