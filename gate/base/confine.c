#include "gate/base/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <sched.h>
#include <seccomp.h>
#endif

#include "gate/base/log.h"

#if defined(AEGIS_SANITIZED) || defined(__SANITIZE_ADDRESS__)
/* At exit the leak checker starts a process that traces this one, and reports read files. */
enum { SANITIZER_NEEDS = AEGIS_CONFINE_EXEC | AEGIS_CONFINE_FILES | AEGIS_CONFINE_DEBUG };
#else
enum { SANITIZER_NEEDS = 0 };
#endif

static bool drop_capabilities(struct aegis_error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    /* Without CAP_SETPCAP the bounding set stays, which is harmless: with no-new-privileges nothing is gained
     * from it. */
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) != 0)
        return aegis_error_set(error, "capabilities could not be dropped: %s", strerror(errno));
    return true;
}

static bool drop_privileges(struct aegis_error *error)
{
    const struct rlimit none = {0, 0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return aegis_error_set(error, "no-new-privileges could not be set: %s", strerror(errno));
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return aegis_error_set(error, "core dumps could not be turned off: %s", strerror(errno));
    if (!drop_capabilities(error))
        return false;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return aegis_error_set(error, "the process could not be made undumpable: %s", strerror(errno));
    return true;
}

#ifdef HAVE_SECCOMP

/* A call that is refused under any of the bits in `what`. */
struct refusal {
    unsigned what;
    const char *call;
};

enum {
    NETWORK = AEGIS_CONFINE_NETWORK,
    EXEC = AEGIS_CONFINE_EXEC,
    FILES = AEGIS_CONFINE_FILES,
    DEBUG = AEGIS_CONFINE_DEBUG,
    ANY = NETWORK | EXEC | FILES | DEBUG,
};

/* By name, since no architecture has all of them. clone is not among them: it is judged by its flags. */
static const struct refusal refusals[] = {
    /* One ring submits any of the calls below past a filter. */
    {ANY, "io_uring_setup"},
    {ANY, "io_uring_enter"},
    {ANY, "io_uring_register"},

    {NETWORK, "socket"},
    {NETWORK, "connect"},
    {NETWORK, "bind"},
    {NETWORK, "listen"},

    {EXEC, "execve"},
    {EXEC, "execveat"},
    {EXEC, "fork"},
    {EXEC, "vfork"},

    {FILES, "open"},
    {FILES, "openat"},
    {FILES, "openat2"},
    {FILES, "creat"},
    {FILES, "open_by_handle_at"},
    {FILES, "mknod"},
    {FILES, "mknodat"},
    {FILES, "mkdir"},
    {FILES, "mkdirat"},
    {FILES, "rmdir"},
    {FILES, "unlink"},
    {FILES, "unlinkat"},
    {FILES, "rename"},
    {FILES, "renameat"},
    {FILES, "renameat2"},
    {FILES, "link"},
    {FILES, "linkat"},
    {FILES, "symlink"},
    {FILES, "symlinkat"},
    {FILES, "truncate"},
    {FILES, "truncate64"},
    {FILES, "chmod"},
    {FILES, "fchmodat"},
    {FILES, "fchmodat2"},
    {FILES, "chown"},
    {FILES, "lchown"},
    {FILES, "fchownat"},
    {FILES, "chroot"},
    {FILES, "pivot_root"},
    {FILES, "mount"},
    {FILES, "umount2"},
    {FILES, "open_tree"},
    {FILES, "fsopen"},

    {DEBUG, "ptrace"},
    {DEBUG, "process_vm_readv"},
    {DEBUG, "process_vm_writev"},
    {DEBUG, "pidfd_getfd"},
    {DEBUG, "kcmp"},
    {DEBUG, "perf_event_open"},
    {DEBUG, "bpf"},
};

static int refuse_calls(scmp_filter_ctx filter, unsigned what)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        int call =
            (refusals[i].what & what) != 0 ? seccomp_syscall_resolve_name(refusals[i].call) : __NR_SCMP_ERROR;
        int failed = call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
        if (failed != 0)
            return failed;
    }
    return 0;
}

/* Threads stay possible. clone3 hides its flags in memory, so it "does not exist"; libc then takes clone. */
static int refuse_processes(scmp_filter_ctx filter)
{
    int failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    return failed != 0 ? failed : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static bool install_filter(unsigned what, struct aegis_error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int failed = filter == NULL ? -ENOMEM : refuse_calls(filter, what);

    if (failed == 0 && (what & AEGIS_CONFINE_EXEC) != 0)
        failed = refuse_processes(filter);
    if (failed == 0)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return failed == 0 || aegis_error_set(error, "system calls could not be filtered: %s", strerror(-failed));
}

#else

static bool install_filter(unsigned what, struct aegis_error *error)
{
    (void)what;
    (void)error;
    aegis_log(AEGIS_LOG_WARNING, "built without libseccomp: system calls are not filtered");
    return true;
}

#endif

bool aegis_confine(unsigned what, struct aegis_error *error)
{
    if (!drop_privileges(error))
        return false;
    if ((what & SANITIZER_NEEDS) != 0)
        aegis_log(AEGIS_LOG_WARNING, "built with sanitizers: exec, files and tracing are not filtered");
    what &= ~(unsigned)SANITIZER_NEEDS;
    return what == 0 || install_filter(what, error);
}
