/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files, directories, descriptors, and what is in their structures and flags. */
#include "io_check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static char base[64]; /* the directory that all of this happens in, also the current one */

static int make(const char *name, const char *contents)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0);
    CHECK(write(fd, contents, strlen(contents)) == (ssize_t)strlen(contents));
    return fd;
}

static void test_open(void)
{
    int fd = make("file", "hello, world");
    CHECK(close(fd) == 0);
    CHECK(symlink("file", "link") == 0);
    CHECK(mkdir("dir", 0755) == 0);

    CHECK_ERROR(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERROR(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK_ERROR(open("dir", O_WRONLY), EISDIR);
    CHECK_ERROR(open("file", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    CHECK_ERROR(open("none", O_RDONLY), ENOENT);
    CHECK_ERROR(syscall(SYS_openat, AT_FDCWD, bad_pointer, O_RDONLY, 0), EFAULT);
    CHECK_ERROR(openat(99, "file", O_RDONLY), EBADF);

    fd = open("dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK((fcntl(fd, F_GETFL) & (O_DIRECTORY | O_NOFOLLOW | O_DIRECT)) == O_DIRECTORY);
    int inner = openat(fd, "../link", O_RDONLY);
    char text[32] = "";
    CHECK(inner >= 0 && read(inner, text, sizeof text) == 12 && memcmp(text, "hello, world", 12) == 0);
    close(inner);
    close(fd);

    fd = open("link", O_PATH | O_NOFOLLOW);
    struct stat s;
    CHECK(fd >= 0 && fstat(fd, &s) == 0 && S_ISLNK(s.st_mode));
    CHECK_ERROR(read(fd, text, 1), EBADF);
    close(fd);

    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    if (AVAILABLE(fd)) {
        CHECK(fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_nlink == 0 && (s.st_mode & 07777) == 0600);
        close(fd);
    }
    fd = open("file", O_RDWR | O_DIRECT);
    if (AVAILABLE(fd)) {
        CHECK((fcntl(fd, F_GETFL) & (O_DIRECT | O_DIRECTORY | O_NOFOLLOW)) == O_DIRECT);
        close(fd);
    }
}

static void test_openat2(void)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY, .resolve = RESOLVE_NO_SYMLINKS};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, "dir", &how, sizeof how);
    if (!AVAILABLE(fd))
        return;
    CHECK(fcntl(fd, F_GETFL) & O_DIRECTORY);
    close(fd);
    CHECK_ERROR(syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof how), ENOTDIR);
    how.flags = O_RDONLY;
    CHECK_ERROR(syscall(SYS_openat2, AT_FDCWD, "link", &how, sizeof how), ELOOP);
    CHECK_ERROR(syscall(SYS_openat2, AT_FDCWD, "file", &how, 8), EINVAL);
    CHECK_ERROR(syscall(SYS_openat2, AT_FDCWD, "file", bad_pointer, sizeof how), EFAULT);
    struct {
        struct open_how how;
        long more;
    } longer = {.how = {.flags = O_RDONLY}};
    fd = (int)syscall(SYS_openat2, AT_FDCWD, "file", &longer, sizeof longer);
    CHECK(fd >= 0);
    close(fd);
    longer.more = 1;
    CHECK_ERROR(syscall(SYS_openat2, AT_FDCWD, "file", &longer, sizeof longer), E2BIG);
}

static void test_read_write(void)
{
    int fd = make("data", "0123456789");
    char a[4], b[8], text[16];
    struct iovec in[2] = {{a, sizeof a}, {b, sizeof b}}, out[2] = {{"ab", 2}, {"cde", 3}};
    CHECK(lseek(fd, 1, SEEK_SET) == 1);
    CHECK(readv(fd, in, 2) == 9 && memcmp(a, "1234", 4) == 0 && memcmp(b, "56789", 5) == 0);
    CHECK(pwritev(fd, out, 2, 3) == 5);
    CHECK(pread(fd, text, 10, 0) == 10 && memcmp(text, "012abcde89", 10) == 0);
    CHECK(pwrite(fd, "Z", 1, 20) == 1 && lseek(fd, 0, SEEK_END) == 21);
    CHECK(preadv2(fd, in, 2, 0, 0) == 12);
    CHECK(pwritev2(fd, out, 2, -1, RWF_APPEND) == 5 && lseek(fd, 0, SEEK_CUR) == 26);
    CHECK(ftruncate(fd, 5) == 0 && truncate("data", 6) == 0 && lseek(fd, 0, SEEK_END) == 6);
    CHECK_ERROR(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK_ERROR(lseek(fd, 0, 77), EINVAL);
    CHECK_ERROR(pread(fd, bad_pointer, 4, 0), EFAULT);
    CHECK_ERROR(write(fd, bad_pointer, 4), EFAULT);
    CHECK_ERROR(read(-1, a, 1), EBADF);
    CHECK(lseek(fd, 1l << 40, SEEK_SET) == 1l << 40); /* offsets have 64 bits */
    if (AVAILABLE(fallocate(fd, 0, 0, 8192))) {
        struct stat s;
        CHECK(fstat(fd, &s) == 0 && s.st_size == 8192 && s.st_blocks >= 16);
        if (AVAILABLE(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)))
            CHECK(lseek(fd, 0, SEEK_HOLE) == 0);
    }
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
    CHECK(fsync(fd) == 0 && fdatasync(fd) == 0 && syncfs(fd) == 0);
    CHECK(sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE) == 0);
    close(fd);
}

static void test_copy(void)
{
    int from = make("from", "copy this text"), to = make("to", "");
    off_t offset = 5;
    CHECK(sendfile(to, from, &offset, 4) == 4 && offset == 9);
    off64_t in = 0;
    ssize_t copied = copy_file_range(from, &in, to, NULL, 4, 0);
    if (AVAILABLE(copied))
        CHECK(copied == 4 && in == 4);
    char text[16] = "";
    CHECK(pread(to, text, 8, 0) == (copied == 4 ? 8 : 4) &&
          memcmp(text, "thiscopy", copied == 4 ? 8 : 4) == 0);
    close(from);
    close(to);
}

static void test_stat(void)
{
    struct stat s, t;
    struct statx x;
    CHECK(chmod("file", 04751) == 0 && stat("file", &s) == 0);
    CHECK((s.st_mode & 07777) == 04751 && S_ISREG(s.st_mode) && s.st_size == 12 && s.st_nlink == 1);
    CHECK(s.st_uid == geteuid() && s.st_blksize >= 512 && s.st_blksize <= 1 << 24);
    CHECK(link("file", "second") == 0 && lstat("second", &t) == 0);
    CHECK(t.st_nlink == 2 && t.st_ino == s.st_ino && t.st_dev == s.st_dev);
    CHECK(lstat("link", &t) == 0 && S_ISLNK(t.st_mode) && t.st_size == 4 && t.st_ino != s.st_ino);
    CHECK(stat("/dev/null", &t) == 0 && S_ISCHR(t.st_mode) && t.st_rdev == makedev(1, 3));
    CHECK(fstat(0, &t) == 0);
    CHECK_ERROR(stat("none", &t), ENOENT);
    CHECK_ERROR(syscall(SYS_newfstatat, AT_FDCWD, "file", bad_pointer, 0), EFAULT);
    CHECK_ERROR(fstat(-1, &t), EBADF);
    CHECK(fstatat(AT_FDCWD, "", &t, AT_EMPTY_PATH) == 0 && S_ISDIR(t.st_mode));

    struct timespec times[2] = {{1l << 33, 123456789}, {7, 987654321}};
    CHECK(utimensat(AT_FDCWD, "file", times, 0) == 0 && stat("file", &s) == 0);
    CHECK(s.st_mtim.tv_sec == 7 && s.st_mtim.tv_nsec == 987654321);
    CHECK(s.st_atim.tv_nsec == 123456789);
    CHECK(s.st_ctim.tv_sec > 1000000000);
    if (AVAILABLE(statx(AT_FDCWD, "file", AT_SYMLINK_NOFOLLOW, STATX_ALL, &x))) {
        CHECK(x.stx_ino == s.st_ino && x.stx_size == 12 && x.stx_mtime.tv_sec == 7);
        CHECK(makedev(x.stx_dev_major, x.stx_dev_minor) == s.st_dev && x.stx_nlink == 2);
    }
    CHECK(access("file", R_OK | W_OK) == 0);
    CHECK_ERROR(access("none", F_OK), ENOENT);
    CHECK(faccessat(AT_FDCWD, "link", F_OK, AT_SYMLINK_NOFOLLOW) == 0);
    CHECK(chmod("file", 0644) == 0 && unlink("second") == 0);

    struct statfs f;
    struct statvfs v;
    CHECK(statfs(".", &f) == 0 && statvfs(".", &v) == 0);
    CHECK(f.f_bsize > 0 && (unsigned long)f.f_bsize == v.f_bsize && f.f_namelen == 255 &&
          f.f_blocks == v.f_blocks);
}

static void test_names(void)
{
    char text[PATH_MAX];
    CHECK(readlink("link", text, sizeof text) == 4 && memcmp(text, "file", 4) == 0);
    CHECK(readlink("link", text, 2) == 2);
    CHECK_ERROR(readlink("file", text, sizeof text), EINVAL);
    CHECK(getcwd(text, sizeof text) && strcmp(strrchr(text, '/') + 1, base) == 0);
    CHECK_ERROR(syscall(SYS_getcwd, text, 2), ERANGE);
    CHECK(chdir("dir") == 0 && access("../file", F_OK) == 0);
    int fd = open("..", O_RDONLY | O_DIRECTORY);
    CHECK(fchdir(fd) == 0);
    CHECK(mkdirat(fd, "dir/a", 0700) == 0 && renameat(fd, "dir/a", fd, "dir/b") == 0);
    CHECK_ERROR(mkdir("dir/b", 0700), EEXIST);
    CHECK_ERROR(rmdir("dir"), ENOTEMPTY);
    CHECK_ERROR(unlink("dir"), EISDIR);
    if (AVAILABLE(renameat2(fd, "dir/b", fd, "file", RENAME_EXCHANGE)))
        CHECK(renameat2(fd, "dir/b", fd, "file", RENAME_EXCHANGE) == 0);
    CHECK_ERROR(renameat2(fd, "dir/b", fd, "file", RENAME_NOREPLACE), EEXIST);
    CHECK(mknod("fifo", S_IFIFO | 0600, 0) == 0 && unlink("fifo") == 0);
    CHECK(unlinkat(fd, "dir/b", AT_REMOVEDIR) == 0);
    close(fd);
}

static void test_directories(void)
{
    char name[32];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "dir/entry-%d", i);
        close(open(name, O_WRONLY | O_CREAT, 0600));
    }
    DIR *dir = opendir("dir");
    CHECK(dir);
    unsigned char seen[300] = {0};
    int count = 0, number;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (sscanf(entry->d_name, "entry-%d", &number) == 1 && number >= 0 && number < 300) {
            CHECK(!seen[number] && (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN));
            seen[number] = 1;
            count++;
        }
    }
    CHECK(count == 300);
    rewinddir(dir);
    long place = -1;
    char after[300] = "";
    for (int i = 0; i < 5; i++) {
        struct dirent *entry = readdir(dir);
        if (i == 2)
            place = telldir(dir);
        if (i == 3)
            snprintf(after, sizeof after, "%s", entry->d_name);
    }
    seekdir(dir, place);
    struct dirent *entry = readdir(dir);
    CHECK(entry && strcmp(entry->d_name, after) == 0);
    closedir(dir);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "dir/entry-%d", i);
        CHECK(unlink(name) == 0);
    }
    char buffer[64];
    int fd = open("file", O_RDONLY);
    CHECK_ERROR(syscall(SYS_getdents64, fd, buffer, sizeof buffer), ENOTDIR);
    close(fd);
    fd = open("dir", O_RDONLY);
    CHECK_ERROR(syscall(SYS_getdents64, fd, buffer, 3), EINVAL);
    close(fd);
}

static void test_descriptors(void)
{
    int fd = open("file", O_RDWR | O_APPEND);
    CHECK((fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) == (O_RDWR | O_APPEND));
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    CHECK((fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) == (O_RDWR | O_NONBLOCK));
    CHECK(dup(fd) >= 0 && dup2(fd, 200) == 200 && dup3(fd, 201, O_CLOEXEC) == 201);
    CHECK(fcntl(200, F_GETFD) == 0 && fcntl(201, F_GETFD) == FD_CLOEXEC);
    CHECK_ERROR(dup3(fd, fd, 0), EINVAL);
    CHECK_ERROR(dup3(fd, 202, O_DIRECTORY), EINVAL);
    CHECK(fcntl(fd, F_DUPFD, 210) == 210 && fcntl(fd, F_DUPFD_CLOEXEC, 210) == 211);
    CHECK(fcntl(211, F_GETFD) == FD_CLOEXEC);
    CHECK(close(200) == 0);
    CHECK_ERROR(close(200), EBADF);
    if (AVAILABLE(close_range(201, 211, 0))) {
        CHECK_ERROR(fcntl(201, F_GETFD), EBADF);
        CHECK_ERROR(fcntl(210, F_GETFD), EBADF);
        CHECK_ERROR(close_range(5, 4, 0), EINVAL);
    }
    CHECK(fcntl(fd, F_GETFD) == 0);
    /* Every number can be the target of dup2, and a program that closes all of them can still run another. */
    for (int i = 900; i < 1024; i++)
        CHECK(dup2(fd, i) == i);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 3; i < 1024; i++)
            close(i);
        close_range(3, ~0u, 0);
        execl("/proc/self/exe", "io_files", "status", (char *)NULL);
        _exit(98);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42);
    for (int i = 900; i < 1024; i++)
        CHECK(close(i) == 0);
    close(fd);
}

static void test_locks(void)
{
    int fd = open("file", O_RDWR), other = open("file", O_RDWR), status;
    CHECK(flock(fd, LOCK_EX) == 0);
    CHECK_ERROR(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    CHECK(flock(fd, LOCK_UN) == 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3};
    CHECK(fcntl(fd, F_SETLK, &lock) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct flock test = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
        int good = fcntl(fd, F_GETLK, &test) == 0 && test.l_type == F_WRLCK && test.l_start == 2 &&
                   test.l_len == 3 && test.l_pid == getppid() && fcntl(fd, F_SETLK, &test) == -1;
        _exit(good ? 7 : 8);
    }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
    lock.l_type = F_WRLCK;
    CHECK_ERROR(fcntl(other, F_OFD_SETLK, &lock), EAGAIN);
    close(other);
    close(fd);
}

static void test_attributes(void)
{
    char text[64] = "";
    if (!AVAILABLE(setxattr("file", "user.visor", "value", 5, 0)))
        return;
    CHECK(getxattr("link", "user.visor", text, sizeof text) == 5 && memcmp(text, "value", 5) == 0);
    CHECK(listxattr("file", text, sizeof text) >= 11 && memmem(text, sizeof text, "user.visor", 11));
    CHECK_ERROR(setxattr("file", "user.visor", "x", 1, XATTR_CREATE), EEXIST);
    CHECK_ERROR(getxattr("file", "user.visor", text, 2), ERANGE);
    int fd = open("file", O_RDONLY);
    CHECK(fgetxattr(fd, "user.visor", NULL, 0) == 5 && fremovexattr(fd, "user.visor") == 0);
    CHECK_ERROR(fgetxattr(fd, "user.visor", text, sizeof text), ENODATA);
    close(fd);
}

static void test_file_mapping(void)
{
    int fd = open("file", O_RDWR);
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && memcmp(p, "hello", 5) == 0);
    p[0] = 'J';
    char text[5];
    CHECK(msync(p, 4096, MS_SYNC) == 0 && pread(fd, text, 5, 0) == 5 && memcmp(text, "Jello", 5) == 0);
    CHECK(pwrite(fd, "Y", 1, 0) == 1 && p[0] == 'Y');
    CHECK(munmap(p, 4096) == 0);
    CHECK(readahead(fd, 0, 4096) == 0);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "status") == 0)
        return 42;
    snprintf(base, sizeof base, "io_files.%d", (int)getpid());
    CHECK(mkdir(base, 0755) == 0 && chdir(base) == 0);
    CHECK(umask(022) != 0xffff && umask(022) == 022);
    test_open();
    test_openat2();
    test_read_write();
    test_copy();
    test_stat();
    test_names();
    test_directories();
    test_descriptors();
    test_locks();
    test_attributes();
    test_file_mapping();
    const char *const left[] = {"file", "link", "data", "from", "to"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        CHECK(unlink(left[i]) == 0);
    CHECK(rmdir("dir") == 0 && chdir("..") == 0 && rmdir(base) == 0);
    return check_done("io_files");
}
