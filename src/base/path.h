/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and folders. Returned strings are heap: pare_dealloc. */
#ifndef PARE_BASE_PATH_H
#define PARE_BASE_PATH_H
#include "base/alloc.h"
char *pare_path_join(const char *folder, const char *name);   /* NULL when memory is gone */
const char *pare_path_name(const char *path);                 /* last component, borrowed */
char *pare_path_folder(const char *path);                     /* "." when there is none */
bool pare_path_exists(const char *path);
bool pare_path_is_folder(const char *path);
int64_t pare_file_size(const char *path);                     /* -1 when absent */
pare_status pare_make_folder(const char *path, pare_err *err);/* like mkdir -p */
pare_status pare_remove_tree(const char *path, pare_err *err);
pare_status pare_copy_file(const char *from, const char *to, char hex[65], pare_err *err); /* fsynced; hex may be NULL */
typedef struct pare_names { char **at; size_t n; } pare_names;
pare_status pare_list_folder(const char *path, pare_names *out, pare_err *err); /* sorted, regular files and links to them only */
void pare_names_clear(pare_names *names);
/* True for a plain relative name without "..", absolute parts, NUL or control bytes: what an index may name. */
bool pare_path_is_safe(const char *name);
#endif
