/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/vfio/vfio.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/macros.h"

#define DRIVER "vfio-pci"

static int open_file(const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int control(int fd, unsigned long request, void *argument)
{
    const int result = ioctl(fd, request, argument);
    return result < 0 ? -errno : result;
}

const struct vfio_host vfio_host = {"/sys", "/dev", "/proc", open_file, control};

/* -- addresses ------------------------------------------------------------------------------------------- */

int vfio_address_parse(char out[VFIO_ADDRESS_SIZE], const char *text, struct error *error)
{
    unsigned domain = 0, bus, device, function;
    int end = -1;
    if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end) != 4 || text[end]) {
        domain = 0;
        end = -1;
        if (sscanf(text, "%2x:%2x.%1x%n", &bus, &device, &function, &end) != 3 || text[end])
            end = -1;
    }
    bool digits = true;
    for (const char *c = text; *c; c++)
        digits &= isxdigit((unsigned char)*c) || *c == ':' || *c == '.';
    if (end < 0 || !digits || device > 31 || function > 7) {
        error_set(error, -EINVAL, "%s: no address of a PCI device", text);
        error_hint(error, "such as 0000:03:00.0; \"lspci -D\" shows them");
        return -EINVAL;
    }
    snprintf(out, VFIO_ADDRESS_SIZE, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, device & 31,
             function & 7);
    return 0;
}

/* -- sysfs ----------------------------------------------------------------------------------------------- */

static void device_path(const struct vfio_host *host, const char *address, const char *name,
                        char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/bus/pci/devices/%s%s%s", host->sysfs, address, *name ? "/" : "", name);
}

/* The last part of what a link of the device's leads to. False: there is no such link. */
static bool read_link(const struct vfio_host *host, const char *address, const char *name, char *out,
                      size_t size)
{
    char path[PATH_MAX], target[PATH_MAX];
    device_path(host, address, name, path);
    const ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0)
        return false;
    target[length] = '\0';
    const char *slash = strrchr(target, '/');
    snprintf(out, size, "%.*s", (int)size - 1, slash ? slash + 1 : target);
    return true;
}

static bool is_bridge(const struct vfio_host *host, const char *address)
{
    char path[PATH_MAX];
    unsigned class = 0;
    device_path(host, address, "class", path);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%x", &class) != 1)
        class = 0;
    if (file)
        fclose(file);
    return class >> 16 == 6;
}

static bool has_entries(const char *root, const char *name)
{
    char path[PATH_MAX];
    bool any = false;
    snprintf(path, sizeof path, "%s/%s", root, name);
    DIR *directory = opendir(path);
    if (!directory)
        return false;
    for (const struct dirent *entry; !any && (entry = readdir(directory));)
        any = entry->d_name[0] != '.';
    closedir(directory);
    return any;
}

/* -- refusals -------------------------------------------------------------------------------------------- */

static int check_there(const struct vfio_host *host, const char *address, struct error *error)
{
    char path[PATH_MAX];
    device_path(host, address, "", path);
    if (access(path, F_OK) < 0) {
        error_set(error, -ENODEV, "this host has no PCI device %s", address);
        error_hint(error, "\"lspci -D\" shows those it has");
        return -ENODEV;
    }
    if (is_bridge(host, address))
        return error_set(error, -ENOTSUP, "PCI device %s is a bridge, which no machine can be given",
                         address);
    return 0;
}

static int check_iommu(const struct vfio_host *host, const char *address, char *group, size_t size,
                       struct error *error)
{
    if (!has_entries(host->sysfs, "kernel/iommu_groups")) {
        error_set(error, -ENOTSUP,
                  "PCI device %s cannot be given to a machine: this host has no IOMMU, or does not use it",
                  address);
        error_hint(error,
                   "switch on VT-d or AMD-Vi in the firmware; intel_iommu=on on the kernel's command line");
        return -ENOTSUP;
    }
    if (!read_link(host, address, "iommu_group", group, size))
        return error_set(
            error, -ENOTSUP,
            "PCI device %s cannot be given to a machine: no IOMMU keeps it to a machine's memory", address);
    return 0;
}

static int check_driver(const struct vfio_host *host, const char *address, struct error *error)
{
    char driver[64];
    const bool bound = read_link(host, address, "driver", driver, sizeof driver);
    if (bound && strcmp(driver, DRIVER) == 0)
        return 0;
    if (bound)
        error_set(error, -EBUSY, "PCI device %s is the host's: its driver %s has it", address, driver);
    else
        error_set(error, -EBUSY, "PCI device %s is not bound to " DRIVER, address);
    error_hint(error, "as root: modprobe " DRIVER "; driverctl set-override %s " DRIVER, address);
    return -EBUSY;
}

/* The kernel gives no group away of which a driver of its own has a part, but for bridges' and stubs. */
static bool stands_in_the_way(const struct vfio_host *host, const char *address, char *driver, size_t size)
{
    static const char *const harmless[] = {DRIVER, "pci-stub", "pcieport"};
    if (!read_link(host, address, "driver", driver, size))
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++)
        if (strcmp(driver, harmless[i]) == 0)
            return false;
    return true;
}

static int check_group(const struct vfio_host *host, const char *address, const char *group,
                       struct error *error)
{
    char path[PATH_MAX], driver[64], others[256] = "";
    struct dirent **entries;
    snprintf(path, sizeof path, "%s/kernel/iommu_groups/%s/devices", host->sysfs, group);
    const int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *other = entries[i]->d_name;
        const size_t used = strlen(others);
        if (other[0] != '.' && strcmp(other, address) != 0 &&
            stands_in_the_way(host, other, driver, sizeof driver))
            snprintf(others + used, sizeof others - used, "%s%.15s (%s)", used ? ", " : "", other, driver);
        free(entries[i]);
    }
    free(entries);
    if (!others[0])
        return 0;
    error_set(
        error, -EBUSY,
        "PCI device %s shares IOMMU group %s with devices that the host uses, from which it cannot be kept apart: %s",
        address, group, others);
    error_hint(error, "bind them to " DRIVER ", too, or put the card into another slot");
    return -EBUSY;
}

/* Who has the file open, as far as one may look. */
static bool find_user(const struct vfio_host *host, const char *file, char *out, size_t size)
{
    char path[PATH_MAX], target[PATH_MAX];
    bool found = false;
    DIR *processes = opendir(host->proc);
    for (const struct dirent *entry; processes && !found && (entry = readdir(processes));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "%s/%s/fd", host->proc, entry->d_name);
        DIR *descriptors = opendir(path);
        for (const struct dirent *fd; descriptors && !found && (fd = readdir(descriptors));) {
            const ssize_t length = readlinkat(dirfd(descriptors), fd->d_name, target, sizeof target - 1);
            target[MAX(length, 0)] = '\0';
            found = strcmp(target, file) == 0;
        }
        if (descriptors)
            closedir(descriptors);
        if (found)
            snprintf(out, size, "%.15s", entry->d_name);
    }
    if (processes)
        closedir(processes);
    return found;
}

static int refuse_open(const struct vfio_host *host, const char *address, const char *path, int code,
                       struct error *error)
{
    char process[32];
    switch (code) {
    case -EACCES:
    case -EPERM:
        error_set(error, -EACCES, "PCI device %s: %s: permission denied", address, path);
        error_hint(error, "as root: chown USER %s", path);
        return -EACCES;
    case -EBUSY:
        return find_user(host, path, process, sizeof process)
                   ? error_set(error, code, "PCI device %s is in use: process %s has %s", address, process,
                               path)
                   : error_set(error, code, "PCI device %s is in use: somebody has %s", address, path);
    case -ENOENT:
        error_set(error, code, "PCI device %s: there is no %s", address, path);
        error_hint(error, "as root: modprobe " DRIVER);
        return code;
    default: return error_set(error, code, "PCI device %s: %s: %s", address, path, strerror(-code));
    }
}

int vfio_find_group(const struct vfio_host *host, const char *address, char group[VFIO_GROUP_SIZE],
                    struct error *error)
{
    int code = check_there(host, address, error);
    if (!code)
        code = check_iommu(host, address, group, VFIO_GROUP_SIZE, error);
    if (!code)
        code = check_driver(host, address, error);
    return code ? code : check_group(host, address, group, error);
}

int vfio_open_group(const struct vfio_host *host, const char *address, const char *group, struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/vfio/%s", host->dev, group);
    const int fd = host->open(path);
    return fd < 0 ? refuse_open(host, address, path, fd, error) : fd;
}

int vfio_check(const struct vfio_host *host, const char *address, struct error *error)
{
    char group[VFIO_GROUP_SIZE];
    int code = vfio_find_group(host, address, group, error);
    if (code)
        return code;
    const int fd = vfio_open_group(host, address, group, error);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}
