/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/machine_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "domain/state_domain.h"

#define WAIT_NANOSECONDS 50000

static int64_t time_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* -- disks ----------------------------------------------------------------------------------------------- */

static int disk_open(const struct block_options *disk)
{
    return open(disk->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* By which a disk is known: who writes to a file changes the time of its change. Device files tell no more
 * than their size. `fd` is -1 if it cannot be read. */
static json_t *disk_json(const struct block_options *disk, int fd)
{
    struct stat status = {0};
    off_t size = 0;
    int64_t changed = 0;
    if (fd >= 0 && !fstat(fd, &status))
        size = lseek(fd, 0, SEEK_END);
    if (S_ISREG(status.st_mode))
        changed = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return json_pack("{s:s?, s:I, s:I}", "path", disk->path, "size", (json_int_t)size, "changed",
                     (json_int_t)changed);
}

static json_t *disks_json(const struct machine_state *state)
{
    json_t *disks = json_array();
    for (unsigned i = 0; i < state->disk_count; i++) {
        if (state->disk_fds[i] >= 0 && !state->disks[i].read_only)
            fdatasync(state->disk_fds[i]); /* where that fails the guest's flush does, too */
        json_array_append_new(disks, disk_json(&state->disks[i], state->disk_fds[i]));
    }
    return json_pack("{s:o}", "disks", disks);
}

static int disk_check(const json_t *saved, const struct block_options *disk, bool force, struct error *error)
{
    const int fd = disk_open(disk);
    json_t *now = disk_json(disk, fd);
    if (fd >= 0)
        close(fd);
    const json_int_t size = json_integer_value(json_object_get(now, "size")),
                     was = json_integer_value(json_object_get(saved, "size"));
    const bool changed = json_integer_value(json_object_get(now, "changed")) !=
                         json_integer_value(json_object_get(saved, "changed"));
    json_decref(now);
    if (size && size != was)
        return error_set(error, -EINVAL, "the disk %s had %" PRId64 " bytes and has %" PRId64 " now",
                         disk->path, (int64_t)was, (int64_t)size);
    if (!size || !changed || force) /* a disk that cannot be read is told of by who opens it */
        return 0;
    error_set(error, -EINVAL, "the disk %s has been written since the machine was saved", disk->path);
    error_hint(error, "what the guest knows of it is wrong now; restore a copy from then, or use --force");
    return -EINVAL;
}

static int disks_check(const json_t *document, const struct block_options *disks, unsigned count, bool force,
                       struct error *error)
{
    const json_t *saved = json_object_get(document, "disks");
    if (json_array_size(saved) != count)
        return error_set(error, -EINVAL, "the saved machine has %zu disks", json_array_size(saved));
    int code = 0;
    for (unsigned i = 0; !code && i < count; i++)
        code = disk_check(json_array_get(saved, i), &disks[i], force, error);
    return code;
}

/* -- saving ---------------------------------------------------------------------------------------------- */

static int write_all(struct machine_state *state, struct error *error)
{
    const struct machine_save_options options = {.compress = state->save->compress, .now = time_now()};
    struct state_writer writer;
    int code = state_writer_begin(&writer, state->save->fd, error);
    if (!code)
        code = state_domain_write(&writer, state->run, disks_json(state), error);
    if (!code)
        code = machine_save(state->machine, &writer, &options, error);
    return code ? code : state_writer_end(&writer, error);
}

/* Its memory, too, is that of the file from here on. What was copied is whole in any case. */
static void share(struct machine_state *state)
{
    struct error error = ERROR_INIT;
    if (!machine_share(state->machine, state->save->fd, &error))
        return;
    error_prefix(&error, "the machine's memory is lost: ");
    error_report(&error);
    machine_request(state->machine, MACHINE_REQUEST_FAILED);
}

static void go_on(struct machine_state *state)
{
    state->is_saved = false;
    if (!state->was_paused)
        machine_resume(state->machine, MACHINE_PAUSE_USER);
}

static void finish(struct machine_state *state, int code, const struct error *error)
{
    struct domain_save *save = state->save;
    state->save = NULL;
    state->is_saved = !code;
    if (code)
        go_on(state);
    save->done(save, code, error);
}

/* On the loop's thread, again until the machine stands still and nothing is under way in its memory. */
static void turn(void *opaque)
{
    struct machine_state *state = opaque;
    struct machine *machine = state->machine;
    struct error error = ERROR_INIT;
    int code = 0;
    if (!(machine->pauses & MACHINE_PAUSE_USER)) {
        code = error_set(&error, -EBUSY, "somebody had the machine go on while it was being saved");
    } else if (!machine->paused || (machine->type->pending && machine->type->pending(machine))) {
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NANOSECONDS}, NULL);
        loop_post(machine->loop, &state->turn);
        return;
    } else {
        code = write_all(state, &error);
        if (!code && state->save->share)
            share(state);
    }
    finish(state, code, &error);
}

void machine_state_init(struct machine_state *state, struct domain_run *run, struct machine *machine,
                        const struct block_options *disks, unsigned disk_count)
{
    *state = (struct machine_state){.run = run, .machine = machine, .disks = disks, .disk_count = disk_count};
    for (unsigned i = 0; i < disk_count; i++)
        state->disk_fds[i] = disk_open(&disks[i]);
}

void machine_state_release(struct machine_state *state)
{
    for (unsigned i = 0; i < state->disk_count; i++) {
        if (state->disk_fds[i] >= 0)
            close(state->disk_fds[i]);
    }
    state->disk_count = 0;
}

int machine_state_save(struct machine_state *state, struct domain_save *save, struct error *error)
{
    if (state->save)
        return error_set(error, -EBUSY, "the machine is being saved already");
    if (machine_check_saved(state->machine, error))
        return error->code;
    state->save = save;
    if (!state->is_saved)
        state->was_paused = state->machine->pauses & MACHINE_PAUSE_USER;
    state->is_saved = false;
    state->turn = (struct loop_call){.function = turn, .opaque = state};
    machine_pause(state->machine, MACHINE_PAUSE_USER);
    loop_post(state->machine->loop, &state->turn);
    return 0;
}

int machine_state_saved(struct machine_state *state, bool ends, struct error *error)
{
    if (!state->is_saved || !machine_paused(state->machine))
        return error_set(error, -EBUSY, "the machine has gone on since it was saved");
    if (ends)
        state->is_saved = false;
    else
        go_on(state);
    return 0;
}

void machine_state_cancel(struct machine_state *state)
{
    struct error error = ERROR_INIT;
    state->is_saved = false;
    if (!state->save)
        return;
    loop_cancel(state->machine->loop, &state->turn);
    error_set(&error, -ESRCH, "the machine came to its end before it was saved");
    finish(state, -ESRCH, &error);
}

/* -- loading --------------------------------------------------------------------------------------------- */

int machine_state_open(struct state_reader *reader, const struct domain_resume *resume,
                       const struct block_options *disks, unsigned disk_count, struct x86_model *model,
                       struct buffer *devices, struct error *error)
{
    json_t *document = NULL;
    int code = state_reader_open(reader, resume->fd, error);
    if (!code)
        code = state_domain_read(reader, &document, error);
    if (!code)
        code = disks_check(document, disks, disk_count, resume->force, error);
    json_decref(document);
    if (!code)
        code = machine_load_model(model, reader, error);
    return code ? code : machine_load_devices(devices, reader, error);
}

int machine_state_load(struct machine *machine, struct state_reader *reader,
                       const struct domain_resume *resume, struct error *error)
{
    const struct machine_load_options options = {.copy = true, .eager = resume->verify, .now = time_now()};
    pthread_mutex_lock(&machine->lock);
    int code = machine_load(machine, reader, &options, error);
    pthread_mutex_unlock(&machine->lock);
    return code;
}
