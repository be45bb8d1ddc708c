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

/* again is what a retry asks, or a first attempt that has no luck or no first tier. */
static __attribute__((noinline)) int32_t again(const lb_request *r) {
  lb_span candidates = lb_candidates(table, r);
  uint64_t seed = r->rnd;
  int32_t a = lb_draw(table, r, candidates, heaviest, -1, &seed);
  if (a < 0) return LB_DEFER;
  int32_t b = lb_draw(table, r, candidates, heaviest, a, &seed);
  return b >= 0 && lb_less_loaded(table, b, a) ? b : a;
}

/* dart is one throw of lb_draw: an endpoint by weight, or -1 for a miss. */
static inline int32_t dart(const lb_endpoint *endpoints, lb_span s, uint64_t *seed) {
  uint64_t x = lb_next(seed);
  uint32_t i = s.at[(x >> 32) * (uint32_t)(s.end - s.at) >> 32];
  return ((x & 0xffffffff) * heaviest >> 32) < endpoints[i].weight ? (int32_t)i : -1;
}

/* A first attempt has tried nobody and mostly finds the first tier: it throws the darts that again would, at less cost. */
LB_EXPORT(lb_pick) int32_t lb_pick(const lb_request *r) {
  lb_span s = lb_tier(table, 0);
  if (r->n_tried || s.end - s.at < 2 || table->ep_stride != sizeof(lb_endpoint)) return again(r);
  const lb_endpoint *endpoints = lb_endpoint_at(table, 0);
  uint64_t seed = r->rnd;
  int32_t a = -1, b = -1;
  for (uint32_t k = 0; k < 16 && a < 0; k++) a = dart(endpoints, s, &seed);
  for (uint32_t k = 0; k < 16 && (b < 0 || b == a); k++) b = dart(endpoints, s, &seed);
  if (a < 0 || b < 0 || a == b) return again(r);
  return lb_less_loaded(table, b, a) ? b : a;
}
