/* SPDX-License-Identifier: MIT */
#include "bridge/history/export/export.h"
#include "bridge/history/export/statistics.h"

#include "bridge/history/query/reader.h"
#include "bridge/history/query/readings.h"
#include "bridge/history/query/time_text.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one export works with. */
struct export
{
    const struct history_export_options *options;
    int64_t from_ms;
    int64_t to_ms;
    FILE *out;
    bool failed;      /* the output takes no more */
    bool continued;   /* the output has rows already */
    bool narrow;      /* they are of a version without the last column */
    int64_t last_ms;  /* of the last of them */
    int64_t last_had; /* so many rows of that moment it has */
};

static bool put(struct export *export, const struct text *text)
{
    if (text->cut || fwrite(text->buffer, 1, text->length, export->out) != text->length)
        export->failed = true;
    return !export->failed;
}

/* ---- readings ---- */

/* A value in thousandths, or unknown. */
struct milli {
    bool known;
    int64_t value;
};

static struct milli by_factor(const struct reading *reading, enum reading_field field, int64_t raw,
                              double factor)
{
    double value = (double)raw * 1000 / factor;
    bool known = (reading->present & field) != 0 && fabs(value) < 1e15;
    return (struct milli){known, known ? llround(value) : 0};
}

static struct milli frequency_of(const struct history_reading *row)
{
    const struct reading *reading = &row->reading;
    bool known = (reading->present & READING_FREQUENCY) != 0 && reading->frequency > 0;
    if (!known || row->kind == READING_OPENBEKEN)
        return (struct milli){known, reading->frequency};
    return (struct milli){true, llround(1e9 / (double)reading->frequency)}; /* from microseconds */
}

static void append_name(struct text *text, const char *name, bool json)
{
    if (json) {
        json_t *value = json_string(name);
        char *quoted memory_auto = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        json_decref(value);
        text_append(text, "%s", quoted == NULL ? "null" : quoted);
        return;
    }
    if (strpbrk(name, ",\"\r\n") == NULL) {
        text_append_plain(text, name);
        return;
    }
    text_append_plain(text, "\"");
    for (; *name != '\0'; name++)
        text_append(text, *name == '"' ? "\"\"" : "%c", *name);
    text_append_plain(text, "\"");
}

static void append_key(struct text *text, const char *key, bool json)
{
    text_append_plain(text, ",");
    if (!json)
        return;
    text_append_plain(text, "\"");
    text_append_plain(text, key);
    text_append_plain(text, "\":");
}

static void append_milli(struct text *text, const char *key, struct milli value, bool json)
{
    append_key(text, key, json);
    if (value.known)
        text_append_decimal(text, value.value, 3, 3, false);
    else if (json)
        text_append_plain(text, "null");
}

static void append_integer(struct text *text, const char *key, bool known, int64_t value, bool json)
{
    append_key(text, key, json);
    if (known)
        text_append_integer(text, value);
    else if (json)
        text_append_plain(text, "null");
}

static void append_kwh(struct text *text, const char *key, int64_t uwh, bool json)
{
    append_key(text, key, json);
    text_append_decimal(text, uwh, 9, 9, false);
}

static bool write_reading(void *context, const struct history_reading *row)
{
    struct export *export = context;
    bool json = export->options->format == HISTORY_EXPORT_JSONL;
    if (export->continued && row->reading.wall_ms == export->last_ms && export->last_had > 0) {
        export->last_had--;
        return true;
    }
    const struct reading *reading = &row->reading;
    int64_t sign = row->invert ? -1 : 1;
    char buffer[2048];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append_plain(&text, json ? "{\"time\":\"" : "");
    time_text_append(&text, reading->wall_ms);
    text_append_plain(&text, json ? "\"" : "");
    append_key(&text, "device", json);
    append_name(&text, row->device, json);
    append_key(&text, "channel", json);
    append_name(&text, row->channel, json);
    append_milli(&text, "voltage_v",
                 by_factor(reading, READING_VOLTAGE, reading->voltage, row->factors.voltage), json);
    append_milli(&text, "current_a",
                 by_factor(reading, READING_CURRENT, reading->current, row->factors.current), json);
    append_milli(&text, "power_w",
                 by_factor(reading, READING_POWER, sign * reading->power, row->factors.power),
                 json);
    append_milli(&text, "frequency_hz", frequency_of(row), json);
    append_integer(&text, "counter", (reading->present & READING_ENERGY) != 0, reading->energy,
                   json);
    append_integer(&text, "counts", true, row->imported_counts, json);
    append_integer(&text, "counts_produced", true, row->exported_counts, json);
    append_kwh(&text, "energy_kwh", row->imported_uwh, json);
    append_kwh(&text, "energy_produced_kwh", row->exported_uwh, json);
    if (!export->narrow)
        append_milli(&text, "energy_over_s",
                     (struct milli){row->counted_for_ms > 0, row->counted_for_ms}, json);
    text_append_plain(&text, json ? "}\n" : "\n");
    return put(export, &text);
}

#define NARROW_HEAD                                                                                \
    "time,device,channel,voltage_v,current_a,power_w,frequency_hz,counter,counts,"                 \
    "counts_produced,energy_kwh,energy_produced_kwh"
static const char csv_head[] = NARROW_HEAD ",energy_over_s\n";
static const char narrow_head[] = NARROW_HEAD "\n"; /* of earlier versions */

static enum status export_readings(struct export *export, struct error *error)
{
    if (export->options->format == HISTORY_EXPORT_CSV && !export->continued &&
        fputs(csv_head, export->out) < 0)
        export->failed = true;
    return history_readings(export->options->path, export->options->device,
                            export->options->channel, export->from_ms, export->to_ms, write_reading,
                            export, error);
}

/* ---- Home Assistant ---- */

static enum status export_statistics(struct export *export, struct error *error)
{
    const struct history_export_options *asked = export->options;
    const struct statistics_options options = {
        .path = asked->path,
        .device = asked->device,
        .channel = asked->channel,
        .from_ms = export->from_ms,
        .to_ms = export->to_ms,
        .present = asked->present,
        .entity = asked->entity,
        .consumed_only = asked->entity != NULL && !asked->produced,
        .produced_only = asked->entity != NULL && asked->produced,
        .has_mean = asked->has_mean,
    };
    return statistics_write(&options, export->out, &export->failed, error);
}

/* ---- all of it ---- */

static enum status write_all(struct export *export, struct error *error)
{
    enum status status = export->options->format == HISTORY_EXPORT_HA
                             ? export_statistics(export, error)
                             : export_readings(export, error);
    if (status == STATUS_OK &&
        (export->failed || fflush(export->out) != 0 || ferror(export->out) != 0))
        return error_set(error, STATUS_FAILED, "The output could not be written: %s.",
                         strerror(errno));
    return status;
}

/* ---- resuming ---- */

/* The time that a row begins with. */
static bool time_of_line(const char *line, bool json, int64_t *wall_ms)
{
    static const char start[] = "{\"time\":\"";
    char stamp[64];
    if (json && strncmp(line, start, sizeof start - 1) != 0)
        return false;
    line += json ? sizeof start - 1 : 0;
    size_t length = strcspn(line, json ? "\"" : ",");
    if (length >= sizeof stamp)
        return false;
    memcpy(stamp, line, length);
    stamp[length] = '\0';
    return time_text_parse(stamp, 0, wall_ms, NULL) == STATUS_OK;
}

/* The rows of the last moment, backwards from the end of the last whole line; what an interruption left
 * behind that is cut off. */
static bool find_end(struct export *export, char *tail, size_t length, off_t offset)
{
    bool json = export->options->format == HISTORY_EXPORT_JSONL;
    size_t end = length;
    while (end > 0 && tail[end - 1] != '\n')
        end--;
    if (end == 0)
        return false;
    size_t at = end;
    while (at > 0) {
        int64_t wall_ms;
        size_t begin = at - 1;
        while (begin > 0 && tail[begin - 1] != '\n')
            begin--;
        tail[at - 1] = '\0';
        if (!time_of_line(tail + begin, json, &wall_ms))
            break; /* the head, or a line that begins before the tail */
        if (export->last_had > 0 && wall_ms != export->last_ms)
            break;
        export->last_ms = wall_ms;
        export->last_had++;
        at = begin;
    }
    return export->last_had > 0 && ftruncate(fileno(export->out), offset + (off_t)end) == 0;
}

/* The length of the table's head; 0: it is another file. */
static size_t read_head(struct export *export)
{
    char head[sizeof csv_head] = "";
    rewind(export->out);
    size_t length = fread(head, 1, sizeof head - 1, export->out);
    if (length == sizeof csv_head - 1 && strcmp(head, csv_head) == 0)
        return length;
    export->narrow = strncmp(head, narrow_head, sizeof narrow_head - 1) == 0;
    return export->narrow ? sizeof narrow_head - 1 : 0;
}

/* Reads the end of the file that is open, and finds where to resume. */
static bool read_end(struct export *export)
{
    enum { TAIL = 65536 };
    char *tail memory_auto = memory_new(TAIL + 1, 1);
    if (fseeko(export->out, 0, SEEK_END) != 0)
        return false;
    off_t size = ftello(export->out);
    off_t offset = size > TAIL ? size - TAIL : 0;
    if (size == 0)
        return true;
    bool csv = export->options->format == HISTORY_EXPORT_CSV;
    size_t head = csv ? read_head(export) : 0;
    if (csv && head == 0)
        return false;
    if (csv && size == (off_t)head) {
        export->continued = true;
        export->last_ms = -1;
        return fseeko(export->out, 0, SEEK_END) == 0;
    }
    if (fseeko(export->out, offset, SEEK_SET) != 0)
        return false;
    size_t length = fread(tail, 1, TAIL, export->out);
    if (!find_end(export, tail, length, offset))
        return false;
    export->continued = true;
    if (export->last_ms > export->from_ms)
        export->from_ms = export->last_ms;
    return fseeko(export->out, 0, SEEK_END) == 0;
}

/* Resumes the file itself if it is there, else what an interrupted export left. */
static enum status resume_file(struct export *export, const char *output, const char *partial,
                               struct error *error)
{
    bool in_place = access(output, F_OK) == 0;
    const char *path = in_place ? output : partial;
    export->out = fopen(path, access(path, F_OK) == 0 ? "r+e" : "w+e");
    if (export->out == NULL)
        return error_set(error, STATUS_FAILED, "%s cannot be written: %s.", path, strerror(errno));
    enum status status = STATUS_OK;
    if (!read_end(export))
        status = error_set(error, STATUS_USAGE,
                           "%s is not an export of this format that can be resumed.", path);
    if (status == STATUS_OK && export->from_ms < export->to_ms)
        status = write_all(export, error);
    if (status == STATUS_OK && fsync(fileno(export->out)) != 0 && errno != EINVAL)
        status = error_set(error, STATUS_FAILED, "%s could not be put on disk: %s.", path,
                           strerror(errno));
    if (fclose(export->out) != 0 && status == STATUS_OK)
        status = error_set(error, STATUS_FAILED, "%s could not be written.", path);
    if (status == STATUS_OK && !in_place && rename(partial, output) != 0)
        status =
            error_set(error, STATUS_FAILED, "%s cannot be replaced: %s.", output, strerror(errno));
    return status;
}

/* The name is given to a new file at the end: what has it must be one that may go. */
static enum status check_output(const struct export *export, char output[PATH_MAX],
                                struct error *error)
{
    struct stat target;
    struct stat source;
    if (file_target(export->options->output, output, error) != STATUS_OK) {
        return error_append(error, STATUS_USAGE,
                            " Or leave out --output and send the standard output there.");
    }
    if (stat(output, &target) == 0 && stat(export->options->path, &source) == 0 &&
        source.st_dev == target.st_dev && source.st_ino == target.st_ino)
        return error_set(error, STATUS_REFUSED,
                         "%s is the history itself; name another file for the export.", output);
    return STATUS_OK;
}

/* Under another name until it is complete. */
static enum status write_file(struct export *export, struct error *error)
{
    char output[PATH_MAX];
    char partial[PATH_MAX];
    enum status status = check_output(export, output, error);
    if (status != STATUS_OK)
        return status;
    int length = snprintf(partial, sizeof partial, "%s.new", output);
    if (length < 0 || (size_t)length >= sizeof partial)
        return error_set(error, STATUS_USAGE, "The path of the output is too long.");
    if (export->options->resume)
        return resume_file(export, output, partial, error);
    int fd = file_create(partial, FILE_MODE_UMASK);
    export->out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (export->out == NULL)
        return error_set(error, STATUS_FAILED, "%s cannot be written: %s.", partial,
                         strerror(errno));
    status = write_all(export, error);
    if (status == STATUS_OK && fsync(fileno(export->out)) != 0 && errno != EINVAL)
        status = error_set(error, STATUS_FAILED, "%s could not be put on disk: %s.", partial,
                           strerror(errno));
    if (fclose(export->out) != 0 && status == STATUS_OK)
        status = error_set(error, STATUS_FAILED, "%s could not be written.", partial);
    if (status == STATUS_OK && rename(partial, output) != 0)
        status =
            error_set(error, STATUS_FAILED, "%s cannot be replaced: %s.", output, strerror(errno));
    if (status != STATUS_OK)
        (void)unlink(partial);
    return status;
}

static bool any_channel(void *context, const char *device, const char *channel)
{
    (void)context;
    (void)device;
    (void)channel;
    return false;
}

enum status history_export(const struct history_export_options *options, FILE *out,
                           struct error *error)
{
    struct export export = {
        .options = options, .from_ms = options->from_ms, .to_ms = options->to_ms, .out = out};
    enum status status = reader_check_order(export.from_ms, export.to_ms, error);
    if (status != STATUS_OK)
        return status;
    /* Before the first byte: a program that reads it must not take a head alone for an empty answer. */
    status = history_channels(options->path, options->device, options->channel, any_channel, NULL,
                              error);
    if (status != STATUS_OK)
        return status;
    return options->output == NULL ? write_all(&export, error) : write_file(&export, error);
}
