/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lapic: the local APIC of a vCPU (Intel's manual, volume 3, chapter "Advanced Programmable Interrupt
 * Controller"), with xAPIC registers in memory, x2APIC registers as MSRs, a timer with TSC deadline, and the
 * bus between them.
 *
 * For the engine, on the vCPU's own thread and without the machine's lock:
 *     lapic_mmio_read/write()   accesses to the page that lapic_page() says, which is in no memory_map since
 * it is each vCPU's own; lapic_msr_read/write() for MSRs 1Bh, 6E0h and 800h-8FFh; lapic_pending() before it
 * enters the guest with interrupts enabled, or to wake from HLT; lapic_acknowledge()       when it delivers
 * the interrupt; lapic_take_events()       NMI, SMI, INIT, SIPI, which are the processor's matter;
 * lapic_init_processor() at INIT. lapic_host.kick() asks the engine to look again; any thread may call it.
 * Others set bits here by atomic operations only: lapic_bus_send() and lapic_set_lint() are for every thread.
 *
 * An engine whose host has local APICs of its own borrows the registers while its vCPUs run: lapic_lend() and
 * lapic_return(), see there.
 */
#ifndef VISOR_DEVICE_IRQ_LAPIC_H
#define VISOR_DEVICE_IRQ_LAPIC_H

#include <stdatomic.h>

#include "device/device.h"
#include "device/irq.h"

#define LAPIC_SIZE     0x1000
#define LAPIC_NONE     (-1)
#define LAPIC_EXTINT   256 /* instead of a vector: it is the 8259's to say */
#define LAPIC_TIMER_HZ TIMER_SECOND

enum lapic_event {
    LAPIC_NMI = 1,
    LAPIC_SMI = 2,
    LAPIC_INIT = 4,
    LAPIC_SIPI = 8,            /* starts at lapic->sipi_vector << 12, if the processor waits for it */
    LAPIC_EXTINT_MESSAGE = 16, /* the lapic's own: see lapic_pending() */
    LAPIC_NMI_AGAIN = 32,      /* another one came before the first was taken */
    LAPIC_LINT0_ROSE = 64,     /* of a lapic that is lent: the pin was asserted, and what its entry says of */
    LAPIC_LINT1_ROSE = 128,    /* that is whoever has it to look up */
    LAPIC_SWITCHED_ON = 256,   /* by software: it takes interrupts again */
};

#define LAPIC_BASE_BSP     (UINT64_C(1) << 8) /* IA32_APIC_BASE */
#define LAPIC_BASE_X2APIC  (UINT64_C(1) << 10)
#define LAPIC_BASE_ENABLED (UINT64_C(1) << 11)

enum lapic_lvt {
    LAPIC_LVT_TIMER,
    LAPIC_LVT_THERMAL,
    LAPIC_LVT_PERFORMANCE,
    LAPIC_LVT_LINT0,
    LAPIC_LVT_LINT1,
    LAPIC_LVT_ERROR,
    LAPIC_LVT_COUNT
};

struct lapic_host {
    void (*kick)(void *opaque, unsigned vcpu); /* may be called with nothing new */
    void (*eoi)(void *opaque,
                uint8_t vector); /* of a level-triggered interrupt; takes the machine's lock itself */
    void *opaque;
};

/* An engine that keeps the local APICs elsewhere while vCPUs run; send NULL: there is none. */
struct lapic_borrower {
    /* Takes messages in place of the bus; may give them back by lapic_bus_deliver(). */
    bool (*send)(void *opaque, uint64_t address, uint32_t data);
    /* What an I/O APIC's pin sends from now on. The engine has to tell of the end of level-triggered ones. */
    void (*pin)(void *opaque, unsigned pin, uint64_t address, uint32_t data);
    /* As of a struct msi_port; may be NULL. */
    bool (*connect)(void *opaque, int fd, uint64_t address, uint32_t data);
    void (*disconnect)(void *opaque, int fd);
    void *opaque;
};

struct lapic_bus {
    struct lapic **lapics; /* by vCPU */
    unsigned count;
    struct lapic_host host;
    struct lapic_borrower borrower; /* set and taken away while no vCPU runs */
};

struct lapic {
    _Atomic uint64_t base; /* IA32_APIC_BASE */
    _Atomic uint32_t id;   /* xAPIC: writable, 8 bits */
    _Atomic uint32_t tpr, ldr, dfr, svr;
    _Atomic uint32_t irr[8], isr[8], tmr[8];
    /* Bits: interrupts that wait as those of irr do, and end as they are delivered. Of the SynIC (synic.h);
     * NULL: there is none. */
    _Atomic uint32_t *automatic;
    _Atomic uint32_t errors; /* since the last write to esr */
    uint32_t esr;
    uint64_t icr;
    _Atomic uint32_t lvt[LAPIC_LVT_COUNT];
    _Atomic uint32_t lint; /* levels of LINT0 and LINT1 */
    _Atomic uint32_t events, sipi_vector;

    /* Written by the vCPU; the loop thread, when the timer is due, sets only timer_due, which `timer`
     * follows. */
    _Atomic uint32_t timer_initial, timer_divide;
    _Atomic uint8_t timer_counts; /* 0: the count stands at zero, whatever the initial one */
    _Atomic uint64_t timer_start; /* when the initial count was loaded */
    uint64_t tsc_deadline, tsc_offset;
    uint64_t tsc_hz;            /* how fast the TSC counts; the engine's to change, before it runs */
    _Atomic uint64_t timer_due; /* by the machine's clock; TIMER_NEVER */
    struct timer timer;

    _Atomic bool lent;
    bool lent_over; /* it was lent with a timer that was over */

    struct lapic_bus *bus;
    unsigned vcpu;
    uint32_t initial_id;
    uint64_t address_mask; /* physical addresses that the processor has */
    const struct clock *clock;
};

extern const struct device_type lapic_type;

/* The lapic of vCPU `vcpu`, which is bus->lapics[vcpu] or will be. The first one is the bootstrap
 * processor's. */
void lapic_init(struct lapic *lapic, struct lapic_bus *bus, unsigned vcpu, uint32_t id, unsigned address_bits,
                struct timers *timers);
/* What a PC's firmware leaves, for machines that start without: enabled, 8259 at LINT0, NMI at LINT1. */
void lapic_set_virtual_wire(struct lapic *lapic);

/* The address of the register page; false: there is none. */
bool lapic_page(const struct lapic *lapic, uint64_t *address);
uint64_t lapic_mmio_read(struct lapic *lapic, uint64_t offset, unsigned size);
void lapic_mmio_write(struct lapic *lapic, uint64_t offset, unsigned size, uint64_t value);
/* False: a general protection fault. */
bool lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *value);
bool lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t value);
/* The processor's time-stamp counter is the clock in ticks of tsc_hz, and this. To be called when the guest
 * has written the counter. */
void lapic_set_tsc_offset(struct lapic *lapic, uint64_t offset);
/* CR8. */
uint8_t lapic_priority_class(const struct lapic *lapic);
void lapic_set_priority_class(struct lapic *lapic, uint8_t class);

/* The vector that would be delivered now, LAPIC_EXTINT or LAPIC_NONE. */
int lapic_pending(const struct lapic *lapic);
/* Delivers what is pending and says what it was. After LAPIC_EXTINT the 8259 is to be asked. */
int lapic_acknowledge(struct lapic *lapic);
/* Bits of enum lapic_event, without LAPIC_EXTINT_MESSAGE; they are taken. */
uint32_t lapic_take_events(struct lapic *lapic);
bool lapic_has_events(const struct lapic *lapic);
/* The processor executes INIT: everything but identity and base is reset. */
void lapic_init_processor(struct lapic *lapic);

void lapic_set_lint(struct lapic *lapic, unsigned pin, bool level);
/* An edge-triggered interrupt of what belongs to the processor, for whoever has the registers; under the
 * machine's lock. `automatic`: it ends as it is delivered. False: it takes none, or none with this vector. */
bool lapic_interrupt(struct lapic *lapic, uint8_t vector, bool automatic);
/* A message to address FEExxxxxh; fits an msi_port with the bus as opaque, as do the two for eventfds, which
 * are the borrower's. */
bool lapic_bus_send(void *bus, uint64_t address, uint32_t data);
bool lapic_bus_connect(void *bus, int fd, uint64_t address, uint32_t data);
void lapic_bus_disconnect(void *bus, int fd);
/* Likewise, past a borrower: to the lapics here. */
bool lapic_bus_deliver(struct lapic_bus *bus, uint64_t address, uint32_t data);
/* What an I/O APIC's pin sends; for the borrower, if there is one. Fits an ioapic_watcher. */
void lapic_bus_pin(void *bus, unsigned pin, uint64_t address, uint32_t data);

/* -- lapic_image.c: lent registers ----------------------------------------------------------------------- */

#define LAPIC_REGISTERS 64

/* The registers by their number, which is the address over 16. The timer's current count is what there is to
 * count; an initial count of 0: it does not count. */
struct lapic_image {
    uint32_t registers[LAPIC_REGISTERS];
    uint64_t base, tsc_deadline; /* tsc_deadline 0: there is none, or it was reached and has interrupted */
};

/* While no vCPU runs. A lapic that is lent has nothing pending, runs no timer, and its registers mean
 * nothing but for the base, CR8, and the levels of its pins. What the image has no place for (errors that
 * software has not asked for yet) stays. */
void lapic_lend(struct lapic *lapic, struct lapic_image *out);
/* Before it the TSC's offset is told. */
void lapic_return(struct lapic *lapic, const struct lapic_image *image);

#endif
