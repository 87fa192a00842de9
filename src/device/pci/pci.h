/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci: one bus with its host bridge, and what all functions on it have in common: configuration space, base
 * address registers, interrupts by wire and by message (PCI Local Bus 3.0; the bridge's memory-mapped
 * configuration as in PCI Express).
 *
 * A device embeds a pci_device and is function 0 of its slot. It fills in its identity, capabilities and BARs
 * once; that is what a reset brings back. The configuration space answers by three tables of bytes: what is
 * there, which bits a guest may write, which ones it clears by writing ones.
 *
 * No firmware runs: after each reset of the machine the board calls pci_assign(), which does what one would:
 * addresses for all BARs, interrupt lines, and decoding switched on.
 *
 * Everything here happens under the machine's lock.
 */
#ifndef VISOR_DEVICE_PCI_PCI_H
#define VISOR_DEVICE_PCI_PCI_H

#include "device/device.h"
#include "device/irq.h"
#include "memory/io_space.h"
#include "memory/memory_map.h"

#define PCI_SLOTS         32
#define PCI_SLOT_ANY      UINT32_MAX
#define PCI_CONFIG_SIZE   256
#define PCI_BARS          6
#define PCI_MSIX_MAX      64
#define PCI_INTX_LINES    8                     /* inputs of the I/O APIC that slots share */
#define PCI_ISA_IRQ       10                    /* and 11: where those go on the 8259s, ORed */
#define PCI_MMCONFIG_SIZE (UINT64_C(256) << 20) /* 256 buses, of which only the first has anything */

/* Configuration header. */
enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS = 0x09, /* three bytes: interface, subclass, class */
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};

enum {
    PCI_COMMAND_IO = 1 << 0,
    PCI_COMMAND_MEMORY = 1 << 1,
    PCI_COMMAND_MASTER = 1 << 2,
    PCI_COMMAND_INTX_DISABLE = 1 << 10,
    PCI_STATUS_INTERRUPT = 1 << 3,
    PCI_STATUS_CAPABILITIES = 1 << 4,
};

enum {
    PCI_CAPABILITY_POWER = 0x01,
    PCI_CAPABILITY_VPD = 0x03,
    PCI_CAPABILITY_MSI = 0x05,
    PCI_CAPABILITY_VENDOR = 0x09,
    PCI_CAPABILITY_EXPRESS = 0x10,
    PCI_CAPABILITY_MSIX = 0x11,
    PCI_CAPABILITY_SATA = 0x12,
    PCI_CAPABILITY_FEATURES = 0x13, /* advanced features: a reset of the function */
};

/* Of MSI's control word. */
enum { PCI_MSI_64 = 0x0080, PCI_MSI_MASKING = 0x0100 };

enum pci_bar_flag {
    PCI_BAR_IO = 1,
    PCI_BAR_64 = 4,           /* takes the next register too */
    PCI_BAR_PREFETCHABLE = 8, /* reading has no effect */
};

struct pci_bar {
    uint64_t size; /* a power of two; 0: there is none */
    unsigned flags;
    struct memory_region *region;
    const struct access_ops *ops; /* of the region, for who reaches it otherwise */
    void *opaque;
};

struct pci_device;

struct pci_device_ops {
    /* Before these bytes of the configuration space are read, and after they were written; may be NULL. */
    void (*config_reading)(void *opaque, unsigned offset, unsigned size);
    void (*config_written)(void *opaque, unsigned offset, unsigned size);
    /* The guest is done with an interrupt of the line that the pin is on: what the device wants of its pin is
     * to be looked at anew. May be NULL: the device says so by itself. */
    void (*intx_ended)(void *opaque);
};

struct pci_device {
    uint8_t config[PCI_CONFIG_SIZE];
    uint32_t msix_table[PCI_MSIX_MAX * 4]; /* per vector: address, upper half, data, control (1: masked) */
    uint64_t msix_pending;
    uint32_t msi_pending;
    bool intx; /* what the device wants of its pin */
    /* The device's own, made once. */
    uint8_t initial[PCI_CONFIG_SIZE], writable[PCI_CONFIG_SIZE], clears[PCI_CONFIG_SIZE];
    struct pci_bar bars[PCI_BARS];
    unsigned msix_capability, msix_count, msi_capability; /* offsets, 0: none */
    unsigned capabilities_end, last_capability;
    const char *name;
    const struct pci_device_ops *ops;
    void *opaque;
    struct pci_bus *bus;
    unsigned slot;
};

#define PCI_DEVICE_FIELDS 5
extern const struct device_field pci_device_fields[PCI_DEVICE_FIELDS]; /* for DEVICE_PART() */

/* Where pci_assign() places what. The board leaves nothing else in there. */
struct pci_windows {
    uint64_t mmio32, mmio32_size; /* below 4 GiB */
    uint64_t mmio64, mmio64_size; /* above all RAM, for large 64-bit BARs; size 0: none */
    uint16_t io;
    uint32_t io_size;
};

struct pci_wiring {
    struct memory_map *memory; /* where BARs are, and what devices read and write themselves */
    struct io_space *io;
    uint64_t mmconfig; /* address of PCI_MMCONFIG_SIZE bytes, a multiple of that; 0: none */
    struct pci_windows windows;
    /* Inputs of the I/O APIC from intx.number on (16 on a PC), PCI_INTX_LINES of them, level-triggered, and
     * the ISA interrupts PCI_ISA_IRQ and the one after (isa.number is ignored), for who uses the 8259s: there
     * the board sets them level-triggered. */
    struct irq_line intx, isa;
    struct msi_port messages;
    /* Bytes written to and read from port CF9h; may be NULL. */
    const struct access_ops *reset_control;
    void *reset_opaque;
};

struct pci_bus {
    uint32_t address;         /* CF8h */
    struct pci_device bridge; /* slot 0 */
    struct pci_wiring wiring;
    struct pci_device *slots[PCI_SLOTS];
};

extern const struct device_type pci_bus_type;

/* The bus with its host bridge, attached to memory and I/O space. -EINVAL: the windows cannot be. */
int pci_bus_init(struct pci_bus *bus, const struct pci_wiring *wiring, struct error *error);
/* The input of the I/O APIC, from 0, that a slot's pin (0 is A) is routed to: for the ACPI tables, which add
 * the wiring's intx.number. */
unsigned pci_intx_line(unsigned slot, unsigned pin);
/* For the interrupt controllers' watchers: an interrupt of input `line` of the I/O APIC's that slots share,
 * or of ISA interrupt PCI_ISA_IRQ + `isa`, has ended. */
void pci_intx_ended(struct pci_bus *bus, unsigned line);
void pci_isa_ended(struct pci_bus *bus, unsigned isa);
/* After each reset. -ENOSPC: a BAR did not fit. */
int pci_assign(struct pci_bus *bus, struct error *error);

/* Puts the device, zeroed before, into a slot (PCI_SLOT_ANY: the first that is free) and gives it its
 * identity: `class` is class, subclass and interface as in 0x020000. -EBUSY: no slot. */
struct pci_identity {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint8_t revision;
    uint32_t class;
    bool interrupt; /* has pin A */
};
int pci_device_add(struct pci_bus *bus, unsigned slot, struct pci_device *device, const char *name,
                   const struct pci_identity *identity, const struct pci_device_ops *ops, void *opaque,
                   struct error *error);
/* While the device is not yet the guest's. The offset of a new capability of `size` bytes with its two bytes
 * of header filled in, or -ENOSPC. */
int pci_capability_add(struct pci_device *device, uint8_t id, unsigned size);
/* The same at an offset of the caller's, behind those that there are: for a device that has its capabilities
 * where others expect them. */
void pci_capability_place(struct pci_device *device, unsigned offset, uint8_t id);
/* Sets bytes, and which bits of them the guest may write. */
void pci_config_set(struct pci_device *device, unsigned offset, unsigned size, uint32_t value,
                    uint32_t writable);
/* A BAR whose accesses call `ops`. The size is rounded up to a power of two. */
int pci_bar_add(struct pci_device *device, unsigned index, unsigned flags, uint64_t size,
                const struct access_ops *ops, void *opaque, struct error *error);
/* MSI-X with its table and pending bits at these offsets of a BAR, whose accesses the device passes on to
 * pci_msix_table_*() and pci_msix_pending_read(). MSI: 64-bit, one vector with mask. */
int pci_msix_add(struct pci_device *device, unsigned count, unsigned bar, uint32_t table, uint32_t pending,
                 struct error *error);
int pci_msi_add(struct pci_device *device, struct error *error);
/* The same in capabilities at `offset` that the caller has placed, which have 12 bytes, and what `control`
 * says of PCI_MSI_64 and PCI_MSI_MASKING. `table` and `pending` are the capability's words. At most
 * PCI_MSIX_MAX vectors; one message. */
void pci_msix_place(struct pci_device *device, unsigned offset, unsigned count, uint32_t table,
                    uint32_t pending);
void pci_msi_place(struct pci_device *device, unsigned offset, uint16_t control);
void pci_device_remove(struct pci_device *device); /* from its slot; its regions go too */

/* For the device's type. */
void pci_device_reset(struct pci_device *device);
int pci_device_loaded(struct pci_device *device, struct error *error);

static inline unsigned pci_config_get(const struct pci_device *device, unsigned offset, unsigned size)
{
    unsigned value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (unsigned)device->config[offset + i] << (8 * i);
    return value;
}

/* Whether the device may read and write memory by itself, messages included. */
static inline bool pci_is_master(const struct pci_device *device)
{
    return device->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/* As the guest does it; sizes 1, 2, 4, aligned. */
uint32_t pci_config_read(struct pci_device *device, unsigned offset, unsigned size);
void pci_config_write(struct pci_device *device, unsigned offset, unsigned size, uint32_t value);

/* Interrupts. */
void pci_set_intx(struct pci_device *device, bool level);
bool pci_msix_enabled(const struct pci_device *device);
bool pci_msi_enabled(const struct pci_device *device);
void pci_msix_send(struct pci_device *device, unsigned vector); /* one that does not exist is ignored */
void pci_msi_send(struct pci_device *device);
/* What a vector would send now. False: nothing, it would wait, or there is none. */
bool pci_msix_message(const struct pci_device *device, unsigned vector, uint64_t *address, uint32_t *data);
uint64_t pci_msix_table_read(struct pci_device *device, uint64_t offset, unsigned size);
void pci_msix_table_write(struct pci_device *device, uint64_t offset, unsigned size, uint64_t value);
uint64_t pci_msix_pending_read(struct pci_device *device, uint64_t offset, unsigned size);

#endif
