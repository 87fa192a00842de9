/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System V and POSIX interprocess communication, and what their structures say. */
#include "io_check.h"

#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>

union semun {
    int value;
    struct semid_ds *status;
    unsigned short *array;
    struct seminfo *info;
};

static void test_semaphores(void)
{
    int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0640);
    if (!AVAILABLE(id))
        return;
    struct semid_ds s;
    memset(&s, 0xee, sizeof s);
    time_t now = time(NULL);
    CHECK(semctl(id, 0, IPC_STAT, (union semun){.status = &s}) == 0);
    CHECK(s.sem_nsems == 3 && s.sem_otime == 0 && s.sem_ctime >= now - 2 && s.sem_ctime <= now + 2);
    CHECK((s.sem_perm.mode & 0777) == 0640 && s.sem_perm.uid == geteuid() && s.sem_perm.cuid == geteuid());

    unsigned short values[3] = {1, 2, 3}, got[3] = {0};
    CHECK(semctl(id, 0, SETALL, (union semun){.array = values}) == 0);
    CHECK(semctl(id, 0, GETALL, (union semun){.array = got}) == 0 && got[0] == 1 && got[2] == 3);
    CHECK(semctl(id, 1, SETVAL, (union semun){.value = 7}) == 0 && semctl(id, 1, GETVAL) == 7);
    struct sembuf down = {0, -2, IPC_NOWAIT}, up = {0, 1, SEM_UNDO};
    CHECK_ERROR(semop(id, &down, 1), EAGAIN);
    CHECK(semop(id, &up, 1) == 0 && semop(id, &down, 1) == 0 && semctl(id, 0, GETVAL) == 0);
    CHECK(semctl(id, 0, GETPID) == getpid());
    down = (struct sembuf){0, -1, 0};
    struct timespec limit = {0, 10000000};
    CHECK_ERROR(semtimedop(id, &down, 1, &limit), EAGAIN);
    CHECK(semctl(id, 0, IPC_STAT, (union semun){.status = &s}) == 0 && s.sem_otime >= now - 2);

    s.sem_perm.mode = 0600;
    CHECK(semctl(id, 0, IPC_SET, (union semun){.status = &s}) == 0);
    memset(&s, 0, sizeof s);
    CHECK(semctl(id, 0, IPC_STAT, (union semun){.status = &s}) == 0 && (s.sem_perm.mode & 0777) == 0600);
    struct seminfo info = {0};
    CHECK(semctl(0, 0, IPC_INFO, (union semun){.info = &info}) >= 0 && info.semmsl > 0);
    CHECK_ERROR(semctl(id, 0, IPC_STAT, (union semun){.status = (struct semid_ds *)bad_pointer}), EFAULT);
    CHECK(semctl(id, 0, IPC_RMID) == 0);
    CHECK_ERROR(semctl(id, 0, GETVAL), EINVAL);
}

static void test_messages(void)
{
    struct {
        long type;
        char text[16];
    } message = {5, "message five"}, other = {2, "two"}, got = {0};
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    if (!AVAILABLE(id))
        return;
    CHECK(msgsnd(id, &message, sizeof message.text, 0) == 0 && msgsnd(id, &other, 4, 0) == 0);
    struct msqid_ds s;
    CHECK(msgctl(id, IPC_STAT, &s) == 0 && s.msg_qnum == 2 && s.msg_lspid == getpid() && s.msg_qbytes > 0);
    CHECK(msgrcv(id, &got, sizeof got.text, 2, 0) == 4 && got.type == 2 && strcmp(got.text, "two") == 0);
    CHECK_ERROR(msgrcv(id, &got, 3, 5, 0), E2BIG);
    CHECK(msgrcv(id, &got, sizeof got.text, 0, 0) == 16 && strcmp(got.text, "message five") == 0);
    CHECK_ERROR(msgrcv(id, &got, sizeof got.text, 0, IPC_NOWAIT), ENOMSG);
    CHECK(msgctl(id, IPC_STAT, &s) == 0 && s.msg_qnum == 0 && s.msg_lrpid == getpid() && s.msg_rtime > 0);
    CHECK(msgctl(id, IPC_RMID, NULL) == 0);
}

static void test_shared_memory(void)
{
    int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600), status;
    if (!AVAILABLE(id))
        return;
    char *p = shmat(id, NULL, 0), *q = shmat(id, NULL, SHM_RDONLY);
    CHECK(p != (char *)-1 && q != (char *)-1 && p != q);
    strcpy(p, "shared");
    CHECK(strcmp(q, "shared") == 0);
    struct shmid_ds s;
    CHECK(shmctl(id, IPC_STAT, &s) == 0 && s.shm_segsz == 10000 && s.shm_nattch == 2 &&
          s.shm_cpid == getpid());
    pid_t child = fork();
    if (child == 0) {
        p[0] = 'S';
        _exit(shmdt(q) == 0 ? 3 : 4);
    }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3 && p[0] == 'S');
    CHECK(shmctl(id, IPC_RMID, NULL) == 0 && shmdt(p) == 0 && shmdt(q) == 0);
    CHECK_ERROR(shmdt(p), EINVAL);
}

static void test_posix_queue(void)
{
    char name[32], text[32];
    snprintf(name, sizeof name, "/io_ipc.%d", (int)getpid());
    struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 32};
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes);
    if (!AVAILABLE(queue))
        return;
    unsigned priority = 0;
    CHECK(mq_send(queue, "low", 4, 1) == 0 && mq_send(queue, "high", 5, 9) == 0);
    CHECK(mq_getattr(queue, &attributes) == 0 && attributes.mq_curmsgs == 2 &&
          attributes.mq_flags == O_NONBLOCK);
    CHECK(mq_receive(queue, text, sizeof text, &priority) == 5 && priority == 9 && strcmp(text, "high") == 0);
    CHECK(mq_receive(queue, text, sizeof text, NULL) == 4);
    CHECK_ERROR(mq_receive(queue, text, sizeof text, NULL), EAGAIN);
    CHECK(mq_close(queue) == 0 && mq_unlink(name) == 0);
}

static void test_posix_semaphore(void)
{
    sem_t *semaphore =
        mmap(NULL, sizeof *semaphore, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    CHECK(semaphore != MAP_FAILED && sem_init(semaphore, 1, 0) == 0);
    pid_t child = fork();
    if (child == 0) {
        usleep(20000);
        _exit(sem_post(semaphore) == 0 ? 0 : 1);
    }
    while (sem_wait(semaphore) == -1 && errno == EINTR)
        ;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    munmap(semaphore, sizeof *semaphore);
}

int main(void)
{
    test_semaphores();
    test_messages();
    test_shared_memory();
    test_posix_queue();
    test_posix_semaphore();
    return check_done("io_ipc");
}
