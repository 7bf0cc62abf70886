/* SPDX-License-Identifier: MIT */
#include "bridge/service/recalibration.h"

#include "bridge/history/recalibration_json.h"
#include "drivers/base/memory.h"

struct recalibration {
    struct history *history;
    struct request request;
    struct history_recalibration correction;
};

enum status recalibration_begin(struct history *history, const struct request *request,
                                struct recalibration **recalibration, struct error *error)
{
    struct history_recalibration correction;
    enum status status = recalibration_parse(request->body, &correction, error);
    if (status != STATUS_OK)
        return status;
    if (*recalibration != NULL || !history_recalibration_begin(history, &correction))
        return error_set(error, STATUS_FAILED, "A recalibration is under way already.");
    struct recalibration *made = memory_new(1, sizeof *made);
    made->history = history;
    made->request = *request;
    made->correction = correction;
    *recalibration = made;
    return STATUS_OK;
}

bool recalibration_end(struct recalibration *recalibration, enum status *status,
                       struct error *error, json_t **answer, struct history_recalibrated *done)
{
    *answer = NULL;
    if (!history_recalibration_end(recalibration->history, status, done, error))
        return false;
    if (*status == STATUS_OK)
        *answer = recalibration_answer(&recalibration->correction, done);
    return true;
}

const struct request *recalibration_request_of(const struct recalibration *recalibration)
{
    return &recalibration->request;
}

const struct history_recalibration *
recalibration_correction(const struct recalibration *recalibration)
{
    return &recalibration->correction;
}

void recalibration_free(struct recalibration *recalibration)
{
    if (recalibration == NULL)
        return;
    request_free(&recalibration->request);
    free(recalibration);
}
