/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two 8259A interrupt controllers. Sections are those of the data sheet. MCS-80/85 mode is not modelled. */
#include "device/irq/pic8259.h"

#define CASCADE 2

static const struct device_field chip_fields[] = {
    DEVICE_FIELD(struct pic8259_chip, lines),
    DEVICE_FIELD(struct pic8259_chip, irr),
    DEVICE_FIELD(struct pic8259_chip, imr),
    DEVICE_FIELD(struct pic8259_chip, isr),
    DEVICE_FIELD(struct pic8259_chip, elcr),
    DEVICE_LIMITED(struct pic8259_chip, lowest, 7),
    DEVICE_FIELD(struct pic8259_chip, base),
    DEVICE_FIELD(struct pic8259_chip, cascade),
    DEVICE_LIMITED(struct pic8259_chip, expects, 4),
    DEVICE_FIELD(struct pic8259_chip, single),
    DEVICE_FIELD(struct pic8259_chip, wants_icw4),
    DEVICE_FIELD(struct pic8259_chip, auto_eoi),
    DEVICE_FIELD(struct pic8259_chip, rotate_on_auto_eoi),
    DEVICE_FIELD(struct pic8259_chip, fully_nested),
    DEVICE_FIELD(struct pic8259_chip, special_mask),
    DEVICE_FIELD(struct pic8259_chip, read_isr),
    DEVICE_FIELD(struct pic8259_chip, poll),
};

static const struct device_field pic_fields[] = {
    DEVICE_STRUCTS(struct pic8259, chips, chip_fields),
    DEVICE_FIELD(struct pic8259, output),
};

/* The input of highest priority among `inputs`, or -1. */
static int chip_first(const struct pic8259_chip *chip, uint8_t inputs)
{
    for (unsigned i = 1; i <= 8; i++)
        if (inputs >> ((chip->lowest + i) & 7) & 1)
            return (int)((chip->lowest + i) & 7);
    return -1;
}

/* 0: highest; 8: none. */
static unsigned chip_rank(const struct pic8259_chip *chip, int input)
{
    return input < 0 ? 8 : ((unsigned)input - chip->lowest - 1) & 7;
}

/* The input that makes the chip request an interrupt, or -1: unmasked, and nothing of its rank or above is
 * being served ("Fully Nested Mode"), except that a slave may interrupt itself ("Special Fully Nested Mode")
 * and that masked inputs in service do not count ("Special Mask Mode"). */
static int chip_request(const struct pic8259_chip *chip)
{
    int input = chip_first(chip, chip->irr & (uint8_t)~chip->imr);
    uint8_t serving = chip->isr;
    if (chip->special_mask)
        serving &= (uint8_t)~chip->imr;
    if (chip->fully_nested && input >= 0 && chip == &chip->pic->chips[0])
        serving &= (uint8_t) ~(1u << input & chip->cascade);
    return chip_rank(chip, input) < chip_rank(chip, chip_first(chip, serving)) ? input : -1;
}

static void chip_set(struct pic8259_chip *chip, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)(1u << input);
    if (!level)
        chip->irr &= (uint8_t)~bit; /* figure 9: without the input, an edge is no request either */
    else if ((chip->elcr & bit) || !(chip->lines & bit))
        chip->irr |= bit;
    chip->lines = level ? chip->lines | bit : chip->lines & (uint8_t)~bit;
}

/* After any change: the slave's output is an input of the master, whose output is `intr`. */
static void pic_update(struct pic8259 *pic)
{
    chip_set(&pic->chips[0], CASCADE, chip_request(&pic->chips[1]) >= 0);
    bool output = chip_request(&pic->chips[0]) >= 0;
    if (output != pic->output) {
        pic->output = output;
        irq_set(&pic->intr, output);
    }
}

void pic8259_set(void *opaque, unsigned irq, bool level)
{
    struct pic8259 *pic = opaque;
    if (irq > 15 || irq == CASCADE)
        return;
    chip_set(&pic->chips[irq >> 3], irq & 7, level);
    pic_update(pic);
}

static void chip_ended(const struct pic8259_chip *chip, int input)
{
    const unsigned first = chip == &chip->pic->chips[0] ? 0 : 8;
    irq_ended(&chip->pic->ended, first + (unsigned)input);
}

/* "Interrupt Sequence", steps 3 and 4: the input that is served from now on, or -1. */
static int chip_acknowledge(struct pic8259_chip *chip)
{
    int input = chip_request(chip);
    if (input < 0)
        return -1;
    uint8_t bit = (uint8_t)(1u << input);
    if (!(chip->elcr & bit))
        chip->irr &= (uint8_t)~bit;
    if (!chip->auto_eoi)
        chip->isr |= bit;
    else if (chip->rotate_on_auto_eoi)
        chip->lowest = (uint8_t)input;
    if (chip != &chip->pic->chips[0]) /* the output falls, so that the master sees the next request's edge */
        chip_set(&chip->pic->chips[0], CASCADE, false);
    if (chip->auto_eoi)
        chip_ended(chip, input);
    return input;
}

uint8_t pic8259_acknowledge(struct pic8259 *pic)
{
    struct pic8259_chip *chip = &pic->chips[0];
    int input = chip_acknowledge(chip);
    if (input == CASCADE && !chip->single && (chip->cascade & 1 << CASCADE)) {
        chip = &pic->chips[1];
        input = chip_acknowledge(chip);
    }
    uint8_t vector = (uint8_t)(chip->base | (input < 0 ? 7 : input));
    pic_update(pic);
    return vector;
}

/* ICW1. What it resets is listed in "Initialization Command Words (ICWS)". */
static void chip_initialise(struct pic8259_chip *chip, uint8_t value)
{
    chip->irr = chip->lines & chip->elcr;
    chip->imr = chip->isr = 0;
    chip->lowest = 7;
    chip->special_mask = chip->read_isr = chip->poll = false;
    chip->auto_eoi = chip->rotate_on_auto_eoi = chip->fully_nested = false;
    chip->single = value & 2;
    chip->wants_icw4 = value & 1;
    chip->expects = 2;
}

/* OCW2: end of interrupt and rotation of priorities. */
static void chip_end(struct pic8259_chip *chip, uint8_t value)
{
    int input = value & 7;
    switch (value >> 5) {
    case 0: /* rotate in automatic EOI mode: clear, set */
    case 4: chip->rotate_on_auto_eoi = value >> 7; return;
    case 6: chip->lowest = (uint8_t)input; return; /* set priority */
    case 2: return;
    case 1:
    case 5: /* non-specific: what is served with the highest priority; what special mask mode hides stays */
        input = chip_first(chip, chip->special_mask ? chip->isr & (uint8_t)~chip->imr : chip->isr);
        break;
    }
    if (input < 0)
        return;
    const bool served = chip->isr >> input & 1;
    chip->isr &= (uint8_t) ~(1u << input);
    if (value >> 7)
        chip->lowest = (uint8_t)input;
    if (served)
        chip_ended(chip, input);
}

static void chip_write_command(struct pic8259_chip *chip, uint8_t value)
{
    if (value & 0x10) {
        chip_initialise(chip, value);
    } else if (!(value & 8)) {
        chip_end(chip, value);
    } else { /* OCW3 */
        if (value & 0x40)
            chip->special_mask = value & 0x20;
        if (value & 2)
            chip->read_isr = value & 1;
        chip->poll = value & 4;
    }
}

static void chip_write_data(struct pic8259_chip *chip, uint8_t value)
{
    switch (chip->expects) {
    case 2:
        chip->base = value & 0xf8;
        chip->expects = !chip->single ? 3 : chip->wants_icw4 ? 4 : 0;
        break;
    case 3:
        chip->cascade = value;
        chip->expects = chip->wants_icw4 ? 4 : 0;
        break;
    case 4:
        chip->auto_eoi = value & 2;
        chip->fully_nested = value & 0x10;
        chip->expects = 0;
        break;
    default: chip->imr = value; /* OCW1 */
    }
}

static void chip_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pic8259_chip *chip = opaque;
    (void)size;
    if (offset)
        chip_write_data(chip, (uint8_t)value);
    else
        chip_write_command(chip, (uint8_t)value);
    pic_update(chip->pic);
}

static uint64_t chip_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pic8259_chip *chip = opaque;
    (void)size;
    if (chip->poll) { /* "Poll Command": the read is the acknowledge */
        chip->poll = false;
        int input = chip_acknowledge(chip);
        pic_update(chip->pic);
        return input < 0 ? 0 : 0x80u | (unsigned)input;
    }
    return offset ? chip->imr : chip->read_isr ? chip->isr : chip->irr;
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct pic8259 *pic = opaque;
    (void)size;
    return pic->chips[offset].elcr;
}

static void elcr_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pic8259 *pic = opaque;
    struct pic8259_chip *chip = &pic->chips[offset];
    (void)size;
    /* Timer, keyboard, cascade, clock and coprocessor are edge-triggered for good. */
    uint8_t elcr = (uint8_t)value & (offset ? 0xde : 0xf8), changed = elcr ^ chip->elcr;
    chip->elcr = elcr;
    chip->irr = (uint8_t)((chip->irr & ~changed) | (chip->lines & elcr));
    pic_update(pic);
}

static const struct access_ops chip_ops = {chip_read, chip_write, 1};
static const struct access_ops elcr_ops = {elcr_read, elcr_write, 1};

static void pic_reset(void *opaque)
{
    struct pic8259 *pic = opaque;
    for (unsigned i = 0; i < 2; i++) {
        struct pic8259_chip *chip = &pic->chips[i];
        *chip = (struct pic8259_chip){.lines = chip->lines, .pic = pic};
        chip_initialise(chip, 0);
        chip->expects = 0;
    }
    pic_update(pic);
}

const struct device_type pic8259_type = {
    .name = "pic8259",
    .version = 1,
    .fields = pic_fields,
    .field_count = ARRAY_SIZE(pic_fields),
    .reset = pic_reset,
};

void pic8259_init(struct pic8259 *pic, struct irq_line intr)
{
    *pic = (struct pic8259){.intr = intr};
    pic_reset(pic);
}

int pic8259_attach(struct pic8259 *pic, struct io_space *io, struct error *error)
{
    bool all = io_add(io, "pic", 0x20, 2, 0, &chip_ops, &pic->chips[0], error) &&
               io_add(io, "pic", 0xa0, 2, 0, &chip_ops, &pic->chips[1], error) &&
               io_add(io, "elcr", 0x4d0, 2, 0, &elcr_ops, pic, error);
    return all ? 0 : error->code;
}
