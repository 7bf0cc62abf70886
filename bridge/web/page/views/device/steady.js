// Whether a load is steady enough to calibrate with. Pure.

const SAMPLES_MIN = 4;
const STEADY_PERCENT = 1.5;
const CURRENT_MIN_A = 0.05;

/** samples: [{power, current}]. verdict: "waiting", "small", "steady" or "unsteady"; percent: how far they differ. */
export function steadiness(samples) {
  if (samples.length < SAMPLES_MIN) return {verdict: "waiting"};
  const powers = samples.map((one) => one.power);
  const mean = powers.reduce((sum, one) => sum + one, 0) / powers.length;
  const current = samples.reduce((sum, one) => sum + (one.current ?? 0), 0) / samples.length;
  if (current < CURRENT_MIN_A) return {verdict: "small"};
  const percent = ((Math.max(...powers) - Math.min(...powers)) / Math.abs(mean)) * 100;
  return {verdict: percent <= STEADY_PERCENT ? "steady" : "unsteady", percent};
}
