/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MODEL -> path. An existing path wins; otherwise "owner/name" is looked up in the standard Hub cache:
 *   <cache>/models--owner--name/refs/<revision>        holds a commit hash
 *   <cache>/models--owner--name/snapshots/<commit>/    holds the files
 * Nothing is downloaded.
 */
#include <string.h>

#include "flow/flow.h"

/* "owner/name" with an optional "@revision"; both parts of plain characters. */
static bool is_hub_id(const char *text) {
    int slashes = 0;
    if (!text[0] || text[0] == '/' || text[0] == '.') return false;
    for (const char *p = text; *p; p++) {
        const bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-_./@", *p);
        if (!plain) return false;
        slashes += *p == '/';
    }
    return slashes == 1 && !strstr(text, "..");
}

static void copy_span(char *dst, size_t cap, const char *src, size_t n) {
    if (n >= cap) n = cap - 1;
    memcpy(dst, src, n);
    dst[n] = 0;
}

static pare_status snapshot_of(const char *repo, const char *revision, const char *model, char **path, pare_err *err) {
    pare_status st = PARE_OK;
    pare_str ref = {0}, snap = {0};
    char *commit = NULL;
    size_t n = 0;
    pare_str_printf(&ref, "%s/refs/%s", repo, revision);
    if (ref.failed) PARE_FAIL(err, PARE_ERR_MEMORY, "%s: out of memory", model);
    if (pare_read_file(ref.at, 4096, &commit, &n, NULL) == PARE_OK)
        while (n && (commit[n - 1] == '\n' || commit[n - 1] == ' ')) commit[--n] = 0;
    pare_str_printf(&snap, "%s/snapshots/%s", repo, commit && n ? commit : revision);
    if (snap.failed) PARE_FAIL(err, PARE_ERR_MEMORY, "%s: out of memory", model);
    if (!pare_path_is_folder(snap.at))
        PARE_FAIL(err, PARE_ERR_IO, "%s: in the Hub cache, but revision '%s' has no snapshot there", model, revision);
    *path = pare_str_take(&snap);
out:
    pare_str_clear(&ref);
    pare_str_clear(&snap);
    pare_dealloc(commit);
    return st;
}

pare_status pare_find_model(const char *model, const char *hub_cache, char **path, pare_err *err) {
    char owner[256], name[256], revision[128] = "main";
    pare_str repo = {0};
    pare_status st;
    if (pare_path_exists(model)) {
        *path = pare_strdup(model);
        return *path ? PARE_OK : pare_no_memory(err, "path", strlen(model));
    }
    if (!hub_cache || !is_hub_id(model) || strlen(model) > 250) {
        st = pare_fail(err, PARE_ERR_IO, "%s: no such file or folder", model);
        return is_hub_id(model) ? pare_hint(err, "not in a local Hub cache either") : st;
    }
    const char *slash = strchr(model, '/'), *at = strchr(slash, '@');
    copy_span(owner, sizeof owner, model, (size_t)(slash - model));
    copy_span(name, sizeof name, slash + 1, at ? (size_t)(at - slash - 1) : strlen(slash + 1));
    if (at) copy_span(revision, sizeof revision, at + 1, strlen(at + 1));
    pare_str_printf(&repo, "%s/models--%s--%s", hub_cache, owner, name);
    if (repo.failed)
        st = pare_no_memory(err, "path", 0);
    else if (!pare_path_is_folder(repo.at)) {
        st = pare_fail(err, PARE_ERR_IO, "%s: no such file or folder, and not in the Hub cache %s", model, hub_cache);
        pare_hint(err, "fetch it with the Hub's own client first");
    } else
        st = snapshot_of(repo.at, revision, model, path, err);
    pare_str_clear(&repo);
    return st;
}
