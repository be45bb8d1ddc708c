/* Draws two endpoints by weight and prefers the one that answers sooner for the requests that it has, counting failures as
 * slowness. A few picks go by weight alone, so that every endpoint is measured. README.md says more. */
#include "lb_states.h"

typedef struct figures {
  uint32_t id, measured; /* measured: there was an answer, so us means something */
  double us;             /* smoothed time to the first byte */
  double failing;        /* smoothed share of failures, 0..1 */
  uint64_t at;           /* of the last sample, ns */
} figures;

static const uint64_t layout = 0x6c6174656e637901;
/* A sample moves an average by this share of the distance at least: half of it is made of the last eleven. What is old counts
 * for less, so the sample for more; but one failure must not condemn an endpoint. */
static const double least_step = 1.0 / 16, most_of_failure = 1.0 / 4;

static lb_states states = {.size = sizeof(figures)};
static const lb_table *table;
static uint32_t heaviest;
static uint32_t weighed; /* the up_gen that weight is of; 0 for none */
static lb_span span;     /* and the tier */
static double weight;
static double explore = 5, penalty = 20, decay_ms = 10000;
static double sum; /* of us over the endpoints that were measured */
static uint32_t measured;

enum { reason_explored = 1, reason_alone = 2, reason_better = 3 };

LB_EXPORT(lb_abi_v1) uint64_t lb_abi_v1(uint64_t host_features) {
  (void)host_features;
  return LB_WANT(LB_INFLIGHT);
}

LB_EXPORT(lb_init) int32_t lb_init(const char *config, uint32_t len) {
  const char *at = config;
  lb_setting s;
  int more;
  while ((more = lb_next_setting(&at, config, config + len, &s)) == 1)
    if (!lb_number(&s, "explore_percent", 0, 100, &explore) && !lb_number(&s, "error_penalty", 0, 1000, &penalty) &&
        !lb_number(&s, "decay_ms", 100, 3600000, &decay_ms))
      return -1;
  return more;
}

static void add_up(void) {
  sum = 0;
  measured = 0;
  for (uint32_t i = 0; i < states.n; i++) {
    const figures *e = lb_state(&states, i);
    sum += e->us;
    measured += e->measured;
  }
}

LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t) {
  table = t;
  heaviest = lb_heaviest(t);
  weighed = 0;
  if (lb_carry(&states, t) < 0) return -1;
  add_up();
  return 0;
}

static double mean(void) { return measured ? sum / measured : 1; }

/* kept is how much of what was learned is still believed at now: a half after decay_ms. */
static double kept(const figures *e, uint64_t now) {
  double age_ms = now > e->at ? (double)(now - e->at) * 1e-6 : 0;
  return decay_ms / (decay_ms + age_ms);
}

/* cost is what a request at e is expected to take. What is not measured for long becomes average, and forgiven. */
static double cost(const figures *e, uint64_t now) {
  double m = mean(), k = kept(e, now);
  return (e->measured ? m + (e->us - m) * k : m) * (1 + penalty * e->failing * k);
}

static double score(uint32_t i, uint64_t now) {
  const uint32_t *inflight = lb_column_of(table, LB_INFLIGHT);
  return cost(lb_state(&states, i), now) * ((inflight ? inflight[i] : 0) + 1.0) / lb_endpoint_at(table, i)->weight;
}

static double chance(uint64_t *seed) { return (double)(lb_next(seed) >> 11) * 0x1p-53; }

/* weigh adds up the weights of s, a tier, once for each view, of the first 2,048 if there are more: there one counts for little. */
static void weigh(const lb_request *r, lb_span s) {
  if (weighed != 0 && weighed == r->up_gen && span.at == s.at) return;
  uint32_t n = (uint32_t)(s.end - s.at), most = n < 2048 ? n : 2048;
  uint64_t total = 0;
  for (uint32_t k = 0; k < most; k++) total += lb_endpoint_at(table, s.at[k])->weight;
  weight = (double)total * n / most;
  weighed = r->up_gen;
  span = s;
}

/* others is the weight of all candidates but i. */
static double others(uint32_t i) {
  double rest = weight - lb_endpoint_at(table, i)->weight;
  return rest > 1 ? rest : 1;
}

LB_EXPORT(lb_pick) int32_t lb_pick(lb_request *r) {
  lb_span candidates = lb_candidates(table, r);
  uint64_t seed = r->rnd;
  int32_t a = lb_draw(table, r, candidates, heaviest, -1, &seed);
  if (a < 0) return LB_DEFER;
  r->out_reason = reason_explored;
  if (chance(&seed) * 100 < explore) return a;
  int32_t b = lb_draw(table, r, candidates, heaviest, a, &seed);
  r->out_reason = reason_alone;
  if (b < 0) return a;
  /* By chance, in proportion to 1 / score^4: with the lesser always taken, the one that was unlucky in its last samples would
   * get no more of them, and stay unlucky. One that takes twice as long still loses 16 of 17 times. */
  double ratio = score((uint32_t)a, r->now_ns) / score((uint32_t)b, r->now_ns);
  ratio *= ratio;
  ratio *= ratio;
  /* Being drawn second is likelier for the lighter of two that are never the same: this makes up for it, so that equals get
   * shares by weight. */
  weigh(r, candidates);
  ratio *= others((uint32_t)a) / others((uint32_t)b);
  r->out_reason = reason_better;
  return chance(&seed) * (1 + ratio) < ratio ? b : a;
}

static double least(double a, double b) { return a < b ? a : b; }

/* learn takes one sample of e. A failure says nothing of how long an answer takes, unless it took longer: a timeout. */
static void learn(figures *e, double us, int failed, uint64_t now) {
  double m = mean(), k = kept(e, now), step = 1 - k > least_step ? 1 - k : least_step;
  e->failing = e->failing * k + (failed - e->failing * k) * least(step, most_of_failure);
  if (e->measured) {
    double believed = m + (e->us - m) * k;
    sum -= e->us;
    e->us = failed && us < believed ? believed : believed + (us - believed) * step;
    sum += e->us;
  } else if (!failed) {
    e->measured = 1;
    e->us = us;
    sum += us;
    measured++;
  }
  e->at = now;
}

/* speaks_against tells whether a record counts as a failure. Too many requests is one: else those that shed load attract it. */
static int speaks_against(const lb_feedback_record *f) {
  return f->status == 429 || (f->err != LB_OK && f->err != LB_CANCELLED && f->err != LB_POOL_EXHAUSTED);
}

LB_EXPORT(lb_feedback) void lb_feedback(const lb_feedback_record *f, uint32_t n, uint64_t now_ns) {
  for (; n > 0; n--, f++) {
    figures *e = lb_state_of(&states, f->ep_id);
    if (!e || f->err == LB_POOL_EXHAUSTED) continue;
    double us = f->err == LB_OK && f->ttfb_us ? f->ttfb_us : f->total_us;
    int cut_short = f->err == LB_CANCELLED || (f->flags & (LB_HEDGE_LOSER | LB_CLIENT_GONE));
    if (cut_short && !(e->measured && us > e->us)) continue; /* it took longer than that, and how much is not known */
    learn(e, us > 1 ? us : 1, speaks_against(f), now_ns);
  }
}

LB_EXPORT(lb_save) int32_t lb_save(uint8_t *buf, uint32_t cap) { return lb_save_states(&states, layout, buf, cap); }

LB_EXPORT(lb_restore) int32_t lb_restore(const uint8_t *buf, uint32_t len) {
  int32_t result = lb_load_states(&states, layout, buf, len, table);
  add_up();
  return result;
}
