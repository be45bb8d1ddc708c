/* Draws two endpoints by weight and takes the one for which the response time, an average that jumps up to each peak and
 * decays, times (requests in flight + 1) / weight is less. Twin of the built-in peak_ewma; README.md says more. */
#include "lb_states.h"

typedef struct figures {
  uint32_t id, reserved;
  double cost;    /* ns; 0 is unknown */
  uint64_t stamp; /* when, ns */
} figures;

static const uint64_t layout = 0x7065616b65776d01;
static const double decay = 10e9, fail_cost = 1e9; /* ns */

enum { reason_explored = 1, reason_alone = 2, reason_better = 3 };

static lb_states states = {.size = sizeof(figures)};
static const lb_table *table;
static uint32_t heaviest;

LB_EXPORT(lb_abi_v1) uint64_t lb_abi_v1(uint64_t host_features) {
  (void)host_features;
  return LB_WANT(LB_INFLIGHT);
}

LB_EXPORT(lb_init) int32_t lb_init(const char *config, uint32_t len) {
  const char *at = config;
  lb_setting s;
  return lb_next_setting(&at, config, config + len, &s) == 0 ? 0 : -1;
}

LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t) {
  table = t;
  heaviest = lb_heaviest(t);
  return lb_carry(&states, t);
}

/* power is e^-x of x >= 0: a power of two, and what is left of it by Taylor's series, to 15 digits. */
static double power(double x) {
  if (x > 700) return 0;
  int32_t k = (int32_t)(x * 1.4426950408889634 + 0.5);
  double left = k * 0.6931471805599453 - x, sum = 1;
  for (int32_t n = 13; n > 0; n--) sum = 1 + sum * left / n;
  uint64_t bits = (uint64_t)(1023 - k) << 52;
  double scale;
  __builtin_memcpy(&scale, &bits, sizeof scale);
  return sum * scale;
}

static double kept(const figures *f, uint64_t now) { return power(now > f->stamp ? (double)(now - f->stamp) / decay : 0); }

/* load is what a request at i costs. One of which nothing is known costs nothing, until it has a request in flight: then it
 * costs most, so that not all of the traffic tries it out at once. */
static double load(uint32_t i, uint64_t now) {
  const figures *f = lb_state(&states, i);
  const uint32_t *inflight = lb_column_of(table, LB_INFLIGHT);
  double pending = inflight ? inflight[i] : 0, weight = lb_endpoint_at(table, i)->weight;
  if (f->cost == 0 && pending > 0) return 1e299 * pending / weight;
  return f->cost * kept(f, now) * (pending + 1) / weight;
}

LB_EXPORT(lb_pick) int32_t lb_pick(lb_request *r) {
  lb_span candidates = lb_candidates(table, r);
  uint64_t seed = r->rnd;
  int32_t a = lb_draw(table, r, candidates, heaviest, -1, &seed);
  if (a < 0) return LB_DEFER;
  int32_t b = lb_draw(table, r, candidates, heaviest, a, &seed);
  r->out_reason = reason_alone;
  if (b < 0) return a;
  r->out_reason = reason_explored;
  if (lb_next(&seed) >> 57 == 0) return a; /* one in 128 does not look */
  r->out_reason = reason_better;
  return load((uint32_t)b, r->now_ns) < load((uint32_t)a, r->now_ns) ? b : a;
}

LB_EXPORT(lb_feedback) void lb_feedback(const lb_feedback_record *f, uint32_t n, uint64_t now_ns) {
  for (; n > 0; n--, f++) {
    figures *e = lb_state_of(&states, f->ep_id);
    if (!e || f->err == LB_POOL_EXHAUSTED || f->err == LB_CANCELLED) continue; /* neither is the endpoint's */
    double took = (f->err == LB_OK && f->ttfb_us ? f->ttfb_us : f->total_us) * 1e3;
    if (f->err != LB_OK && took < fail_cost) took = fail_cost;
    double keep = kept(e, now_ns), left = e->cost * keep;
    e->cost = took < left ? left + took * (1 - keep) : took;
    e->stamp = now_ns;
  }
}

LB_EXPORT(lb_save) int32_t lb_save(uint8_t *buf, uint32_t cap) { return lb_save_states(&states, layout, buf, cap); }

LB_EXPORT(lb_restore) int32_t lb_restore(const uint8_t *buf, uint32_t len) {
  return lb_load_states(&states, layout, buf, len, table);
}
