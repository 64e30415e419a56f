/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: opening. */
#include "text/text.h"

pare_status pare_chat_open(const char *folder, pare_chat **out, pare_err *err)
{
    *out = NULL;
    return pare_fail(err, PARE_ERR_IO, "%s: has no chat template", folder);
}

void pare_chat_free(pare_chat *chat) { (void)chat; }

pare_status pare_chat_render(const pare_chat *chat, const pare_chat_message *messages, size_t n, bool add_generation_prompt, pare_str *out, pare_err *err)
{
    (void)chat, (void)messages, (void)n, (void)add_generation_prompt, (void)out;
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "chat templates are not run");
}
