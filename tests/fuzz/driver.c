/* Runs a fuzz program without a fuzzing engine, so that the ordinary check tries it too: the corpus as it is,
 * then mutations of it for a bounded number of rounds.
 *
 *     tests/fuzz/try_NAME [ROUNDS [SEED]]
 *
 * The corpus is tests/fuzz/corpus/NAME under $srcdir. The seed is printed; the input of a round is in memory
 * when an assertion ends the program, and the same seed leads to it again. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { ROUNDS = 100000, INPUT_MAX = 8192, SEEDS_MAX = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t *bytes;
    size_t size;
};

struct corpus {
    struct input inputs[SEEDS_MAX];
    size_t count;
};

static uint64_t dice(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static struct input read_file(const char *path)
{
    struct stat about;
    struct input input = {0};
    FILE *stream = fopen(path, "rb");
    if (stream == NULL || fstat(fileno(stream), &about) != 0 || !S_ISREG(about.st_mode)) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    input.bytes = malloc((size_t)about.st_size + 1);
    input.size = fread(input.bytes, 1, (size_t)about.st_size, stream);
    fclose(stream);
    return input;
}

static void read_corpus(struct corpus *corpus, const char *folder)
{
    struct dirent **names;
    int count = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[2048];
        if (names[i]->d_name[0] != '.' && corpus->count < SEEDS_MAX) {
            snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
            corpus->inputs[corpus->count++] = read_file(path);
        }
        free(names[i]);
    }
    if (count >= 0) {
        free(names);
    }
    if (corpus->count == 0) {
        fprintf(stderr, "%s holds no inputs\n", folder);
        exit(1);
    }
}

/* Takes `count` bytes away at `at` and puts `size` others there. */
static size_t splice(uint8_t *input, size_t length, size_t at, size_t count, const uint8_t *bytes,
                     size_t size)
{
    count = count < length - at ? count : length - at;
    if (length - count + size > INPUT_MAX) {
        return length;
    }
    memmove(input + at + size, input + at + count, length - at - count);
    memmove(input + at, bytes, size);
    return length - count + size;
}

static size_t mutate(uint8_t *input, size_t length, const struct corpus *corpus, uint64_t *seed)
{
    static const char *const tokens[] = {"\r\n",
                                         "\n",
                                         "\r",
                                         "\r\n\r\n",
                                         " ",
                                         ":",
                                         "\t",
                                         ",",
                                         ";",
                                         "0",
                                         "\"",
                                         "\\",
                                         "{",
                                         "}",
                                         "chunked",
                                         "-1",
                                         "%",
                                         "\xc3\xa9",
                                         "18446744073709551616"};
    uint8_t byte[1] = {(uint8_t)dice(seed)};
    size_t at = length > 0 ? dice(seed) % (length + 1) : 0;
    const struct input *other = &corpus->inputs[dice(seed) % corpus->count];
    const char *token = tokens[dice(seed) % (sizeof(tokens) / sizeof(tokens[0]))];
    size_t from = other->size > 0 ? dice(seed) % other->size : 0;
    size_t some = 1 + dice(seed) % 32;
    some = some < other->size - from ? some : other->size - from;
    switch (dice(seed) % 7) {
    case 0:
        return splice(input, length, at, 1, byte, 1);
    case 1:
        return splice(input, length, at, 0, byte, 1);
    case 2:
        return splice(input, length, at, 1 + dice(seed) % 8, byte, 0);
    case 3:
        return splice(input, length, at, dice(seed) % 2, (const uint8_t *)token, strlen(token));
    case 4:
        return splice(input, length, at, dice(seed) % 16, other->bytes + from, some);
    case 5:
        return at < length ? splice(input, length, at, 0, input + at, length - at < 64 ? length - at : 64)
                           : length;
    default:
        input[at < length ? at : 0] ^= (uint8_t)(1U << dice(seed) % 8);
        return length;
    }
}

/* Each input in an allocation of its own, so that a sanitizer sees what is read beyond it. */
static void try(const uint8_t *input, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    memcpy(copy, input, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int count, char **arguments)
{
    static struct corpus corpus;
    static uint8_t input[INPUT_MAX + 1];
    char folder[1024];
    const char *root = getenv("srcdir") != NULL ? getenv("srcdir") : ".";
    const char *name = strrchr(arguments[0], '/') != NULL ? strrchr(arguments[0], '/') + 1 : arguments[0];
    unsigned long rounds = count > 1 ? strtoul(arguments[1], NULL, 10) : ROUNDS;
    uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 0) : (uint64_t)time(NULL) * 2654435761U | 1;
    snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s", root, name + strlen("try_"));
    read_corpus(&corpus, folder);
    printf("%s: %zu inputs, %lu rounds, seed %llu\n", name, corpus.count, rounds, (unsigned long long)seed);
    fflush(stdout);
    for (size_t i = 0; i < corpus.count; i++) {
        try(corpus.inputs[i].bytes, corpus.inputs[i].size);
    }
    for (unsigned long round = 0; round < rounds; round++) {
        const struct input *first = &corpus.inputs[dice(&seed) % corpus.count];
        size_t size = first->size < INPUT_MAX ? first->size : INPUT_MAX;
        memcpy(input, first->bytes, size);
        for (uint64_t i = 1 + dice(&seed) % 6; i > 0; i--) {
            size = mutate(input, size, &corpus, &seed);
        }
        try(input, size);
    }
    for (size_t i = 0; i < corpus.count; i++) {
        free(corpus.inputs[i].bytes);
    }
    return 0;
}
