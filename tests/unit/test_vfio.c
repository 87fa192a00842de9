/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said of PCI devices that a machine cannot be given, by trees that look like sysfs; and a VFIO that
 * is made up, whose device's file is a file in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/vfio/vfio_device.h"
#include "base/macros.h"

#define CARD  "0000:03:00.0"
#define SOUND "0000:03:00.1"

static char root[] = "/tmp/visor-vfio-XXXXXX";
static char sysfs[64], dev[64], proc[64];
static int opens; /* what opening the group gives */
static struct vfio_host host;
static struct error error;

/* What the kernel has been asked for, and says. */
#define BAR_OFFSET 0x10000
#define BAR_SIZE   0x4000
#define CONFIG     0x0

static int device_file; /* the device's */
static int answers[16]; /* codes by request, from VFIO_BASE on; 0: it goes well */
static unsigned asked[32], msix_count, most_vectors, sparse_count;
static struct vfio_region_sparse_mmap_area sparse[20];
static struct vfio_iommu_type1_dma_map mapped;
static int triggers[5][VFIO_VECTORS_MAX]; /* eventfds by index */
static unsigned trigger_counts[5], unmasks, device_flags, group_flags;

static int fake_region(struct vfio_region_info *info)
{
    const uint32_t room = info->argsz;
    const uint32_t both = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    if (info->index == VFIO_PCI_CONFIG_REGION_INDEX) {
        info->flags = both;
        info->size = 256;
        info->offset = CONFIG;
    } else if (info->index == 2) {
        info->flags = both | VFIO_REGION_INFO_FLAG_MMAP | (sparse_count ? VFIO_REGION_INFO_FLAG_CAPS : 0);
        info->size = BAR_SIZE;
        info->offset = BAR_OFFSET;
        info->cap_offset = sizeof *info;
        struct vfio_region_info_cap_sparse_mmap head = {
            .header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1}, .nr_areas = sparse_count};
        info->argsz = (uint32_t)(sizeof *info + sizeof head + sizeof sparse);
        if (info->argsz <= room) {
            memcpy((uint8_t *)info + sizeof *info, &head, sizeof head);
            memcpy((uint8_t *)info + sizeof *info + sizeof head, sparse, sizeof sparse);
        }
    }
    return 0;
}

static int fake_irqs(const struct vfio_irq_set *set)
{
    assert_true(set->index < 5 && set->start == 0 && set->count <= VFIO_VECTORS_MAX);
    if (set->flags & VFIO_IRQ_SET_ACTION_UNMASK) {
        unmasks++;
        return 0;
    }
    if (set->index == VFIO_PCI_MSIX_IRQ_INDEX && set->count > most_vectors)
        return (int)most_vectors;
    if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
        assert_int_equal(set->argsz, sizeof *set + set->count * sizeof(int));
        memcpy(triggers[set->index], set->data, set->count * sizeof(int));
    }
    trigger_counts[set->index] = set->count;
    return 0;
}

static int fake_control(int fd, unsigned long request, void *argument)
{
    const unsigned number = (unsigned)(request & 0xff) - VFIO_BASE;
    (void)fd;
    asked[number]++;
    if (answers[number])
        return answers[number];
    switch (request) {
    case VFIO_GET_API_VERSION: return VFIO_API_VERSION;
    case VFIO_CHECK_EXTENSION: return (uintptr_t)argument == VFIO_TYPE1v2_IOMMU;
    case VFIO_GROUP_GET_STATUS: ((struct vfio_group_status *)argument)->flags = group_flags; return 0;
    case VFIO_GROUP_GET_DEVICE_FD: assert_string_equal(argument, CARD); return dup(device_file);
    case VFIO_DEVICE_GET_INFO: ((struct vfio_device_info *)argument)->flags = device_flags; return 0;
    case VFIO_DEVICE_GET_REGION_INFO: return fake_region(argument);
    case VFIO_DEVICE_GET_IRQ_INFO: {
        struct vfio_irq_info *info = argument;
        info->flags = VFIO_IRQ_INFO_EVENTFD;
        info->count = info->index == VFIO_PCI_MSIX_IRQ_INDEX ? msix_count : 1;
        return 0;
    }
    case VFIO_DEVICE_SET_IRQS: return fake_irqs(argument);
    case VFIO_IOMMU_GET_INFO: {
        struct vfio_iommu_type1_info *info = argument;
        const struct vfio_iommu_type1_info_cap_iova_range head = {
            .header = {.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 2}, .nr_iovas = 1};
        const struct vfio_iova_range range = {0, 0x7fffffff};
        info->flags = VFIO_IOMMU_INFO_CAPS;
        info->cap_offset = 64;
        info->argsz = 64 + sizeof head + sizeof range;
        memcpy((uint8_t *)argument + 64, &head, sizeof head);
        memcpy((uint8_t *)argument + 64 + sizeof head, &range, sizeof range);
        return 0;
    }
    case VFIO_IOMMU_MAP_DMA: mapped = *(struct vfio_iommu_type1_dma_map *)argument; return 0;
    default: return 0;
    }
}

static int fake_open(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return -errno;
    return opens < 0 ? opens : open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* -- the tree -------------------------------------------------------------------------------------------- */

static void make_directory(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s/%s", root, path);
    for (char *slash = part + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        mkdir(part, 0755);
    }
    if (mkdir(part, 0755) < 0)
        assert_int_equal(errno, EEXIST);
}

static void make_link(const char *target, const char *directory, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s/%s", root, directory, name);
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
}

static void make_file(const char *path, const char *text)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void make_device(const char *address, const char *class, const char *driver, const char *group)
{
    char directory[64], target[128];
    snprintf(directory, sizeof directory, "sys/bus/pci/devices/%s", address);
    make_directory(directory);
    snprintf(target, sizeof target, "%s/class", directory);
    make_file(target, class);
    if (driver) {
        snprintf(target, sizeof target, "../../../bus/pci/drivers/%s", driver);
        make_link(target, directory, "driver");
    }
    if (!group)
        return;
    snprintf(target, sizeof target, "../../../kernel/iommu_groups/%s", group);
    make_link(target, directory, "iommu_group");
    snprintf(directory, sizeof directory, "sys/kernel/iommu_groups/%s/devices", group);
    make_directory(directory);
    snprintf(target, sizeof target, "../../../../bus/pci/devices/%s", address);
    make_link(target, directory, address);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(root + strlen(root) - 6, "XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(sysfs, sizeof sysfs, "%s/sys", root);
    snprintf(dev, sizeof dev, "%s/dev", root);
    snprintf(proc, sizeof proc, "%s/proc", root);
    host = (struct vfio_host){sysfs, dev, proc, fake_open, fake_control};
    memset(answers, 0, sizeof answers);
    memset(asked, 0, sizeof asked);
    memset(trigger_counts, 0, sizeof trigger_counts);
    msix_count = 3;
    most_vectors = VFIO_VECTORS_MAX;
    sparse_count = unmasks = 0;
    device_flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
    group_flags = VFIO_GROUP_FLAGS_VIABLE;
    error = (struct error)ERROR_INIT;
    opens = 0;
    make_directory("sys/kernel/iommu_groups");
    make_directory("sys/bus/pci/devices");
    make_directory("dev/vfio");
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void refused(int code, const char *text, const char *hint)
{
    assert_int_equal(vfio_check(&host, CARD, &error), code);
    assert_int_equal(error.code, code);
    if (!strstr(error.message, text) || !strstr(error.hint, hint))
        fail_msg("%s (%s)", error.message, error.hint);
}

/* -- tests ----------------------------------------------------------------------------------------------- */

static void test_addresses(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",           "03",          "03:00",     "03:00.8",      "03:20.0",
                                        "0000:03:00", "03:00.0x",    "x3:00.0",   "-3:00.0",      " 03:00.0",
                                        "03:00.0 ",   "00000:3:0.0", "../03:0.0", "0000:03:00.00"};
    char out[VFIO_ADDRESS_SIZE];
    assert_int_equal(vfio_address_parse(out, "03:00.0", &error), 0);
    assert_string_equal(out, CARD);
    assert_int_equal(vfio_address_parse(out, "10AB:fe:1f.7", &error), 0);
    assert_string_equal(out, "10ab:fe:1f.7");
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(vfio_address_parse(out, wrong[i], &error), -EINVAL);
}

static void test_no_device(void **state)
{
    (void)state;
    refused(-ENODEV, "no PCI device " CARD, "lspci");
}

static void test_no_iommu(void **state)
{
    (void)state;
    make_device(CARD, "0x020000", "vfio-pci", NULL);
    refused(-ENOTSUP, "this host has no IOMMU", "intel_iommu=on");
    make_device("0000:04:00.0", "0x020000", NULL, "3"); /* which has one */
    refused(-ENOTSUP, "no IOMMU keeps it", "");
}

static void test_bridge(void **state)
{
    (void)state;
    make_device(CARD, "0x060400", "pcieport", "7");
    refused(-ENOTSUP, "is a bridge", "");
}

static void test_not_bound(void **state)
{
    (void)state;
    make_device(CARD, "0x020000", NULL, "7");
    refused(-EBUSY, CARD " is not bound to vfio-pci", "driverctl set-override " CARD);
    make_device(CARD, "0x020000", "e1000e", "7");
    refused(-EBUSY, "its driver e1000e has it", "modprobe vfio-pci");
}

static void test_shared_group(void **state)
{
    (void)state;
    make_file("dev/vfio/7", "");
    make_device(CARD, "0x030000", "vfio-pci", "7");
    make_device(SOUND, "0x040300", "snd_hda_intel", "7");
    make_device("0000:03:00.2", "0x0c0330", "xhci_hcd", "7");
    make_device("0000:00:01.0", "0x060400", "pcieport", "7");
    refused(-EBUSY, "shares IOMMU group 7", "another slot");
    assert_non_null(strstr(error.message, SOUND " (snd_hda_intel), 0000:03:00.2 (xhci_hcd)"));
    assert_null(strstr(error.message, "pcieport"));
    make_device(SOUND, "0x040300", "vfio-pci", "7");
    make_device("0000:03:00.2", "0x0c0330", "pci-stub", "7");
    assert_int_equal(vfio_check(&host, CARD, &error), 0);
}

static void test_group_file(void **state)
{
    (void)state;
    char path[128];
    make_device(CARD, "0x020000", "vfio-pci", "12");
    refused(-ENOENT, "there is no ", "modprobe vfio-pci");
    make_file("dev/vfio/12", "");
    opens = -EACCES;
    refused(-EACCES, "/dev/vfio/12: permission denied", "chown USER ");
    opens = -EBUSY;
    refused(-EBUSY, "is in use: somebody has ", "");
    make_directory("proc/self");
    make_directory("proc/4711/fd");
    make_link("/dev/null", "proc/4711/fd", "0");
    snprintf(path, sizeof path, "%s/vfio/12", dev);
    make_link(path, "proc/4711/fd", "9");
    refused(-EBUSY, "is in use: process 4711 has ", "");
    opens = -EIO;
    refused(-EIO, "/dev/vfio/12: Input/output error", "");
    opens = 0;
    assert_int_equal(vfio_check(&host, CARD, &error), 0);
}

/* -- devices --------------------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *loop;
static struct vfio_space *space;
static struct vfio_device *device;
static enum vfio_interrupt told_kind;
static unsigned told_vector;
static const char *told_reason;

static void told(void *opaque, enum vfio_interrupt kind, unsigned vector)
{
    (void)opaque;
    told_kind = kind;
    told_vector = vector;
    loop_stop(loop);
}

static void told_failed(void *opaque, const char *reason)
{
    (void)opaque;
    told_reason = reason;
    loop_stop(loop);
}

static int set_up_host(void **state)
{
    if (set_up(state))
        return -1;
    device = NULL;
    make_file("dev/vfio/vfio", "");
    make_file("dev/vfio/12", "");
    make_device(CARD, "0x020000", "vfio-pci", "12");
    device_file = memfd_create("device", MFD_CLOEXEC);
    if (device_file < 0 || ftruncate(device_file, BAR_OFFSET + BAR_SIZE))
        return -1;
    return loop_new(&loop, &lock, NULL, &error) || vfio_space_open(&space, &host, &error);
}

static int tear_down_host(void **state)
{
    if (device)
        vfio_device_close(device);
    vfio_space_close(space);
    loop_free(loop);
    close(device_file);
    return tear_down(state);
}

static void opened(void)
{
    if (vfio_device_open(&device, space, CARD, loop, &error))
        fail_msg("%s", error.message);
    device->client = (struct vfio_client){told, told_failed, NULL};
}

static void not_opened(int code, const char *text, const char *hint)
{
    assert_int_equal(vfio_device_open(&device, space, CARD, loop, &error), code);
    if (!strstr(error.message, text) || !strstr(error.hint, hint))
        fail_msg("%s (%s)", error.message, error.hint);
    device = NULL;
}

static void test_what_a_device_has(void **state)
{
    (void)state;
    uint32_t value = 0x12345678;
    uint8_t *at;
    opened();
    assert_int_equal(device->regions[0].size, 0);
    assert_int_equal(device->regions[2].size, BAR_SIZE);
    assert_int_equal(device->regions[2].area_count, 1);
    assert_int_equal(device->vectors[VFIO_INTX], 1);
    assert_int_equal(device->vectors[VFIO_MSIX], 3);
    assert_true(device->resets);
    assert_true(device->ops->write(device, 2, 0x10, &value, 4));
    assert_int_equal(device->ops->map(device, 2, 0, BAR_SIZE, &at), 0);
    assert_memory_equal(at + 0x10, &value, 4);
    device->ops->unmap(device, at, BAR_SIZE);
    assert_false(device->ops->read(device, 2, BAR_SIZE + 4096, &value, 4)); /* where the file ends */
    assert_int_equal(value, UINT32_MAX);
}

static void test_areas_that_can_be_mapped(void **state)
{
    (void)state;
    sparse[0] = (struct vfio_region_sparse_mmap_area){0, 0x1000};
    sparse[1] = (struct vfio_region_sparse_mmap_area){0x2000, 0x1000};
    sparse[2] = (struct vfio_region_sparse_mmap_area){0x800, 0x1000};               /* no pages */
    sparse[3] = (struct vfio_region_sparse_mmap_area){0x3000, 0x2000};              /* beyond its end */
    sparse[4] = (struct vfio_region_sparse_mmap_area){UINT64_MAX & ~0xfff, 0x2000}; /* and round */
    sparse_count = UINT32_MAX;                                                      /* more than were sent */
    for (unsigned i = 5; i < 20; i++)
        sparse[i] = sparse[0];
    opened();
    assert_int_equal(device->regions[2].area_count, 13); /* of the first VFIO_AREAS */
    assert_int_equal(device->regions[2].areas[1].offset, 0x2000);
}

static void ring(unsigned index, unsigned vector)
{
    const uint64_t one = 1;
    assert_int_equal(write(triggers[index][vector], &one, sizeof one), sizeof one);
}

static void test_interrupts(void **state)
{
    (void)state;
    opened();
    assert_int_equal(device->ops->interrupts(device, VFIO_INTX, 1, &error), 0);
    assert_int_equal(trigger_counts[VFIO_PCI_INTX_IRQ_INDEX], 1);
    ring(VFIO_PCI_INTX_IRQ_INDEX, 0);
    loop_run(loop);
    assert_int_equal(told_kind, VFIO_INTX);
    device->ops->unmask(device);
    assert_int_equal(unmasks, 1);
    ring(VFIO_PCI_INTX_IRQ_INDEX, 0); /* of the kind before: lost */
    assert_int_equal(device->ops->interrupts(device, VFIO_MSIX, 3, &error), 0);
    assert_int_equal(trigger_counts[VFIO_PCI_INTX_IRQ_INDEX], 0);
    assert_int_equal(trigger_counts[VFIO_PCI_MSIX_IRQ_INDEX], 3);
    ring(VFIO_PCI_MSIX_IRQ_INDEX, 2);
    loop_run(loop);
    assert_int_equal(told_kind, VFIO_MSIX);
    assert_int_equal(told_vector, 2);
    device->ops->unmask(device); /* there is nothing to unmask */
    assert_int_equal(unmasks, 1);
}

static void test_a_host_with_few_interrupts(void **state)
{
    (void)state;
    msix_count = 2048;
    opened();
    assert_int_equal(device->vectors[VFIO_MSIX], VFIO_VECTORS_MAX);
    most_vectors = 5;
    assert_int_equal(device->ops->interrupts(device, VFIO_MSIX, VFIO_VECTORS_MAX, &error), 0);
    assert_int_equal(trigger_counts[VFIO_PCI_MSIX_IRQ_INDEX], 5);
    answers[10] = -ENOSPC;
    assert_int_equal(device->ops->interrupts(device, VFIO_MSI, 1, &error), -ENOSPC);
    assert_non_null(strstr(error.message, "PCI device " CARD ": the host has no interrupts for it"));
}

static void test_errors_and_requests_of_the_host(void **state)
{
    (void)state;
    opened();
    ring(VFIO_PCI_ERR_IRQ_INDEX, 0);
    loop_run(loop);
    assert_non_null(strstr(told_reason, "an error that nothing corrects"));
    ring(VFIO_PCI_REQ_IRQ_INDEX, 0);
    loop_run(loop);
    assert_string_equal(told_reason, "is wanted back by the host");
}

static void test_reset_of_a_device(void **state)
{
    (void)state;
    opened();
    assert_int_equal(device->ops->reset(device), 0);
    assert_int_equal(asked[11], 1);
    answers[11] = -EBUSY;
    assert_int_equal(device->ops->reset(device), -EBUSY);
    vfio_device_close(device);
    device_flags = VFIO_DEVICE_FLAGS_PCI;
    opened();
    assert_false(device->resets);
    assert_int_equal(device->ops->reset(device), -ENOTSUP);
    assert_int_equal(asked[11], 2);
}

static void test_a_group_is_opened_once(void **state)
{
    (void)state;
    struct vfio_device *first;
    opened();
    first = device;
    opened();
    assert_int_equal(asked[4], 1); /* and is one container's */
    assert_int_equal(asked[2], 1);
    vfio_device_close(first);
}

static void test_memory_that_devices_reach(void **state)
{
    (void)state;
    static uint8_t memory[4096];
    opened();
    assert_int_equal(space->ops->map(space, 0x100000, memory, 4096, &error), 0);
    assert_int_equal(mapped.iova, 0x100000);
    assert_ptr_equal((void *)(uintptr_t)mapped.vaddr, memory);
    assert_int_equal(mapped.flags, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
    space->ops->unmap(space, 0x100000, 4096);
    assert_int_equal(asked[14], 1);
    answers[13] = -ENOMEM;
    assert_int_equal(space->ops->map(space, 0, memory, UINT64_C(3) << 30, &error), -ENOMEM);
    assert_non_null(strstr(error.message, "cannot lock 3072 MiB of the guest's memory"));
    assert_non_null(strstr(error.hint, "ulimit -l"));
    answers[13] = -EINVAL;
    assert_int_equal(space->ops->map(space, 0x7ffff000, memory, 8192, &error), -EINVAL);
    assert_non_null(strstr(error.message, "reaches addresses to 0x7fffffff"));
    assert_int_equal(space->ops->map(space, 0x1000, memory, 4096, &error), -EINVAL);
    assert_non_null(strstr(error.message, "0x1000: Invalid argument"));
}

static void test_what_the_kernel_refuses(void **state)
{
    (void)state;
    answers[2] = -EPERM;
    not_opened(-EPERM, "the IOMMU cannot keep it to the machine", "allow_unsafe_interrupts");
    answers[2] = 0;
    group_flags = 0;
    not_opened(-EBUSY, "has a part of its IOMMU group 12", "");
    group_flags = VFIO_GROUP_FLAGS_VIABLE;
    answers[6] = -ENODEV;
    not_opened(-ENODEV, "PCI device " CARD ": the host does not give it", "");
    answers[6] = 0;
    device_flags = VFIO_DEVICE_FLAGS_PLATFORM;
    not_opened(-ENODEV, "VFIO does not know it as one", "");
    answers[8] = -EINVAL;
    device_flags = VFIO_DEVICE_FLAGS_PCI;
    not_opened(-ENODEV, "does not show its configuration space", "");
}

static void test_a_kernel_without_type_1(void **state)
{
    (void)state;
    answers[1] = -ENOTTY;
    not_opened(-ENOTSUP, "no interface of type 1, version 2", "modprobe vfio_iommu_type1");
}

#define HOST(name) cmocka_unit_test_setup_teardown(name, set_up_host, tear_down_host)
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        TEST(test_no_device),
        TEST(test_no_iommu),
        TEST(test_bridge),
        TEST(test_not_bound),
        TEST(test_shared_group),
        TEST(test_group_file),
        HOST(test_what_a_device_has),
        HOST(test_areas_that_can_be_mapped),
        HOST(test_interrupts),
        HOST(test_a_host_with_few_interrupts),
        HOST(test_errors_and_requests_of_the_host),
        HOST(test_reset_of_a_device),
        HOST(test_a_group_is_opened_once),
        HOST(test_memory_that_devices_reach),
        HOST(test_what_the_kernel_refuses),
        HOST(test_a_kernel_without_type_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
