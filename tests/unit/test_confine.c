/* Every forbidden call is tried for real, in a child that gave it up. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gate/base/confine.h"
#include "gate/base/log.h"

#if defined(AEGIS_SANITIZED) || defined(__SANITIZE_ADDRESS__)
enum { FILTERED = AEGIS_CONFINE_NETWORK };
#elif defined(HAVE_SECCOMP)
enum { FILTERED = AEGIS_CONFINE_NETWORK | AEGIS_CONFINE_EXEC | AEGIS_CONFINE_FILES | AEGIS_CONFINE_DEBUG };
#else
enum { FILTERED = 0 };
#endif

/* Exit status of a child that confines itself and then runs `check`: 0 when that says true. */
static int confined(unsigned what, bool (*check)(void))
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        struct aegis_error error;
        _exit(!aegis_confine(what, &error) ? 2 : check() ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool refused(long result)
{
    return result == -1 && errno == EPERM;
}

static bool sockets_refused(void)
{
    return refused(socket(AF_INET, SOCK_STREAM, 0)) && refused(socket(AF_INET6, SOCK_DGRAM, 0)) &&
           refused(socket(AF_UNIX, SOCK_STREAM, 0)) && refused(syscall(SYS_io_uring_setup, 1, NULL));
}

static bool processes_refused(void)
{
    char program[] = "/bin/true", *const arguments[] = {program, NULL};

    return refused(fork()) && refused(vfork()) && refused(execve("/bin/true", arguments, NULL)) &&
           refused(syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, NULL, 0)) && system("true") != 0;
}

static bool files_refused(void)
{
    return refused(open("/etc/passwd", O_RDONLY)) &&
           refused(open("/tmp/aegis-confine", O_WRONLY | O_CREAT, 0600)) &&
           refused(mkdir("/tmp/aegis-confine", 0700)) && refused(rename("/tmp/a", "/tmp/b")) &&
           refused(unlink("/tmp/a")) && refused(symlink("/tmp/a", "/tmp/b")) &&
           fopen("/etc/passwd", "r") == NULL;
}

static bool debugging_refused(void)
{
    struct iovec none = {0};

    return refused(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)) &&
           refused(process_vm_readv(getppid(), &none, 1, &none, 1, 0));
}

static void *nothing(void *argument)
{
    return argument;
}

static bool threads_start(void)
{
    pthread_t thread;

    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static bool privileges_are_gone(void)
{
    struct rlimit core;

    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
           getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 && chown("/", 12345, 12345) == -1 &&
           sethostname("aegis", 5) == -1;
}

static void gives_up_the_network(void **state)
{
    (void)state;
    if ((FILTERED & AEGIS_CONFINE_NETWORK) == 0)
        skip();
    assert_int_equal(confined(AEGIS_CONFINE_NETWORK, sockets_refused), 0);
}

static void gives_up_processes_but_not_threads(void **state)
{
    (void)state;
    if ((FILTERED & AEGIS_CONFINE_EXEC) == 0)
        skip();
    assert_int_equal(confined(AEGIS_CONFINE_EXEC, processes_refused), 0);
    assert_int_equal(confined(AEGIS_CONFINE_EXEC, threads_start), 0);
}

static void gives_up_files(void **state)
{
    (void)state;
    if ((FILTERED & AEGIS_CONFINE_FILES) == 0)
        skip();
    assert_int_equal(confined(AEGIS_CONFINE_FILES, files_refused), 0);
}

static void gives_up_looking_into_others(void **state)
{
    (void)state;
    if ((FILTERED & AEGIS_CONFINE_DEBUG) == 0)
        skip();
    assert_int_equal(confined(AEGIS_CONFINE_DEBUG, debugging_refused), 0);
}

static void drops_privileges_whatever_is_filtered(void **state)
{
    (void)state;
    assert_int_equal(confined(0, privileges_are_gone), 0);
    assert_int_equal(confined(AEGIS_CONFINE_NETWORK, privileges_are_gone), 0);
}

static int listening; /* for the child below */

static bool an_old_socket_still_accepts(void)
{
    int peer = accept(listening, NULL, NULL);

    return peer >= 0 && write(peer, "x", 1) == 1;
}

static void keeps_accepting_on_sockets_that_are_there(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX}; /* an abstract name that the kernel picks */
    socklen_t size = sizeof(address);
    int caller = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    listening = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(connect(caller, (struct sockaddr *)&address, size), 0);
    assert_int_equal(confined(AEGIS_CONFINE_NETWORK | AEGIS_CONFINE_EXEC, an_old_socket_still_accepts), 0);
    close(caller);
    close(listening);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_up_the_network),
        cmocka_unit_test(gives_up_processes_but_not_threads),
        cmocka_unit_test(gives_up_files),
        cmocka_unit_test(gives_up_looking_into_others),
        cmocka_unit_test(drops_privileges_whatever_is_filtered),
        cmocka_unit_test(keeps_accepting_on_sockets_that_are_there),
    };

    aegis_log_open("test", AEGIS_LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
