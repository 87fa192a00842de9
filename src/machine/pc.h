/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc: the board of an x86 PC, without firmware: what is where, and what is wired to what.
 */
#ifndef VISOR_MACHINE_PC_H
#define VISOR_MACHINE_PC_H

#include "backend/block/options.h"
#include "backend/char/host.h"
#include "backend/net/options.h"
#include "backend/vfio/vfio_device.h"
#include "backend/vsock/vsock.h"
#include "boot/boot.h"
#include "boot/disk_kernel.h"
#include "device/char/serial16550.h"
#include "device/irq/ioapic.h"
#include "device/irq/pic8259.h"
#include "device/irq/synic.h"
#include "device/misc/acpi_pm.h"
#include "device/misc/debug_port.h"
#include "device/misc/fw_cfg.h"
#include "device/misc/generation.h"
#include "device/misc/hyperv_test.h"
#include "device/misc/i8042.h"
#include "device/misc/pvpanic.h"
#include "device/misc/system_control.h"
#include "device/misc/test_device.h"
#include "device/misc/vmware_port.h"
#include "device/pci/pci.h"
#include "device/pci/vfio_memory.h"
#include "device/pci/vfio_pci.h"
#include "device/timer/hpet.h"
#include "device/timer/pit8254.h"
#include "device/timer/rtc.h"
#include "device/virtio/balloon.h"
#include "device/virtio/block.h"
#include "device/virtio/console.h"
#include "device/virtio/net.h"
#include "device/virtio/rng.h"
#include "device/virtio/vsock.h"
#include "machine/acpi/acpi.h"
#include "machine/machine.h"

#define PC_SERIALS 4
#define PC_IRQS    16

/* Where things are that tables tell of. */
#define PC_LAPIC_BASE  UINT64_C(0xfee00000)
#define PC_IOAPIC_BASE UINT64_C(0xfec00000)
#define PC_HPET_BASE   UINT64_C(0xfed00000)
#define PC_ACPI_PORTS  0x600
#define PC_SCI         9
#define PC_RESET_VALUE 6 /* at CF9h: all of the machine */

struct pc_config {
    /* NULL: what the first disk's boot loader would start. Without disks the first processor starts where a
     * PC's does, at FFFFFFF0h. */
    const char *kernel;
    const char *initrd;
    const char *command_line;                /* added to that of the disk */
    struct char_options serials[PC_SERIALS]; /* COM1 to COM4: what is at the other end */
    unsigned serial_count;
    const struct block_options *disks;
    unsigned disk_count;
    const struct net_options *nets;
    unsigned net_count;
    bool nets_optional; /* nobody has asked for them: if there can be none, the machine goes without */
    struct char_options console;             /* of the virtio console; none: there is none */
    struct vsock_option vsock;               /* where has_vsock */
    bool has_vsock, vsock_optional;          /* likewise */
    const struct vsock_dialer *vsock_dialer; /* NULL: this process connects by itself */
    char *const *vfio;                       /* addresses of the host's PCI devices that it is given */
    unsigned vfio_count;
    bool vmport;                       /* VMware's port */
    uint16_t debug_exit;               /* port; 0: there is none, and no test_device either */
    struct char_backend debug_console; /* of port E9h; no write(): there is none */
};

/* The inputs of the interrupt controllers. What is told to ISA interrupt n goes to input n of the 8259s and
 * of the I/O APIC, 0 to input 2 there. PCI and the HPET share inputs of the I/O APIC, PCI and ISA those of
 * the 8259s. */
struct pc_wires {
    struct irq_or pic[PC_IRQS];
    struct irq_or ioapic[IOAPIC_PINS];
};

/* Drivers; below them are those of ISA, 0 to 7. */
enum { PC_DRIVER_PCI = 8, PC_DRIVER_HPET };

struct pc_disk {
    struct pc *pc;
    char name[16]; /* "disk0" */
    struct block_backend *backend;
    struct virtio_block *device;
    bool blocked; /* the host had no room for what it was to write */
};

struct pc_net {
    struct vhost *vhost; /* NULL: the device does all of it */
    struct net_backend *backend;
    struct virtio_net *device;
};

struct pc_vfio {
    struct vfio_device *host;
    struct vfio_pci *device;
};

struct pc {
    struct machine *machine;
    const struct buffer *saved; /* of the machine's configuration, while the board is made */
    struct ram_layout layout;
    struct pc_wires wires;
    struct lapic *lapics, **lapic_pointers; /* by vCPU */
    struct lapic_bus bus;
    struct synic *synics, **synic_pointers; /* likewise; NULL: the processors have none */
    struct pic8259 pic;
    struct ioapic ioapic;
    struct pit8254 pit;
    struct rtc rtc;
    struct hpet hpet;
    struct serial16550 serials[PC_SERIALS];
    struct char_host *serial_hosts[PC_SERIALS]; /* NULL: nobody */
    struct i8042 i8042;
    struct system_control control;
    struct fw_cfg fw_cfg;
    struct acpi_pm pm;
    struct pvpanic pvpanic;
    struct generation generation;
    bool has_generation;
    struct vmware_port vmport;
    struct debug_exit debug_exit;
    struct test_device test_device;  /* beside it */
    struct hyperv_test *hyperv_test; /* likewise; NULL: there is no synic */
    struct char_backend debug_console;
    struct pci_bus pci;
    struct pc_disk *disks;
    unsigned disk_count;
    int retry_fd; /* timer for disks that are blocked */
    struct loop_watch *retry_watch;
    struct pc_net *nets;
    unsigned net_count;
    struct virtio_rng *rng;
    struct virtio_balloon *balloon;
    struct virtio_console *console;
    struct char_host *console_host;
    struct virtio_vsock *vsock;
    struct vsock_backend *vsock_backend; /* one of the two */
    struct vhost *vsock_vhost;
    uint32_t vsock_cid;            /* the guest's, by that; or 0 */
    struct vfio_space *vfio_space; /* what those reach; NULL: there are none */
    struct vfio_memory *vfio_memory;
    struct pc_vfio *vfio;
    unsigned vfio_count;
    struct memory_backing *rom;
    struct acpi_config tables;
    struct boot_file *kernel, *initrd;
    struct boot_file *disk; /* the kernel is looked for in its file systems at each start */
    struct disk_kernel disk_kernel;
    char *command_line;
};

extern const struct machine_type machine_pc; /* its configuration is a struct pc_config */

/* By which context the host's kernel knows the guest of such a machine; 0: by none. */
uint32_t pc_vsock_cid(const struct machine *machine);

#endif
