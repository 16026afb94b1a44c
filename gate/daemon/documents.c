#include "gate/daemon/documents.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/judge/document.h"

enum { DOCUMENT_LIMIT = 1 << 20 };

/* Aegis's own files in the home folder and the ids under which they become policies
 * (gate/judge/document.h). */
static const struct {
    const char *file;
    const char *id;
} own[] = {
    {"budget-config.json", "aegis-budget"},
    {"guard-config.json", "aegis-guard"},
    {"deadswitch-config.json", "aegis-deadswitch"},
};

static struct aegis_document *read_document(const char *path, json_t **json, struct aegis_error *error)
{
    size_t size;
    char *text = aegis_file_read(path, DOCUMENT_LIMIT, AEGIS_FILE_TRUSTED, &size, error);
    struct aegis_document *document = NULL;

    *json = NULL;
    if (text == NULL)
        return NULL;
    *json = aegis_json_parse(text, size, error);
    if (*json == NULL)
        aegis_error_prefix(error, "%s", path);
    else
        document = aegis_document_new(path, *json, error);
    free(text);
    return document;
}

/* The good document with this id, or NULL. */
static json_t *find(const struct aegis_documents *documents, const char *id)
{
    json_t *row;
    size_t i;

    json_array_foreach(documents->good, i, row)
    {
        if (strcmp(aegis_json_text(row, "id", ""), id) == 0)
            return row;
    }
    return NULL;
}

static void complain(struct aegis_documents *documents, const char *id, const char *path, const char *problem)
{
    json_array_append_new(documents->broken,
                          json_pack("{s:s,s:s,s:s}", "id", id, "path", path, "problem", problem));
}

/* The id that a file's name promises: that of ours, else what stands before `.json`. The caller frees. */
static char *promised_id(const char *path)
{
    const char *name = strrchr(path, '/') + 1;

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(name, own[i].file) == 0)
            return aegis_strdup(own[i].id);
    return aegis_format("%.*s", (int)(strlen(name) - strlen(".json")), name);
}

static void complain_unread(struct aegis_documents *documents, const char *path, const json_t *json,
                            const char *problem)
{
    char *promised = promised_id(path);

    complain(documents, aegis_json_text(json, "id", promised), path, problem);
    free(promised);
}

/* Rows carry id and hash while the list grows; finish takes them out again. */
static void add(struct aegis_documents *documents, const char *path)
{
    struct aegis_error error = {""};
    json_t *json, *other;
    struct aegis_document *document = read_document(path, &json, &error);

    if (document == NULL) {
        complain_unread(documents, path, json, error.text);
    } else if ((other = find(documents, document->id)) == NULL) {
        json_array_append_new(documents->good, json_pack("{s:s,s:O,s:s,s:s}", "path", path, "document", json,
                                                         "id", document->id, "hash", document->hash));
    } else if (strcmp(aegis_json_text(other, "hash", ""), document->hash) != 0) {
        aegis_error_set(&error, "%s: id: %s is also the id of %s, which says something else", path,
                        document->id, aegis_json_text(other, "path", ""));
        complain(documents, document->id, path, error.text);
        json_object_set_new(other, "ambiguous", json_true());
    }
    aegis_document_free(&document);
    json_decref(json);
}

static int is_json(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

static bool add_folder(struct aegis_documents *documents, const char *parent, struct aegis_error *error)
{
    struct dirent **entries = NULL;
    char *folder = aegis_format("%s/policies", parent);
    int count = scandir(folder, &entries, is_json, alphasort);
    bool done = count >= 0 || errno == ENOENT;

    if (!done)
        aegis_error_set(error, "%s: cannot be read: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        char *path = aegis_format("%s/%s", folder, entries[i]->d_name);
        add(documents, path);
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(folder);
    return done;
}

static void add_own(struct aegis_documents *documents, const char *home)
{
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        char *path = aegis_format("%s/%s", home, own[i].file);
        if (access(path, F_OK) == 0) {
            json_array_append_new(documents->gates, json_string(own[i].id));
            add(documents, path);
        }
        free(path);
    }
}

static void finish(struct aegis_documents *documents)
{
    for (size_t i = json_array_size(documents->good); i > 0; i--) {
        json_t *row = json_array_get(documents->good, i - 1);
        if (json_object_get(row, "ambiguous") != NULL)
            json_array_remove(documents->good, i - 1);
    }
}

bool aegis_documents_load(const char *home, const char *vault, struct aegis_documents *out,
                          struct aegis_error *error)
{
    *out = (struct aegis_documents){json_array(), json_array(), json_array()};
    add_own(out, home);
    if (!add_folder(out, vault, error) || !add_folder(out, home, error)) {
        aegis_documents_clear(out);
        return false;
    }
    finish(out);
    return true;
}

void aegis_documents_clear(struct aegis_documents *documents)
{
    json_decref(documents->good);
    json_decref(documents->gates);
    json_decref(documents->broken);
    *documents = (struct aegis_documents){NULL, NULL, NULL};
}

bool aegis_documents_have(const struct aegis_documents *documents, const char *id)
{
    return find(documents, id) != NULL;
}

bool aegis_documents_have_broken(const struct aegis_documents *documents, const char *id)
{
    json_t *row;
    size_t i;

    json_array_foreach(documents->broken, i, row)
    {
        if (strcmp(aegis_json_text(row, "id", ""), id) == 0)
            return true;
    }
    return false;
}

void aegis_documents_break(struct aegis_documents *documents, size_t index, const char *problem)
{
    const json_t *row = json_array_get(documents->good, index);

    complain(documents, aegis_json_text(row, "id", ""), aegis_json_text(row, "path", ""), problem);
    json_array_remove(documents->good, index);
}

static bool is_among(const json_t *paths, const json_t *path)
{
    json_t *other;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)paths, i, other)
    {
        if (json_equal(other, path))
            return true;
    }
    return false;
}

static void leave_out(json_t *rows, const json_t *paths)
{
    for (size_t i = json_array_size(rows); i > 0; i--)
        if (is_among(paths, json_object_get(json_array_get(rows, i - 1), "path")))
            json_array_remove(rows, i - 1);
}

void aegis_documents_leave_out(struct aegis_documents *documents, const json_t *paths)
{
    leave_out(documents->good, paths);
    leave_out(documents->broken, paths);
}
