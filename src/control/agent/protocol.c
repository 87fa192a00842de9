/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/agent/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- writing --------------------------------------------------------------------------------------------- */

size_t agent_frame_begin(struct buffer *buffer, enum agent_type type)
{
    const size_t begin = buffer->size;
    buffer_append_integer(buffer, 0, 4);
    buffer_append_integer(buffer, type, 2);
    buffer_append_integer(buffer, 0, 2);
    return begin;
}

void agent_frame_end(struct buffer *buffer, size_t begin)
{
    if (!buffer->failed)
        buffer_patch_integer(buffer, begin, buffer->size - begin - AGENT_HEADER, 4);
}

void agent_put_string(struct buffer *buffer, const char *text)
{
    buffer_append_integer(buffer, strlen(text), 4);
    buffer_append(buffer, text, strlen(text));
}

void agent_put_bytes(struct buffer *buffer, enum agent_type type, const void *data, size_t size)
{
    const size_t begin = agent_frame_begin(buffer, type);
    buffer_append(buffer, data, size);
    agent_frame_end(buffer, begin);
}

static void put_words(struct buffer *buffer, char *const *words)
{
    uint32_t count = 0;
    while (words && words[count])
        count++;
    buffer_append_integer(buffer, count, 4);
    for (uint32_t i = 0; i < count; i++)
        agent_put_string(buffer, words[i]);
}

void agent_put_exec(struct buffer *buffer, const struct agent_exec *exec)
{
    const size_t begin = agent_frame_begin(buffer, AGENT_EXEC);
    buffer_append_integer(buffer, exec->flags, 4);
    buffer_append_integer(buffer, exec->rows, 2);
    buffer_append_integer(buffer, exec->columns, 2);
    agent_put_string(buffer, exec->user);
    agent_put_string(buffer, exec->directory);
    put_words(buffer, exec->arguments);
    put_words(buffer, exec->environment);
    agent_frame_end(buffer, begin);
}

void agent_put_identity(struct buffer *buffer, const struct agent_identity *identity)
{
    const size_t begin = agent_frame_begin(buffer, AGENT_IDENTITY);
    buffer_append_integer(buffer, identity->time, 8);
    agent_put_string(buffer, identity->host_name);
    agent_put_string(buffer, identity->machine_id);
    buffer_append_integer(buffer, identity->entropy_size, 4);
    buffer_append(buffer, identity->entropy, identity->entropy_size);
    buffer_append_integer(buffer, identity->card_count, 4);
    buffer_append(buffer, identity->cards, identity->card_count * sizeof identity->cards[0]);
    agent_frame_end(buffer, begin);
}

void agent_put_failure(struct buffer *buffer, int error, const char *reason)
{
    const size_t begin = agent_frame_begin(buffer, AGENT_FAILED);
    buffer_append_integer(buffer, (uint32_t)error, 4);
    agent_put_string(buffer, reason);
    agent_frame_end(buffer, begin);
}

/* -- reading --------------------------------------------------------------------------------------------- */

int agent_frame_find(const uint8_t *data, size_t size, struct agent_frame *frame)
{
    struct reader header = {.data = data, .left = size};
    if (size < AGENT_HEADER)
        return 0;
    const uint64_t length = reader_take_integer(&header, 4);
    frame->type = (enum agent_type)reader_take_integer(&header, 2);
    if (length > AGENT_FRAME_MAX || reader_take_integer(&header, 2))
        return -EPROTO;
    if (header.left < length)
        return 0;
    frame->content = (struct reader){.data = header.data, .left = length};
    return (int)(AGENT_HEADER + length);
}

char *agent_take_string(struct reader *reader)
{
    const uint64_t length = reader_take_integer(reader, 4);
    const uint8_t *bytes = reader_take(reader, length);
    char *text = bytes && !memchr(bytes, 0, length) ? malloc(length + 1) : NULL;
    if (!text) {
        reader->failed = true;
        return NULL;
    }
    memcpy(text, bytes, length);
    text[length] = '\0';
    return text;
}

/* Ends in NULL. NULL: there are not so many, or too many, or no memory. */
static char **take_words(struct reader *reader)
{
    const uint64_t count = reader_take_integer(reader, 4);
    char **words = count <= AGENT_WORDS_MAX ? calloc(count + 1, sizeof *words) : NULL;
    if (!words)
        reader->failed = true;
    for (uint64_t i = 0; !reader->failed && i < count; i++)
        words[i] = agent_take_string(reader);
    return words;
}

int agent_take_exec(struct reader *reader, struct agent_exec_words *words)
{
    *words = (struct agent_exec_words){0};
    words->exec.flags = (unsigned)reader_take_integer(reader, 4);
    words->exec.rows = (uint16_t)reader_take_integer(reader, 2);
    words->exec.columns = (uint16_t)reader_take_integer(reader, 2);
    words->exec.user = words->user = agent_take_string(reader);
    words->exec.directory = words->directory = agent_take_string(reader);
    words->exec.arguments = words->arguments = take_words(reader);
    words->exec.environment = words->environment = take_words(reader);
    if (!reader->failed && !reader->left && words->arguments[0])
        return 0;
    agent_exec_free(words);
    return -EPROTO;
}

static void free_words(char **words)
{
    for (char **word = words; word && *word; word++)
        free(*word);
    free(words);
}

void agent_exec_free(struct agent_exec_words *words)
{
    free(words->user);
    free(words->directory);
    free_words(words->arguments);
    free_words(words->environment);
    *words = (struct agent_exec_words){0};
}

/* A string of at most so many bytes, all of them of this set. */
static void take_text(struct reader *reader, char *text, size_t most, const char *set)
{
    char *taken = agent_take_string(reader);
    if (taken && strlen(taken) <= most && taken[strspn(taken, set)] == '\0')
        strcpy(text, taken);
    else
        reader->failed = true;
    free(taken);
}

/* So many things as it says, at most. */
static unsigned take_array(struct reader *reader, void *to, size_t size, unsigned most)
{
    const uint64_t count = reader_take_integer(reader, 4);
    const uint8_t *bytes = count <= most ? reader_take(reader, count * size) : NULL;
    if (!bytes) {
        reader->failed = true;
        return 0;
    }
    memcpy(to, bytes, count * size);
    return (unsigned)count;
}

int agent_take_identity(struct reader *reader, struct agent_identity *identity)
{
    *identity = (struct agent_identity){.time = reader_take_integer(reader, 8)};
    take_text(reader, identity->host_name, AGENT_NAME_MAX,
              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-");
    take_text(reader, identity->machine_id, AGENT_ID_DIGITS, "0123456789abcdef");
    identity->entropy_size = take_array(reader, identity->entropy, 1, AGENT_ENTROPY_MAX);
    identity->card_count = take_array(reader, identity->cards, sizeof identity->cards[0], AGENT_CARDS_MAX);
    const size_t digits = strlen(identity->machine_id);
    const bool good = !digits || digits == AGENT_ID_DIGITS;
    return reader->failed || reader->left || !good ? -EPROTO : 0;
}
