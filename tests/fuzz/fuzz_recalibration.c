/* SPDX-License-Identifier: MIT */
/* A recalibration as anybody on the broker may ask for it: what is accepted means the same when it is
 * written and read again. */
#include "bridge/history/recalibration_json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history_recalibration correction;
    struct history_recalibration again;
    struct error error = {""};
    json_t *body = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (body == NULL)
        return 0;
    enum status status = recalibration_parse(body, &correction, &error);
    if ((status == STATUS_OK) == (error.text[0] != '\0'))
        abort();
    if (status == STATUS_OK) {
        const struct history_recalibrated done = {0};
        char text[1500];
        json_t *request = recalibration_request(&correction);
        json_t *answer = recalibration_answer(&correction, &done);
        if (recalibration_parse(request, &again, &error) != STATUS_OK ||
            again.since_ms != correction.since_ms || again.until_ms != correction.until_ms ||
            strcmp(again.device, correction.device) != 0)
            abort();
        recalibration_text(answer, text, sizeof text);
        json_decref(request);
        json_decref(answer);
    }
    json_decref(body);
    return 0;
}
