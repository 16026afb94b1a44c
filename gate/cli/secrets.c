#include "gate/cli/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define KEY_INTERRUPT 3
#define KEY_END       4
#define KEY_CLEAR     21

static bool file_is_private(const char *path, int fd, struct aegis_error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return aegis_error_set(error, "%s: %s", path, strerror(errno));
    if (S_ISREG(status.st_mode) && (status.st_mode & 077) != 0)
        return aegis_error_set(error, "%s: its mode is %03o, expected 600 (nobody else may read it)", path,
                               (unsigned)status.st_mode & 0777);
    return true;
}

static struct aegis_secret *read_descriptor(const char *text, struct aegis_error *error)
{
    char *end = NULL;
    errno = 0;
    long fd = strtol(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || fd > 65535) {
        aegis_error_set(error, "'%s' is not the number of a descriptor", text);
        return NULL;
    }
    return aegis_secret_read((int)fd, AEGIS_CLI_SECRET_LIMIT, error);
}

static struct aegis_secret *read_file(const char *path, struct aegis_error *error)
{
    /* A process that may not be looked into cannot open its own /dev/fd either. */
    if (strncmp(path, "/dev/fd/", 8) == 0)
        return read_descriptor(path + 8, error);
    if (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdin") == 0)
        return read_descriptor("0", error);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        aegis_error_set(error, "%s: %s", path, strerror(errno));
        return NULL;
    }
    struct aegis_secret *secret = NULL;
    if (file_is_private(path, fd, error)) {
        secret = aegis_secret_read(fd, AEGIS_CLI_SECRET_LIMIT, error);
        if (secret == NULL)
            aegis_error_prefix(error, "%s", path);
    }
    close(fd);
    return secret;
}

struct aegis_secret *aegis_cli_secret_read(const struct aegis_cli_source *source, struct aegis_error *error)
{
    return source->file != NULL ? read_file(source->file, error) : read_descriptor(source->fd, error);
}

/* Takes the last character away, all bytes of it. */
static size_t without_last(uint8_t *bytes, size_t size)
{
    while (size > 0 && (bytes[--size] & 0xc0) == 0x80)
        bytes[size] = 0;
    bytes[size] = 0;
    return size;
}

/* Reads keys until the line ends; false when the person gave up. The terminal delivers every key at once. */
static bool read_keys(int fd, struct aegis_secret *secret)
{
    uint8_t *bytes = aegis_secret_bytes(secret);
    size_t size = 0;
    for (;;) {
        uint8_t key = 0;
        ssize_t got = read(fd, &key, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || key == KEY_INTERRUPT || key == KEY_END)
            return false;
        if (key == '\n' || key == '\r')
            break;
        if (key == 0x7f || key == 0x08)
            size = without_last(bytes, size);
        else if (key == KEY_CLEAR)
            size = 0;
        else if (key >= 0x20 && size < aegis_secret_size(secret))
            bytes[size++] = key;
    }
    aegis_secret_cut(secret, size);
    return true;
}

static struct aegis_secret *ask_once(int fd, const char *prompt, struct aegis_error *error)
{
    struct termios before;
    if (tcgetattr(fd, &before) != 0) {
        aegis_error_set(error, "the terminal: %s", strerror(errno));
        return NULL;
    }
    /* Signals are off as well, so that nothing can leave the terminal without its echo. */
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    tcsetattr(fd, TCSAFLUSH, &silent);
    struct aegis_secret *secret = aegis_secret_new(AEGIS_CLI_SECRET_LIMIT);
    dprintf(fd, "%s: ", prompt);
    if (!read_keys(fd, secret)) {
        aegis_error_set(error, "given up");
        aegis_secret_free(&secret);
    }
    dprintf(fd, "\n");
    tcsetattr(fd, TCSAFLUSH, &before);
    return secret;
}

static struct aegis_secret *ask_twice(int fd, const char *what, struct aegis_error *error)
{
    struct aegis_secret *first = ask_once(fd, what, error);
    struct aegis_secret *second = first != NULL ? ask_once(fd, "once more", error) : NULL;
    if (second != NULL && !aegis_secret_equal(first, second)) {
        aegis_error_set(error, "the two were not the same");
        aegis_secret_free(&first);
    }
    if (second == NULL)
        aegis_secret_free(&first);
    aegis_secret_free(&second);
    return first;
}

struct aegis_secret *aegis_cli_secret_ask(const char *what, bool confirm, struct aegis_error *error)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        aegis_error_set(error, "there is no terminal to ask for the %s on", what);
        return NULL;
    }
    struct aegis_secret *secret = confirm ? ask_twice(fd, what, error) : ask_once(fd, what, error);
    close(fd);
    return secret;
}

struct aegis_secret *aegis_cli_passphrase(const struct aegis_cli_source *source, bool confirm,
                                          struct aegis_error *error)
{
    bool given = source->file != NULL || source->fd != NULL;
    struct aegis_secret *secret =
        given ? aegis_cli_secret_read(source, error) : aegis_cli_secret_ask("passphrase", confirm, error);
    if (secret == NULL && !given)
        aegis_error_prefix(error, "passphrase (also by --passphrase-file or --passphrase-fd)");
    if (secret != NULL && confirm && aegis_secret_size(secret) == 0) {
        aegis_error_set(error, "the passphrase is empty: whoever has the wallet's file could open it");
        aegis_secret_free(&secret);
    }
    return secret;
}
