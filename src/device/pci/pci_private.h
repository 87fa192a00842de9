/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pci_private: between the files of this folder. */
#ifndef VISOR_DEVICE_PCI_PCI_PRIVATE_H
#define VISOR_DEVICE_PCI_PCI_PRIVATE_H

#include "device/pci/pci.h"

/* Sends messages that waited and need not any more. */
void pci_messages_unmasked(struct pci_device *device);

#endif
