/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several processors: INIT and SIPI, locked counters, interrupts between them. */
#include "kernel.h"

enum { PING = 0x61, COUNT = 400, PINGS = 10 };
enum { INIT = 0x4500, STARTUP = 0x4600, OTHERS = 3 << 18 };

extern const uint8_t trampoline[], trampoline_end[];
extern volatile uint32_t processors_begun;

static volatile uint32_t begin, locked, spun, lock, done, ids, asked;

static void count_up(void)
{
    for (unsigned i = 0; i < COUNT; i++) {
        __asm__ volatile("lock incl %0" : "+m"(locked) : : "cc");
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
            __asm__ volatile("pause");
        spun++;
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
}

/* Local APIC 1 answers pings. */
void processor_main(void);
void processor_main(void)
{
    lapic_write(0xf0, 0x17e);
    const uint32_t id = lapic_read(0x20) >> 24;
    __asm__ volatile("lock orl %1, %0" : "+m"(ids) : "r"(1u << id) : "cc");
    while (!begin)
        __asm__ volatile("pause");
    count_up();
    __asm__ volatile("lock incl %0" : "+m"(done) : : "cc");
    for (;;) {
        __asm__ volatile("sti; hlt; cli" : : : "memory");
        if (id == 1 && asked) {
            asked = 0;
            lapic_write(0x310, 0);
            lapic_write(0x300, 0x4000 | (PING + 1));
        }
    }
}

static void wait_equal(volatile uint32_t *value, uint32_t wanted)
{
    while (*value != wanted)
        __asm__ volatile("pause");
}

static void pings(void)
{
    counts[PING + 1] = 0;
    for (uint32_t i = 0; i < PINGS; i++) {
        asked = 1;
        lapic_write(0x310, 1 << 24);
        lapic_write(0x300, 0x4000 | PING);
        while (counts[PING + 1] <= i) {
            /* The other may have been about to halt when it came. */
            __asm__ volatile("sti; nop; pause; cli" : : : "memory");
        }
    }
    tell("answers", counts[PING + 1]);
}

void test_processors(void)
{
    uint32_t a = 0xb, b, c = 1, d;
    heading("processors");
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    const uint32_t wanted = (b & 0xffff) - 1;
    for (unsigned i = 0; i < (unsigned)(trampoline_end - trampoline); i++)
        ((volatile uint8_t *)TRAMPOLINE)[i] = trampoline[i];
    tell("others", wanted);
    if (!wanted)
        return;
    lapic_write(0x300, OTHERS | INIT);
    lapic_write(0x300, OTHERS | STARTUP | TRAMPOLINE >> 12);
    wait_equal(&processors_begun, wanted);
    lapic_write(0x300, OTHERS | STARTUP | TRAMPOLINE >> 12); /* too late: nobody waits for it */
    begin = 1;
    count_up();
    wait_equal(&done, wanted);
    tell("begun", processors_begun);
    tell("local APICs", ids);
    tell("counted with locks", locked);
    tell("counted with a lock", spun);
    pings();
    lapic_write(0x300, OTHERS | INIT);
    tell("begun, still", processors_begun);
}
