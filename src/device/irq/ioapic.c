/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O APIC. Sections are those of the 82093AA data sheet. The polarity bit is kept and has no meaning: a
 * line's level here is whether it is asserted. */
#include "device/irq/ioapic.h"

#define VERSION (0x20 | (IOAPIC_PINS - 1) << 16)

/* 3.2.4, redirection table entry. */
#define PIN_MODE(pin)  ((pin) >> 8 & 7)
#define PIN_LOGICAL    (UINT64_C(1) << 11)
#define PIN_REMOTE_IRR (UINT64_C(1) << 14)
#define PIN_LEVEL      (UINT64_C(1) << 15)
#define PIN_MASKED     (UINT64_C(1) << 16)
#define PIN_READ_ONLY  (PIN_REMOTE_IRR | UINT64_C(1) << 12)
#define PIN_WRITABLE   (UINT64_C(0xff0000000001afff) & ~(UINT64_C(1) << 12))
#define MODE_LOWEST    1

static const struct device_field ioapic_fields[] = {
    DEVICE_FIELD(struct ioapic, select),
    DEVICE_FIELD(struct ioapic, id),
    DEVICE_FIELD(struct ioapic, lines),
    DEVICE_ARRAY(struct ioapic, pins),
};

/* As the message that a PCI function would send: Intel's manual, volume 3, "Message Signalled Interrupts". */
static uint64_t pin_address(uint64_t pin)
{
    return 0xfee00000 | (pin >> 56) << 12 | (pin & PIN_LOGICAL ? 4 : 0);
}

static uint32_t pin_data(uint64_t pin)
{
    return (uint32_t)(pin & 0x7ff) | 1u << 14 | (pin & PIN_LEVEL ? 1u << 15 : 0);
}

static bool pin_send(struct ioapic *ioapic, uint64_t pin)
{
    return msi_send(&ioapic->messages, pin_address(pin), pin_data(pin));
}

/* Only what is delivered as fixed or to the lowest priority can be level-triggered. */
static bool pin_level(uint64_t pin)
{
    return (pin & PIN_LEVEL) && PIN_MODE(pin) <= MODE_LOWEST;
}

static void tell(const struct ioapic *ioapic, unsigned number)
{
    const struct ioapic_watcher *watcher = &ioapic->watcher;
    const uint64_t pin = ioapic->pins[number];
    if (watcher->changed)
        watcher->changed(watcher->opaque, number, pin_address(pin),
                         pin_data(pin_level(pin) ? pin : pin & ~PIN_LEVEL));
}

/* A level-triggered input asks until it is taken, then not before its EOI. */
static void pin_update(struct ioapic *ioapic, unsigned number)
{
    uint64_t pin = ioapic->pins[number];
    if (pin_level(pin) && (ioapic->lines >> number & 1) && !(pin & (PIN_MASKED | PIN_REMOTE_IRR)) &&
        pin_send(ioapic, pin))
        ioapic->pins[number] |= PIN_REMOTE_IRR;
}

void ioapic_set(void *opaque, unsigned number, bool level)
{
    struct ioapic *ioapic = opaque;
    if (number >= IOAPIC_PINS)
        return;
    uint32_t bit = UINT32_C(1) << number;
    bool rises = level && !(ioapic->lines & bit);
    ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
    uint64_t pin = ioapic->pins[number];
    if (pin_level(pin))
        pin_update(ioapic, number);
    else if (rises && !(pin & PIN_MASKED)) /* 3.2.4, bit 16: an edge at a masked input is lost */
        pin_send(ioapic, pin & ~PIN_LEVEL);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        if ((uint8_t)ioapic->pins[i] != vector || !(ioapic->pins[i] & PIN_REMOTE_IRR))
            continue;
        ioapic->pins[i] &= ~PIN_REMOTE_IRR;
        irq_ended(&ioapic->ended, i);
        pin_update(ioapic, i);
    }
}

static uint32_t register_read(const struct ioapic *ioapic)
{
    unsigned index = ioapic->select;
    if (index >= 0x10 && index < 0x10 + 2 * IOAPIC_PINS)
        return (uint32_t)(ioapic->pins[(index - 0x10) / 2] >> (index % 2 ? 32 : 0));
    switch (index) {
    case 0: /* identification */
    case 2: /* arbitration, which follows it */ return (uint32_t)ioapic->id << 24;
    case 1: return VERSION;
    }
    return 0;
}

static void register_write(struct ioapic *ioapic, uint32_t value)
{
    unsigned index = ioapic->select;
    if (index == 0)
        ioapic->id = value >> 24 & 15;
    if (index < 0x10 || index >= 0x10 + 2 * IOAPIC_PINS)
        return;
    unsigned number = (index - 0x10) / 2;
    uint64_t pin = ioapic->pins[number];
    if (index % 2)
        pin = (pin & UINT32_MAX) | ((uint64_t)value << 32 & PIN_WRITABLE);
    else
        pin = (pin & ~(PIN_WRITABLE & UINT32_MAX)) | (value & PIN_WRITABLE);
    if (!pin_level(pin)) /* remote IRR is about level-triggered ones; software clears it so */
        pin &= ~PIN_REMOTE_IRR;
    ioapic->pins[number] = pin;
    tell(ioapic, number);
    pin_update(ioapic, number);
}

static uint64_t ioapic_read(void *opaque, uint64_t offset, unsigned size)
{
    struct ioapic *ioapic = opaque;
    uint32_t value = 0;
    (void)size;
    switch (offset & ~UINT64_C(3)) {
    case 0x00: value = ioapic->select; break;
    case 0x10: value = register_read(ioapic); break;
    }
    return value >> (8 * (offset & 3));
}

static void ioapic_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct ioapic *ioapic = opaque;
    if (offset == 0)
        ioapic->select = (uint8_t)value;
    else if (offset == 0x10 && size == 4)
        register_write(ioapic, (uint32_t)value);
    else if (offset == 0x40)
        ioapic_eoi(ioapic, (uint8_t)value);
}

const struct access_ops ioapic_ops = {ioapic_read, ioapic_write, 4};

static void ioapic_reset(void *opaque)
{
    struct ioapic *ioapic = opaque;
    ioapic->select = ioapic->id = 0;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        ioapic->pins[i] = PIN_MASKED;
        tell(ioapic, i);
    }
}

static int ioapic_loaded(void *opaque, struct error *error)
{
    (void)error;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        tell(opaque, i);
    return 0;
}

const struct device_type ioapic_type = {
    .name = "ioapic",
    .version = 1,
    .fields = ioapic_fields,
    .field_count = ARRAY_SIZE(ioapic_fields),
    .reset = ioapic_reset,
    .loaded = ioapic_loaded,
};

void ioapic_init(struct ioapic *ioapic, struct msi_port messages)
{
    *ioapic = (struct ioapic){.messages = messages};
    ioapic_reset(ioapic);
}
