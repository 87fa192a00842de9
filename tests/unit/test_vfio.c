/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said of PCI devices that a machine cannot be given, by trees that look like sysfs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/vfio/vfio.h"

#define CARD  "0000:03:00.0"
#define SOUND "0000:03:00.1"

static char root[] = "/tmp/visor-vfio-XXXXXX";
static char sysfs[64], dev[64], proc[64];
static int opens; /* what opening the group gives */
static struct vfio_host host;
static struct error error;

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
    host = (struct vfio_host){sysfs, dev, proc, fake_open};
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
