/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest is a copy of another: what makes it one of its own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

/* -- files ----------------------------------------------------------------------------------------------- */

static int text_write(int fd, const char *text)
{
    const ssize_t size = (ssize_t)strlen(text);
    return write(fd, text, (size_t)size) == size ? 0 : errno ? errno : EIO;
}

/* What is mounted over, as containers' files are, cannot be replaced. */
static int overwrite(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno;
    int code = text_write(fd, text);
    close(fd);
    return code;
}

/* The line takes the place of a file that is there; of a link, or where nothing is, none. 0, or a positive
 * errno. */
static int line_put(const char *path, const char *word)
{
    char temporary[PATH_MAX], line[128];
    struct stat status;
    if (lstat(path, &status) || !S_ISREG(status.st_mode))
        return 0;
    snprintf(temporary, sizeof temporary, "%s.visor-XXXXXX", path);
    snprintf(line, sizeof line, "%s\n", word);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return errno;
    int code = text_write(fd, line);
    if (!code && (fchmod(fd, status.st_mode & 07777) || fsync(fd) || rename(temporary, path)))
        code = errno;
    close(fd);
    if (code)
        unlink(temporary);
    return code == EBUSY ? overwrite(path, line) : code;
}

/* -- its parts: 0, or a positive errno ------------------------------------------------------------------- */

/* The kernel stirs it in and takes new keys from it at once. */
static int put_entropy(const struct agent_identity *identity)
{
    union {
        struct rand_pool_info info;
        uint8_t bytes[sizeof(struct rand_pool_info) + AGENT_ENTROPY_MAX];
    } pool = {
        .info = {.entropy_count = (int)identity->entropy_size * 8, .buf_size = (int)identity->entropy_size}};
    if (!identity->entropy_size)
        return 0;
    memcpy(pool.bytes + sizeof pool.info, identity->entropy, identity->entropy_size);
    int fd = open("/dev/random", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int code = ioctl(fd, RNDADDENTROPY, &pool) ? errno : 0;
    if (!code)
        ioctl(fd, RNDRESEEDCRNG); /* kernels before 4.14 do it by themselves, later */
    close(fd);
    return code;
}

static int put_time(const struct agent_identity *identity)
{
    const struct timespec time = {.tv_sec = (time_t)(identity->time / 1000000000),
                                  .tv_nsec = (long)(identity->time % 1000000000)};
    return identity->time && clock_settime(CLOCK_REALTIME, &time) ? errno : 0;
}

/* D-Bus has one of its own where it is no link to the other. */
static int put_machine_id(const struct agent_identity *identity)
{
    if (!identity->machine_id[0])
        return 0;
    int code = line_put("/etc/machine-id", identity->machine_id);
    int other = line_put("/var/lib/dbus/machine-id", identity->machine_id);
    return code ? code : other;
}

static int put_host_name(const struct agent_identity *identity)
{
    if (!identity->host_name[0])
        return 0;
    int code = sethostname(identity->host_name, strlen(identity->host_name)) ? errno : 0;
    int other = line_put("/etc/hostname", identity->host_name);
    return code ? code : other;
}

/* -- network cards --------------------------------------------------------------------------------------- */

struct card {
    char place[NAME_MAX + 1]; /* on the bus: "0000:00:03.0" */
    char name[IFNAMSIZ];
};

/* Whether an interface is a card of visor's, and where. */
static bool card_look(struct card *card, const char *name)
{
    char link[PATH_MAX], path[PATH_MAX];
    snprintf(link, sizeof link, "/sys/class/net/%s/device", name);
    if (strlen(name) >= IFNAMSIZ || !realpath(link, path))
        return false;
    char *device = strrchr(path, '/');
    if (!device || strncmp(device, "/virtio", 7) != 0)
        return false;
    *device = '\0';
    const char *place = strrchr(path, '/');
    if (!place)
        return false;
    snprintf(card->place, sizeof card->place, "%s", place + 1);
    strcpy(card->name, name);
    return true;
}

static int compare_places(const void *a, const void *b)
{
    const struct card *one = a, *other = b;
    return strcmp(one->place, other->place);
}

/* By the order of their places, which is that of the machine's configuration. */
static unsigned cards_find(struct card cards[AGENT_CARDS_MAX])
{
    unsigned count = 0;
    DIR *interfaces = opendir("/sys/class/net");
    for (const struct dirent *one; interfaces && count < AGENT_CARDS_MAX && (one = readdir(interfaces));)
        count += card_look(&cards[count], one->d_name);
    if (interfaces)
        closedir(interfaces);
    qsort(cards, count, sizeof *cards, compare_places);
    return count;
}

/* A driver that cannot while the card is up can when it is not. */
static int address_put(int socket, const char *name, const uint8_t address[6])
{
    struct ifreq request = {0}, flags = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    snprintf(flags.ifr_name, sizeof flags.ifr_name, "%s", name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request.ifr_hwaddr.sa_data, address, 6);
    if (!ioctl(socket, SIOCSIFHWADDR, &request))
        return 0;
    if (errno != EBUSY || ioctl(socket, SIOCGIFFLAGS, &flags))
        return errno;
    flags.ifr_flags &= (short)~IFF_UP;
    if (ioctl(socket, SIOCSIFFLAGS, &flags))
        return errno;
    int code = ioctl(socket, SIOCSIFHWADDR, &request) ? errno : 0;
    flags.ifr_flags |= IFF_UP;
    return ioctl(socket, SIOCSIFFLAGS, &flags) && !code ? errno : code;
}

static int put_cards(const struct agent_identity *identity)
{
    static const uint8_t as_it_is[6];
    struct card cards[AGENT_CARDS_MAX];
    int code = 0, fd = identity->card_count ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    const unsigned count = fd < 0 ? 0 : cards_find(cards);
    for (unsigned i = 0; i < identity->card_count; i++) {
        if (!memcmp(identity->cards[i], as_it_is, sizeof as_it_is))
            continue;
        int now = i < count ? address_put(fd, cards[i].name, identity->cards[i]) : ENODEV;
        code = code ? code : now;
    }
    if (fd >= 0)
        close(fd);
    return code;
}

/* -- all of it ------------------------------------------------------------------------------------------- */

void serve_identity(struct connection *connection, struct reader *request)
{
    static const struct {
        int (*put)(const struct agent_identity *identity);
        const char *what;
    } parts[] = {{put_entropy, "stir the random numbers"},
                 {put_time, "set the clock"},
                 {put_machine_id, "write the machine id"},
                 {put_host_name, "change the host name"},
                 {put_cards, "give a network card its address"}};
    struct agent_identity identity;
    int failure = 0;
    const char *what = NULL;
    if (agent_take_identity(request, &identity)) {
        connection_fail(connection, EPROTO, "cannot be another machine: the request makes no sense");
        return;
    }
    if (connection->is_test) {
        connection_fail(connection, EOPNOTSUPP, "an agent that is tested changes nothing of its machine");
        return;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const int code = parts[i].put(&identity);
        if (code && !failure) {
            failure = code;
            what = parts[i].what;
        }
    }
    if (failure)
        connection_fail(connection, failure, "cannot %s: %s", what, strerror(failure));
    else
        connection_done(connection);
}
