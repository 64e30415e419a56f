/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of methods (methods.def). */
#include "method/method.h"

#define PARE_METHOD(descriptor) extern const pare_method descriptor;
#include "method/methods.def"
#undef PARE_METHOD

static const pare_method *const all[] = {
#define PARE_METHOD(descriptor) &descriptor,
#include "method/methods.def"
#undef PARE_METHOD
    NULL,
};

const pare_method *const *pare_methods(void) { return all; }

const pare_method *pare_method_find(const char *name)
{
    for (size_t i = 0; all[i] != NULL; i++)
        if (pare_str_same_nocase(all[i]->name, name)) return all[i];
    return NULL;
}
