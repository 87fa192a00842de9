/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image: makes images that domains run from. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "cli/command.h"
#include "cli/image_build.h"

#define SIZE_DEFAULT (UINT64_C(8) << 30) /* sparse: it takes what is in it */
#define SIZE_LEAST   (UINT64_C(1) << 30)
#define SIZE_MOST    (UINT64_C(16) << 40)

enum image_option { ARCH, KERNEL, PACKAGES, SIZE, SSH_KEY, PASSWORD, HOSTNAME, MIRROR, OUTPUT, REPLACE };

static const struct command_option options[] = {
    [ARCH] = {.name = "arch",
              .argument = "ARCH",
              .help = "amd64 or i386; else amd64",
              .choices = "amd64 i386"},
    [KERNEL] = {.name = "kernel", .argument = "PACKAGE", .help = "The kernel's package"},
    [PACKAGES] = {.name = "packages", .argument = "P,…", .help = "More packages (may be repeated)"},
    [SIZE] = {.name = "size",
              .argument = "S",
              .help = "Of the disk; else 8G, of which only what is used takes space"},
    [SSH_KEY] = {.name = "ssh-key",
                 .argument = "FILE",
                 .help = "Install an ssh server, where this public key logs in as root",
                 .is_file = true},
    [PASSWORD] = {.name = "password", .argument = "P", .help = "Of root; else the console asks for none"},
    [HOSTNAME] = {.name = "hostname", .argument = "NAME", .help = "Of the machine; else debian"},
    [MIRROR] = {.name = "mirror", .argument = "URL", .help = "Where the packages come from"},
    [OUTPUT] = {.name = "output", .argument = "FILE", .help = "The image", .is_file = true, .letter = 'o'},
    [REPLACE] = {.name = "replace", .help = "Overwrite an image that exists"},
    {0},
};

static const char details[] =
    "build debian[:SUITE]   makes a disk that \"visor run FILE\" boots: Debian's own packages and kernel,\n"
    "                       with network by DHCP and a login on the serial console. SUITE is a name\n"
    "                       (bookworm, trixie …) or number. Needs no root rights, and the packages\n"
    "                       mmdebstrap, e2fsprogs and, without root, uidmap.\n"
    "\n"
    "Examples:\n"
    "  visor image build debian:bookworm -o vm.img\n"
    "  visor image build debian:trixie --packages git,build-essential --size 20G \\\n"
    "      --ssh-key ~/.ssh/id_ed25519.pub -o vm.img\n";

struct image_state {
    struct image_build build;
    char packages[2048];
};

static struct image_state image_state = {
    .build = {.arch = "amd64", .hostname = "debian", .size = SIZE_DEFAULT},
};

static int add_packages(struct image_state *state, const char *names, struct error *error)
{
    const size_t used = strlen(state->packages), room = sizeof state->packages - used;
    if (snprintf(state->packages + used, room, "%s%s", used ? "," : "", names) >= (int)room)
        return error_set(error, -E2BIG, "the list of packages is too long");
    state->build.packages = state->packages;
    return 0;
}

static int set_arch(struct image_state *state, const char *arch, struct error *error)
{
    if (strcmp(arch, "amd64") != 0 && strcmp(arch, "i386") != 0)
        return error_set(error, -EINVAL, "machines are amd64 or i386, not \"%s\"", arch);
    state->build.arch = arch;
    return 0;
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct image_state *state = context;
    switch ((enum image_option)index) {
    case ARCH: return set_arch(state, argument, error);
    case KERNEL: state->build.kernel = argument; return 0;
    case PACKAGES: return add_packages(state, argument, error);
    case SIZE: return size_parse(argument, "the disk", SIZE_LEAST, SIZE_MOST, &state->build.size, error);
    case SSH_KEY: state->build.ssh_key = argument; return 0;
    case PASSWORD: state->build.password = argument; return 0;
    case HOSTNAME: state->build.hostname = argument; return 0;
    case MIRROR: state->build.mirror = argument; return 0;
    case OUTPUT: state->build.output = argument; return 0;
    case REPLACE: state->build.replace = true; return 0;
    }
    return error_set(error, -EINVAL, "unknown option");
}

static int usage_error(const char *message)
{
    fprintf(stderr, "visor: image: %s\n  hint: \"visor help image\" shows how\n", message);
    return STATUS_USAGE;
}

static int run_build(struct image_state *state, const char *name)
{
    struct error error = ERROR_INIT;
    char size[SIZE_TEXT];

    if (!name)
        return usage_error("build: name what to build, such as debian:bookworm");
    if (!state->build.output)
        return usage_error("build: name the image to make with -o FILE");
    state->build.suite = image_suite(name);
    if (!state->build.suite) {
        fprintf(stderr,
                "visor: image: cannot build \"%s\"\n  hint: it is debian:SUITE, such as debian:bookworm\n",
                name);
        return STATUS_USAGE;
    }
    if (image_build(&state->build, &error) < 0) {
        error_report(&error);
        return STATUS_FAILED;
    }
    printf("%s: Debian %s, %s; root logs in %s\n", state->build.output, state->build.suite,
           size_print(state->build.size, size),
           state->build.password ? "by the password" : "without a password");
    printf("  visor run %s\n", state->build.output);
    return STATUS_OK;
}

static int run_image(void *context, int count, char **words)
{
    const char *found[2] = {NULL, NULL};
    int number;
    if (count == 0)
        return usage_error("say what to do: build");
    if (strcmp(words[0], "build") != 0)
        return usage_error("there is only \"build\"");
    int status = command_parse_words(&command_image, count, words, found, 1, &number);
    return status >= 0 ? status : run_build(context, found[0]);
}

const struct command command_image = {
    .name = "image",
    .arguments = "build debian[:SUITE] -o FILE",
    .words = "build",
    .summary = "Makes disk images that machines boot",
    .details = details,
    .options = options,
    .option = set_option,
    .run = run_image,
    .state = &image_state,
};
