/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/host_facts.h"

#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "cage/cage.h"
#include "engine/kvm/kvm.h"
#include "translator/host/host.h"

struct gathering {
    struct host_fact *facts;
    unsigned count;
    char cpu_flags[8192];   /* " flag flag ... " of /proc/cpuinfo's first processor */
    char vmx_flags[1024];   /* likewise its "vmx flags" line */
    char filesystems[2048]; /* /proc/filesystems */
};

static void add(struct gathering *g, const char *id, const char *label, enum verdict verdict,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

static void add(struct gathering *g, const char *id, const char *label, enum verdict verdict,
                const char *format, ...)
{
    if (g->count == HOST_FACTS_MAX)
        return;
    struct host_fact *fact = &g->facts[g->count++];
    *fact = (struct host_fact){.id = id, .label = label, .verdict = verdict};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fact->detail, sizeof fact->detail, format, arguments);
    va_end(arguments);
}

/* -- reading --------------------------------------------------------------------------------------------- */

/* The first bytes of a file as a string; empty if it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
    size_t length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    while (fd >= 0 && length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    if (fd >= 0)
        close(fd);
    text[length] = '\0';
}

static long read_number(const char *path, long otherwise)
{
    char text[64];
    read_text(path, text, sizeof text);
    char *end;
    long value = strtol(text, &end, 10);
    return end == text ? otherwise : value;
}

static void read_cpu_line(const char *key, char *words, size_t size)
{
    words[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file)
        return;
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0) {
        size_t length = strlen(key);
        if (strncmp(line, key, length) != 0 || (line[length] != '\t' && line[length] != ' '))
            continue;
        char *colon = strchr(line, ':');
        line[strcspn(line, "\n")] = '\0';
        if (colon)
            snprintf(words, size, "%s ", colon + 1);
        break;
    }
    free(line);
    fclose(file);
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p += length) {
        if ((p == words || p[-1] == ' ' || p[-1] == '\t' || p[-1] == '\n') &&
            (p[length] == ' ' || p[length] == '\n' || p[length] == '\0'))
            return true;
    }
    return false;
}

/* The value in kB of a line of /proc/meminfo, or -1. */
static long meminfo(const char *key)
{
    char text[4096];
    read_text("/proc/meminfo", text, sizeof text);
    const char *line = strstr(text, key);
    return line ? strtol(line + strlen(key) + 1, NULL, 10) : -1;
}

/* -- processor ------------------------------------------------------------------------------------------- */

static void check_architecture(struct gathering *g)
{
    struct utsname name;
    if (uname(&name) < 0) {
        add(g, "architecture", "architecture", VERDICT_NO, "uname: %s", strerror(errno));
        return;
    }
    bool lm = has_word(g->cpu_flags, "lm");
    bool kernel64 = strcmp(name.machine, "x86_64") == 0;
    add(g, "architecture", "architecture", VERDICT_YES, "%s, %s %s", name.machine, name.sysname,
        name.release);
    add(g, "cpu64", "64-bit CPU (lm)", lm ? VERDICT_YES : VERDICT_NO, "%s",
        !lm        ? "the CPU has no long mode"
        : kernel64 ? "with a 64-bit kernel"
                   : "but the kernel is a 32-bit one");
    bool pae = has_word(g->cpu_flags, "pae");
    add(g, "pae", "PAE", pae ? VERDICT_YES : VERDICT_NO, "%s",
        pae ? "physical address extension" : "not in the CPU");
}

static void check_translator(struct gathering *g)
{
    struct error error = ERROR_INIT;
    bool ok = host_probe(&error) == 0;
    add(g, "translate", "translation", ok ? VERDICT_YES : VERDICT_NO, "%s",
        ok ? "engine \"translate\": Linux programs of arm64, whole x86 machines" : error.message);
}

/* The name that a hypervisor gives itself in CPUID leaf 0x40000000. */
static void hypervisor_name(char name[13])
{
    unsigned a, b, c, d;
    __cpuid(0x40000000, a, b, c, d);
    memcpy(name, &b, 4);
    memcpy(name + 4, &c, 4);
    memcpy(name + 8, &d, 4);
    name[12] = '\0';
    for (char *p = name; *p; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
}

static void check_virtualization(struct gathering *g)
{
    unsigned a, b, c = 0, d;
    bool vmx = has_word(g->cpu_flags, "vmx"), svm = has_word(g->cpu_flags, "svm");
    bool guest = has_word(g->cpu_flags, "hypervisor");
    bool cpuid_vmx = __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 5);
    bool cpuid_svm = __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 1u << 2);
    char name[13];

    if (vmx || svm) {
        add(g, "vmx_svm", "VT-x / AMD-V", VERDICT_YES, "%s%s", vmx ? "VT-x (vmx)" : "AMD-V (svm)",
            guest ? ", lent by an outer hypervisor" : "");
    } else if (cpuid_vmx || cpuid_svm) {
        add(g, "vmx_svm", "VT-x / AMD-V", VERDICT_NO,
            "the CPU has it, but firmware has disabled it: see its set-up");
    } else if (guest) {
        hypervisor_name(name);
        add(g, "vmx_svm", "VT-x / AMD-V", VERDICT_NO, "hidden by the outer hypervisor (%s)", name);
    } else {
        add(g, "vmx_svm", "VT-x / AMD-V", VERDICT_NO, "not in the CPU, or disabled by firmware");
    }
    bool nested =
        has_word(g->cpu_flags, "npt") || has_word(g->cpu_flags, "ept") || has_word(g->vmx_flags, "ept");
    add(g, "nested_paging", "nested paging", nested ? VERDICT_YES : VERDICT_NO, "%s",
        nested       ? (svm ? "NPT" : "EPT")
        : vmx || svm ? "the CPU or the outer hypervisor does not offer it"
                     : "needs VT-x or AMD-V");
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static void check_iommu(struct gathering *g)
{
    unsigned groups = count_entries("/sys/kernel/iommu_groups");
    if (groups)
        add(g, "iommu", "IOMMU", VERDICT_YES, "%u device groups", groups);
    else
        add(g, "iommu", "IOMMU", VERDICT_NO, "%s",
            count_entries("/sys/class/iommu") ? "there, but no device is behind it"
                                              : "none found (intel_iommu=on or amd_iommu=on may be missing)");
}

/* What it is like, found out by a guest of a few instructions. */
static void check_kvm(struct gathering *g)
{
    struct error error = ERROR_INIT;
    struct kvm_trial trial;
    if (engine_kvm.probe(&error) < 0 || kvm_trial(&trial, &error) < 0) {
        add(g, "kvm", "/dev/kvm", VERDICT_NO, "%s%s%.70s%s", error.message, error.hint[0] ? " (" : "",
            error.hint, error.hint[0] ? ")" : "");
        return;
    }
    if (trial.software)
        add(g, "kvm", "/dev/kvm", VERDICT_PARTLY,
            "engine \"kvm\", but it is software: an instruction takes it %u ns; \"auto\" is \"translate\" here",
            trial.instruction);
    else
        add(g, "kvm", "/dev/kvm", VERDICT_YES, "engine \"kvm\": whole x86 machines on the processor");
}

/* -- kernel ---------------------------------------------------------------------------------------------- */

/* Tries in a child, as a process cannot come back from a namespace. 0 or a positive errno. */
static int try_user_namespace(void)
{
    pid_t child = fork();
    if (child < 0)
        return errno;
    if (child == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
            _exit(errno);
        int fd = open("/proc/self/setgroups", O_WRONLY);
        _exit(fd < 0 || write(fd, "deny", 4) != 4 ? errno : 0);
    }
    int status;
    if (waitpid(child, &status, 0) < 0)
        return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static void check_user_namespaces(struct gathering *g)
{
    int code = try_user_namespace();
    if (code == 0)
        add(g, "user_namespaces", "user namespaces", VERDICT_YES,
            "with mount namespaces: --root needs no rights");
    else
        add(g, "user_namespaces", "user namespaces", VERDICT_NO, "%s%s", strerror(code),
            code == EPERM ? " (a sysctl, AppArmor or a container's filter forbids them)" : "");
}

/* What of a machine's cage this host gives to this user. */
static void check_cage(struct gathering *g)
{
    struct cage_parts parts;
    struct error error = ERROR_INIT;
    if (cage_try(&parts, &error) < 0) {
        add(g, "cage", "cage of machines", VERDICT_NO, "%s", error.message);
        return;
    }
    const struct {
        bool there;
        const char *name;
    } all[] = {{parts.user, "user"},       {parts.pid, "pid"},       {parts.mount, "mount"},
               {parts.network, "network"}, {parts.ipc, "ipc"},       {parts.uts, "uts"},
               {parts.cgroup, "cgroup"},   {parts.rights, "rights"}, {parts.limits, "limits"},
               {parts.filter, "filter"}};
    char names[128] = "";
    unsigned missing = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        if (all[i].there)
            continue;
        strcat(names, missing++ ? ", " : "");
        strcat(names, all[i].name);
    }
    if (!missing)
        add(g, "cage", "cage of machines", VERDICT_YES, "whole: --cage required can be had");
    else
        add(g, "cage", "cage of machines", missing < ARRAY_SIZE(all) ? VERDICT_PARTLY : VERDICT_NO,
            "without %s", names);
}

static void check_cgroups(struct gathering *g)
{
    char mounts[16384], controllers[160];
    read_text("/proc/mounts", mounts, sizeof mounts);
    bool v1 = strstr(mounts, " cgroup ") != NULL, v2 = strstr(mounts, " cgroup2 ") != NULL;
    read_text("/sys/fs/cgroup/cgroup.controllers", controllers, sizeof controllers);
    controllers[strcspn(controllers, "\n")] = '\0';

    if (v2 && !v1) {
        add(g, "cgroup", "control groups", VERDICT_YES, "v2: %s",
            controllers[0] ? controllers : "no controllers");
        return;
    }
    if (!v1) {
        add(g, "cgroup", "control groups", VERDICT_NO, "no cgroup filesystem is mounted");
        return;
    }
    char names[128] = "";
    for (const char *line = mounts; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char path[128];
        if (sscanf(line, "cgroup /sys/fs/cgroup/%127s", path) == 1 &&
            strlen(names) + strlen(path) + 2 < sizeof names) {
            strcat(names, names[0] ? " " : "");
            strcat(names, path);
        }
    }
    add(g, "cgroup", "control groups", VERDICT_PARTLY, "%s: %s",
        v2 ? "hybrid (v1 controllers, v2 tree)" : "v1", names);
}

static void check_device(struct gathering *g, const char *id, const char *label, const char *path,
                         enum verdict there, const char *use)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        add(g, id, label, there, "%s", use);
        close(fd);
    } else {
        add(g, id, label, VERDICT_NO, "%s: %s", path, strerror(errno));
    }
}

static void check_kernel(struct gathering *g)
{
    bool overlay = has_word(g->filesystems, "overlay");
    add(g, "overlayfs", "overlayfs", overlay ? VERDICT_YES : VERDICT_NO, "%s",
        overlay ? "known to the kernel" : "not in the kernel, or its module is not loaded");
    check_device(g, "tun", "tun", "/dev/net/tun", VERDICT_YES, "tap networking");
    check_device(g, "vhost_net", "vhost-net", "/dev/vhost-net", VERDICT_YES,
                 "the kernel carries the frames of taps, for machines under KVM");
    check_device(g, "vhost_vsock", "vhost-vsock", "/dev/vhost-vsock", VERDICT_YES,
                 "\"visor run --vsock cid=auto\" makes a guest, under KVM, an address of AF_VSOCK");
    check_device(g, "vfio", "VFIO", "/dev/vfio/vfio", VERDICT_YES,
                 "\"visor run --vfio\" gives machines devices that vfio-pci has");

    bool known = has_word(g->filesystems, "binfmt_misc");
    bool mounted = access("/proc/sys/fs/binfmt_misc/register", F_OK) == 0;
    add(g, "binfmt_misc", "binfmt_misc",
        mounted ? VERDICT_YES
        : known ? VERDICT_PARTLY
                : VERDICT_NO,
        "%s",
        mounted ? "mounted (only \"visor binfmt\" needs it)"
        : known ? "known to the kernel, not mounted (only \"visor binfmt\" needs it)"
                : "not in the kernel (only \"visor binfmt\" needs it)");
}

/* -- memory ---------------------------------------------------------------------------------------------- */

static void check_memory(struct gathering *g)
{
    char thp[64];
    long pages = meminfo("HugePages_Total:"), size = meminfo("Hugepagesize:");
    read_text("/sys/kernel/mm/transparent_hugepage/enabled", thp, sizeof thp);
    const char *mode = strstr(thp, "[always]") ? "always" : strstr(thp, "[madvise]") ? "on request" : "never";
    bool transparent = thp[0] && strcmp(mode, "never") != 0;
    add(g, "hugepages", "huge pages", pages > 0 || transparent ? VERDICT_YES : VERDICT_NO,
        "%ld reserved of %ld kB; transparent: %s", pages < 0 ? 0 : pages, size < 0 ? 0 : size,
        thp[0] ? mode : "not in the kernel");

    long ksm = read_number("/sys/kernel/mm/ksm/run", -1);
    add(g, "ksm", "KSM",
        ksm == 1  ? VERDICT_YES
        : ksm < 0 ? VERDICT_NO
                  : VERDICT_PARTLY,
        "%s",
        ksm == 1  ? "merging equal pages"
        : ksm < 0 ? "not in the kernel"
                  : "there, not running");

    long total = meminfo("MemTotal:"), available = meminfo("MemAvailable:");
    add(g, "memory", "memory", VERDICT_YES, "%ld MiB, %ld MiB available", total / 1024, available / 1024);
    cpu_set_t set;
    int usable = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    add(g, "cores", "cores", VERDICT_YES, "%ld online, %d usable here", sysconf(_SC_NPROCESSORS_ONLN),
        usable);
}

unsigned host_facts_gather(struct host_fact facts[HOST_FACTS_MAX])
{
    struct gathering *g = calloc(1, sizeof *g);
    if (!g)
        return 0;
    g->facts = facts;
    read_cpu_line("flags", g->cpu_flags, sizeof g->cpu_flags);
    read_cpu_line("vmx flags", g->vmx_flags, sizeof g->vmx_flags);
    read_text("/proc/filesystems", g->filesystems, sizeof g->filesystems);
    for (char *p = g->filesystems; *p; p++) {
        if (*p == '\t')
            *p = ' ';
    }

    check_architecture(g);
    check_translator(g);
    check_virtualization(g);
    check_iommu(g);
    check_kvm(g);
    check_user_namespaces(g);
    check_cage(g);
    check_cgroups(g);
    check_kernel(g);
    check_memory(g);

    unsigned count = g->count;
    free(g);
    return count;
}
