/* SPDX-License-Identifier: MIT */
#include "bridge/service/recalibration.h"

#include "bridge/history/recalibration_json.h"
#include "drivers/base/memory.h"

struct recalibration {
    struct history *history;
    struct pending *pending;
    struct history_recalibration correction;
};

enum status recalibration_begin(struct history *history, struct pending *pending,
                                struct recalibration **recalibration, struct error *error)
{
    struct history_recalibration correction;
    enum status status = recalibration_parse(pending_arguments(pending), &correction, error);
    if (status != STATUS_OK)
        return status;
    if (*recalibration != NULL || !history_recalibration_begin(history, &correction))
        return error_set(error, STATUS_FAILED, "A recalibration is under way already.");
    struct recalibration *made = memory_new(1, sizeof *made);
    made->history = history;
    made->pending = pending;
    made->correction = correction;
    *recalibration = made;
    return STATUS_OK;
}

bool recalibration_end(struct recalibration *recalibration, enum status *status,
                       struct history_recalibrated *done, struct error *error)
{
    return history_recalibration_end(recalibration->history, status, done, error);
}

void recalibration_finish(struct recalibration *recalibration, enum status status,
                          const struct history_recalibrated *done, const struct error *error)
{
    if (status == STATUS_OK)
        pending_answer(recalibration->pending,
                       recalibration_answer(&recalibration->correction, done));
    else
        pending_refuse(recalibration->pending, status, error);
    recalibration_free(recalibration);
}

const struct history_recalibration *
recalibration_correction(const struct recalibration *recalibration)
{
    return &recalibration->correction;
}

void recalibration_free(struct recalibration *recalibration)
{
    free(recalibration);
}
