/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image build: see image_build.h. */
#include "cli/image_build.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "cli/progress.h"

#define KEYS_MOST (64 << 10) /* bytes of public keys */
#define LINE_SIZE 1024
#define TAIL      12 /* last lines of what mmdebstrap said, for when it fails */

/* What a machine of visor's needs beyond the essential packages. */
static const char base_packages[] =
    "systemd-sysv,dbus,udev,kmod,initramfs-tools,zstd,iproute2,iputils-ping,procps,"
    "netbase,ca-certificates,less";

/*
 * Runs in mmdebstrap's namespace when all packages are installed; $1 is the new root. Options come in the
 * environment. The filesystem is written from a second mount of the root, which has nothing mounted in it.
 */
static const char set_up[] =
    "set -eu\n"
    "root=$1\n"
    "echo \"$VISOR_HOSTNAME\" >\"$root/etc/hostname\"\n"
    "printf '127.0.0.1 localhost\\n127.0.1.1 %s\\n::1 localhost ip6-localhost ip6-loopback\\n' \\\n"
    "    \"$VISOR_HOSTNAME\" >\"$root/etc/hosts\"\n"
    "echo \"UUID=$VISOR_UUID / ext4 errors=remount-ro 0 1\" >\"$root/etc/fstab\"\n"
    "mkdir -p \"$root/etc/systemd/network\" \"$root/boot/extlinux\"\n"
    "printf '[Match]\\nType=ether\\nKind=!*\\n\\n[Network]\\nDHCP=yes\\n\\n[DHCPv4]\\nUseDomains=yes\\n' \\\n"
    "    >\"$root/etc/systemd/network/80-ethernet.network\"\n"
    "chroot \"$root\" systemctl enable -q systemd-networkd systemd-resolved\n"
    "rm -f \"$root/etc/resolv.conf\" \"$root/etc/machine-id\" \"$root/var/lib/dbus/machine-id\"\n"
    "ln -s ../run/systemd/resolve/stub-resolv.conf \"$root/etc/resolv.conf\"\n"
    ": >\"$root/etc/machine-id\"\n" /* made at the first boot; "uninitialized" would want to write presets,
                                       too */
    "cat >\"$root/boot/extlinux/extlinux.conf\" <<END\n"
    "default linux\n"
    "label linux\n"
    "    linux /vmlinuz\n"
    "    initrd /initrd.img\n"
    "    append root=UUID=$VISOR_UUID ro console=ttyS0\n"
    "END\n"
    "if [ -n \"${VISOR_PASSWORD+set}\" ]; then\n"
    "    printf 'root:%s\\n' \"$VISOR_PASSWORD\" | chroot \"$root\" chpasswd\n"
    "else\n"
    "    chroot \"$root\" passwd -q -d root\n"
    "fi\n"
    "if [ -n \"${VISOR_KEYS+set}\" ]; then\n"
    "    mkdir -p -m 700 \"$root/root/.ssh\"\n"
    "    printf '%s\\n' \"$VISOR_KEYS\" >\"$root/root/.ssh/authorized_keys\"\n"
    "    rm -f \"$root\"/etc/ssh/ssh_host_*\n"
    "    mkdir -p \"$root/etc/systemd/system/ssh.service.d\"\n"
    "    printf '[Service]\\nExecStartPre=\\nExecStartPre=/usr/bin/ssh-keygen -A\\nExecStartPre=/usr/sbin/sshd -t\\n' \\\n"
    "        >\"$root/etc/systemd/system/ssh.service.d/keys.conf\"\n"
    "fi\n"
    "if [ -n \"${VISOR_AGENT+set}\" ]; then\n"
    "    cat \"$VISOR_AGENT\" >\"$root/usr/sbin/visor-agent\"\n"
    "    chmod 755 \"$root/usr/sbin/visor-agent\"\n"
    "    printf '[Unit]\\nDescription=visor guest agent\\n\\n[Service]\\n"
    "ExecStartPre=-/sbin/modprobe vmw_vsock_virtio_transport\\nExecStart=/usr/sbin/visor-agent\\nKillMode=process\\n"
    "Restart=on-failure\\nRestartSec=5\\n\\n[Install]\\nWantedBy=multi-user.target\\n' \\\n"
    "        >\"$root/etc/systemd/system/visor-agent.service\"\n"
    "    chroot \"$root\" systemctl enable -q visor-agent\n"
    "fi\n"
    "[ -e \"$root/vmlinuz\" ] && [ -e \"$root/initrd.img\" ] || {\n"
    "    echo 'E: the kernel package left no /vmlinuz and /initrd.img' >&2; exit 1; }\n"
    "rm -rf \"$root\"/var/cache/apt/archives/*.deb \"$root\"/var/cache/apt/*.bin \"$root\"/var/lib/apt/lists/* \\\n"
    "    \"$root\"/etc/apt/apt.conf.d/*mmdebstrap\n"
    "echo 'I: writing the filesystem' >&2\n"
    "export PATH=\"$PATH:/usr/sbin:/sbin\"\n"
    "unshare --mount sh -euc 'mount --bind \"$1\" \"$1/mnt\"\n"
    "    mount -t tmpfs -o mode=1777 tmpfs \"$1/mnt/tmp\"\n"
    "    mke2fs -q -F -t ext4 -U \"$VISOR_UUID\" -L root -d \"$1/mnt\" \"$VISOR_IMAGE\"' sh \"$root\"\n";

const char *image_suite(const char *name)
{
    static const struct {
        const char *name, *suite;
    } numbers[] = {{"11", "bullseye"}, {"12", "bookworm"}, {"13", "trixie"}};
    static const char distribution[] = "debian";

    if (strcmp(name, distribution) == 0)
        return "bookworm";
    if (strncmp(name, "debian:", sizeof distribution) != 0)
        return NULL;
    name += sizeof distribution;
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (strcmp(name, numbers[i].name) == 0)
            return numbers[i].suite;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyz-") == strlen(name) && *name && *name != '-' ? name : NULL;
}

/* -- the output --------------------------------------------------------------------------------------------
 */

/* A file without a name in the output's directory, which the users of a namespace may write as well. */
static int open_output(const struct image_build *build, struct error *error)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof copy, "%s", build->output) >= (int)sizeof copy)
        return error_set(error, -ENAMETOOLONG, "cannot make an image: its name is too long");
    if (!build->replace && access(build->output, F_OK) == 0) {
        error_set(error, -EEXIST, "%s exists already", build->output);
        error_hint(error, "--replace overwrites it");
        return -EEXIST;
    }
    const char *directory = dirname(copy);
    int fd = open(directory, O_TMPFILE | O_RDWR, 0600); /* inherited */
    if (fd < 0)
        return error_set(error, -errno, "cannot make an image in %s: %s", directory, strerror(errno));
    if (fchmod(fd, 0666) < 0 || ftruncate(fd, (off_t)build->size) < 0) {
        error_set(error, -errno, "cannot make %s of this size: %s", build->output, strerror(errno));
        close(fd);
        return -EFBIG;
    }
    return fd;
}

/* Gives the finished image its name. */
static int name_output(const struct image_build *build, int fd, struct error *error)
{
    char path[64], other[PATH_MAX + 16];
    const mode_t mask = umask(0);
    umask(mask);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fchmod(fd, 0666 & ~mask) < 0 || fsync(fd) < 0)
        return error_set(error, -errno, "cannot write %s: %s", build->output, strerror(errno));
    if (linkat(AT_FDCWD, path, AT_FDCWD, build->output, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno == EEXIST && build->replace) {
        snprintf(other, sizeof other, "%s.%ld", build->output, (long)getpid());
        if (linkat(AT_FDCWD, path, AT_FDCWD, other, AT_SYMLINK_FOLLOW) == 0 &&
            rename(other, build->output) == 0)
            return 0;
    }
    return error_set(error, -errno, "cannot name the image %s: %s", build->output, strerror(errno));
}

/* -- what mmdebstrap is told ----------------------------------------------------------------------------- */

static int read_keys(const char *path, char **keys, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, -errno, "cannot read the ssh key %s: %s", path, strerror(errno));
    char *text = calloc(1, KEYS_MOST);
    size_t size = text ? fread(text, 1, KEYS_MOST - 1, file) : 0;
    fclose(file);
    if (size == 0 || strstr(text, "PRIVATE KEY") || (!strstr(text, "ssh-") && !strstr(text, "ecdsa-"))) {
        free(text);
        error_set(error, -EINVAL, "%s has no public ssh key", path);
        error_hint(error, "it is the file whose name ends in .pub");
        return -EINVAL;
    }
    *keys = text;
    return 0;
}

static int random_uuid(char uuid[37], struct error *error)
{
    FILE *file = fopen("/proc/sys/kernel/random/uuid", "re");
    bool got = file && fread(uuid, 1, 36, file) == 36;
    if (file)
        fclose(file);
    uuid[got ? 36 : 0] = '\0';
    return got ? 0 : error_set(error, -EIO, "cannot read /proc/sys/kernel/random/uuid");
}

extern const unsigned char agent_image[];
extern const size_t agent_image_size;

/* The agent as a file that mmdebstrap's hook inherits. It is of the host's architecture, and not put into
 * others. */
static int export_agent(const struct image_build *build, struct error *error)
{
    char path[64];
    unsetenv("VISOR_AGENT");
    if (strcmp(build->arch, "amd64") != 0)
        return 0;
    int fd = memfd_create("visor-agent", 0);
    if (fd < 0 || write(fd, agent_image, agent_image_size) != (ssize_t)agent_image_size) {
        error_set(error, -EIO, "cannot make a file of the guest's agent: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -EIO;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    setenv("VISOR_AGENT", path, 1);
    return 0;
}

static int export_options(const struct image_build *build, int fd, struct error *error)
{
    char uuid[37], path[64], *keys = NULL;
    int code = random_uuid(uuid, error);
    if (code == 0 && build->ssh_key)
        code = read_keys(build->ssh_key, &keys, error);
    if (code < 0)
        return code;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    setenv("VISOR_UUID", uuid, 1);
    setenv("VISOR_IMAGE", path, 1);
    setenv("VISOR_HOSTNAME", build->hostname, 1);
    unsetenv("VISOR_PASSWORD");
    unsetenv("VISOR_KEYS");
    if (build->password)
        setenv("VISOR_PASSWORD", build->password, 1);
    if (keys)
        setenv("VISOR_KEYS", keys, 1);
    free(keys);
    return export_agent(build, error);
}

static const char *kernel_package(const struct image_build *build)
{
    if (build->kernel)
        return build->kernel;
    return strcmp(build->arch, "i386") == 0 ? "linux-image-686-pae" : "linux-image-cloud-amd64";
}

/* The child's output comes through *from. */
static pid_t start_mmdebstrap(const struct image_build *build, FILE **from, struct error *error)
{
    char include[4096], arch[32], hook[sizeof set_up + 32];
    const bool resolved = strcmp(build->suite, "bullseye") != 0; /* a package of its own since */
    int used =
        snprintf(include, sizeof include, "--include=%s,%s%s%s%s%s", base_packages, kernel_package(build),
                 resolved ? ",systemd-resolved" : "", build->ssh_key ? ",openssh-server" : "",
                 build->packages ? "," : "", build->packages ? build->packages : "");
    if (used >= (int)sizeof include)
        return error_set(error, -E2BIG, "the list of packages is too long");
    snprintf(arch, sizeof arch, "--arch=%s", build->arch);
    snprintf(hook, sizeof hook, "--customize-hook=%s", set_up);
    char *arguments[] = {"mmdebstrap",
                         "--verbose",
                         "--format=null",
                         "--variant=minbase",
                         "--skip=cleanup", /* it comes after the hook; the directory goes away as a whole */
                         "--aptopt=APT::Install-Recommends \"false\"",
                         arch,
                         include,
                         hook,
                         (char *)build->suite,
                         "/dev/null",
                         (char *)build->mirror,
                         NULL};

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    pid_t child;
    int code = posix_spawnp(&child, "mmdebstrap", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *from = fdopen(ends[0], "r");
    if (code == 0 && *from)
        return child;
    close(ends[0]);
    error_set(error, -code, "cannot start mmdebstrap: %s", strerror(code));
    if (code == ENOENT)
        error_hint(error, "it is the Debian package mmdebstrap");
    return -code;
}

/* -- what mmdebstrap tells ------------------------------------------------------------------------------- */

/* Its lines and the share of the whole that has been done when they come. */
static const struct {
    const char *line, *step;
    unsigned from, to;
} steps[] = {
    {"I: running apt-get update", "Reading the lists of packages", 0, 5},
    {"I: downloading packages", "Downloading the base", 5, 15},
    {"I: extracting", "Unpacking the base", 15, 20},
    {"I: installing essential", "Installing the base", 20, 45},
    {"I: installing remaining", "Installing packages", 45, 90},
    {"I: writing the filesystem", "Writing the filesystem", 90, 100},
};

struct watch {
    struct progress progress;
    unsigned step;           /* index in steps */
    unsigned packages, done; /* of this step: unpacking and setting up count each */
    char tail[TAIL][LINE_SIZE];
    unsigned lines;
};

static bool begins(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

static void watch_line(struct watch *watch, const char *line)
{
    unsigned count;
    snprintf(watch->tail[watch->lines++ % TAIL], LINE_SIZE, "%s", line);
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        if (begins(line, steps[i].line)) {
            watch->step = i;
            watch->done = 0;
        }
    }
    if (sscanf(line, "%*u upgraded, %u newly installed", &count) == 1)
        watch->packages = 2 * count;
    if (begins(line, "Unpacking ") || begins(line, "Setting up "))
        watch->done++;
    const unsigned from = steps[watch->step].from, span = steps[watch->step].to - from;
    const unsigned share = watch->packages ? span * MIN(watch->done, watch->packages) / watch->packages : 0;
    progress_show(&watch->progress, from + share, steps[watch->step].step);
}

/* The line that says why: the first of its errors, or what came last. */
static int explain(const struct watch *watch, struct error *error)
{
    const unsigned first = watch->lines > TAIL ? watch->lines - TAIL : 0;
    const char *reason = NULL;
    for (unsigned i = first; i < watch->lines && !reason; i++) {
        if (begins(watch->tail[i % TAIL], "E: "))
            reason = watch->tail[i % TAIL] + 3;
    }
    for (unsigned i = first; i < watch->lines; i++)
        fprintf(stderr, "  %s\n", watch->tail[i % TAIL]);
    return error_set(error, -EIO, "mmdebstrap failed: %.300s", reason ? reason : "its last lines are above");
}

static int watch_child(pid_t child, FILE *from, struct error *error)
{
    struct watch watch = {0};
    char line[LINE_SIZE];
    int status;

    progress_begin(&watch.progress);
    while (fgets(line, sizeof line, from)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line)
            watch_line(&watch, line);
    }
    fclose(from);
    progress_end(&watch.progress);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM))
        return error_set(error, -EINTR, "interrupted; nothing was made");
    return explain(&watch, error);
}

int image_build(const struct image_build *build, struct error *error)
{
    int fd = open_output(build, error);
    if (fd < 0)
        return fd;
    int code = export_options(build, fd, error);
    FILE *from = NULL;
    /* An interrupt reaches mmdebstrap as well, which cleans up and ends. */
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    if (code == 0)
        code = (int)start_mmdebstrap(build, &from, error);
    if (code > 0) {
        sigaction(SIGINT, &ignore, &before);
        code = watch_child(code, from, error);
        sigaction(SIGINT, &before, NULL);
    }
    if (code == 0)
        code = name_output(build, fd, error);
    close(fd);
    return code;
}
