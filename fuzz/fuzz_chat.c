/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chat template, then a NUL, then the content of a message: the template is read and run over a conversation, twice. Whatever it does, it ends
 * within its limits, and both runs say the same.
 */
#include "fuzz.h"
#include "text/text.h"

static pare_status render(const pare_chat *chat, const char *content, pare_str *out, pare_err *err)
{
    const pare_chat_message messages[] = { { "system", "Be \"kind\"." }, { "user", content }, { "assistant", "<think>\na\n</think> b" }, { "user", "" } };
    return pare_chat_render(chat, messages, 4, content[0] != 'x', out, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_err err = {0};
    pare_chat *chat = NULL;
    pare_str out = {0}, again = {0};
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    const size_t n = end ? (size_t)(end - data) : size, rest = end ? size - n - 1 : 0;
    char *content = malloc(rest + 1);
    FUZZ_CHECK(content);
    if (rest) memcpy(content, end + 1, rest);
    content[rest] = 0;
    pare_status st = pare_chat_parse((const char *)data, n, "x", &chat, &err);
    if (st != PARE_OK) {
        fuzz_check_error(st, &err);
        FUZZ_CHECK(!chat);
    } else {
        FUZZ_CHECK(pare_chat_set(chat, "bos_token", "<s>", &err) == PARE_OK);
        st = render(chat, content, &out, &err);
        FUZZ_CHECK(st == PARE_OK || (st == err.code && err.text[0] && (st == PARE_ERR_DATA || st == PARE_ERR_UNSUPPORTED)));
        FUZZ_CHECK(st == PARE_OK || !out.n);
        if (!memmem(data, n, "strftime_now", 12)) {
            FUZZ_CHECK(render(chat, content, &again, &err) == st);
            FUZZ_CHECK(again.n == out.n && (!out.n || !memcmp(again.at, out.at, out.n)));
        }
    }
    pare_str_clear(&out);
    pare_str_clear(&again);
    pare_chat_free(chat);
    free(content);
    return 0;
}
