/* The power of two choices by weight: draw two endpoints of the first usable tier, take the one with the lesser
 * (requests in flight + 1) / weight. Twin of the built-in p2c; README.md says more. */
#include "lb.h"

static const lb_table *table;
static uint32_t heaviest;

LB_EXPORT(lb_abi_v1) uint64_t lb_abi_v1(uint64_t host_features) {
  (void)host_features;
  return LB_REPLICABLE | LB_WANT(LB_INFLIGHT);
}

LB_EXPORT(lb_init) int32_t lb_init(const char *config, uint32_t len) {
  const char *at = config;
  lb_setting s;
  return lb_next_setting(&at, config, config + len, &s) == 0 ? 0 : -1;
}

LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t) {
  table = t;
  heaviest = lb_heaviest(t);
  return 0;
}

LB_EXPORT(lb_pick) int32_t lb_pick(const lb_request *r) {
  lb_span candidates = lb_candidates(table, r);
  uint64_t seed = r->rnd;
  int32_t a = lb_draw(table, r, candidates, heaviest, -1, &seed);
  if (a < 0) return LB_DEFER;
  int32_t b = lb_draw(table, r, candidates, heaviest, a, &seed);
  return b >= 0 && lb_less_loaded(table, b, a) ? b : a;
}
