/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pc_private: between pc.c, which wires, and what a PC does beyond that. */
#ifndef VISOR_MACHINE_PC_PRIVATE_H
#define VISOR_MACHINE_PC_PRIVATE_H

#include "machine/pc.h"

#define FEATURE_LONG_MODE X86_FEATURE(X86_FEATURES_EXT_EDX, 29)

/* The first of the I/O APIC's inputs that are PCI's, behind those of ISA. */
#define PC_PCI_INPUT 16

/* -- pc.c ------------------------------------------------------------------------------------------------ */

/* An interrupt's drivers have numbers, 0 to 7. */
struct irq_line pc_isa_line(struct pc *pc, unsigned irq, unsigned driver);
/* Adds a device to the machine's. */
int pc_add(struct pc *pc, const struct device_type *type, const char *name, void *state, struct error *error);
/* Whether there is to be a device of this name that nobody has asked for: not in a machine that was saved
 * without it. */
bool pc_wants(const struct pc *pc, const char *name);

/* -- pc_serial.c ----------------------------------------------------------------------------------------- */

extern const uint16_t pc_serial_ports[PC_SERIALS];
extern const uint8_t pc_serial_irqs[PC_SERIALS];

/* What the terminal's menu does. */
struct char_menu pc_menu(struct pc *pc);
int pc_make_serials(struct pc *pc, const struct pc_config *config, struct error *error);
void pc_close_serials(struct pc *pc);

/* -- pc_pci.c -------------------------------------------------------------------------------------------- */

int pc_make_pci(struct pc *pc, const struct pc_config *config, struct error *error);
void pc_tell_pci(const struct pc *pc, struct acpi_config *tables);

/* -- pc_virtio.c ----------------------------------------------------------------------------------------- */

int pc_make_virtio(struct pc *pc, const struct pc_config *config, struct error *error);
void pc_free_virtio(struct pc *pc);
unsigned pc_pending(struct machine *machine);
void pc_stand(struct machine *machine, bool still);
void pc_loaded(struct machine *machine, int64_t seconds, bool copy);
struct virtio_balloon *pc_balloon(struct machine *machine);
/* What of its memory the guest has not given away. */
uint64_t pc_guest_memory(const struct pc *pc);

/* -- pc_vfio.c ------------------------------------------------------------------------------------------- */

/* Opens them, with all their refusals; nothing of them is the machine's yet. */
int pc_open_vfio(struct pc *pc, const struct pc_config *config, struct error *error);
int pc_make_vfio(struct pc *pc, const struct pc_config *config, struct error *error);
void pc_free_vfio(struct pc *pc);

/* -- pc_state.c -------------------------------------------------------------------------------------------
 */

/* What disks with `snapshot` keep, in sections "disk0" and "disk0-data" and so on. */
int pc_save(struct machine *machine, struct state_writer *writer, struct error *error);
int pc_restore(struct machine *machine, struct state_reader *reader, bool eager, struct error *error);

/* -- pc_qmp.c -------------------------------------------------------------------------------------------- */

extern const struct qmp_table pc_qmp; /* what is asked is the struct machine */

/* -- pc_rom.c -------------------------------------------------------------------------------------------- */

int pc_make_rom(struct pc *pc, const struct pc_config *config, struct error *error);
/* Its copy below 1 MiB, which is RAM. */
void pc_write_rom(struct pc *pc);
/* For kernels that can have been started by a PC's firmware: it has started the timer. */
void pc_start_timer(struct pc *pc);

/* -- pc_generation.c --------------------------------------------------------------------------------------
 */

int pc_make_generation(struct pc *pc, const struct pc_config *config, struct error *error);
/* To the guest's memory. */
void pc_write_generation(struct pc *pc);
/* The machine is another one from here on, and the guest is notified. */
void pc_renew_generation(struct pc *pc);

/* -- pc_boot.c ------------------------------------------------------------------------------------------- */

int pc_make_tables(struct pc *pc, const struct pc_config *config, struct error *error);
int pc_open_kernel(struct pc *pc, const struct pc_config *config, struct error *error);
void pc_close_kernel(struct pc *pc);
int pc_load(struct machine *machine, struct x86_state *state, struct error *error);

#endif
