/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_vmware: the port of VMware's, if the machine has it. */
#include "kernel.h"

#define PORT  0x5658
#define MAGIC 0x564d5868

static void call(const char *name, uint32_t magic, uint32_t command)
{
    uint32_t eax = magic, ebx = 0x12345678, ecx = command, edx = 0xabcd0000 | PORT;
    __asm__ volatile("inl %%dx, %%eax" : "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx));
    tell(name, eax);
    tell("ebx", ebx);
    tell("ecx", ecx);
    tell("edx", edx);
}

void test_vmware(void)
{
    uint32_t eax = MAGIC;
    heading("vmware");
    call("version", MAGIC, 10);
    call("memory", MAGIC, 0xffff0000 | 20);
    call("processors", MAGIC, 68);
    call("no command", MAGIC, 0xfff);
    call("no call", MAGIC + 1, 10);
    __asm__ volatile("inw %%dx, %%ax" : "+a"(eax) : "c"(10), "d"(PORT));
    tell("two bytes", eax);
}
