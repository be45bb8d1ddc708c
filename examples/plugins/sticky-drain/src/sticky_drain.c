/* Requests of a session go to the endpoint of the session; others to the less loaded of two, and begin a session there. An
 * endpoint that drains keeps its sessions and gets no others. README.md says more. */
#include "lb.h"

static const lb_table *table;
static uint32_t heaviest; /* of endpoints that do not drain */
static uint8_t *drains;   /* an entry an endpoint: by metadata or by flag */
static uint32_t room;
static lb_text drain_key = LB_TEXT("drain"), drain_value = LB_TEXT("true");

enum { reason_session = 1, reason_new = 2, reason_all_drain = 3 };

LB_EXPORT(lb_abi_v1) uint64_t lb_abi_v1(uint64_t host_features) {
  (void)host_features;
  return LB_REPLICABLE | LB_WANT(LB_HEALTH) | LB_WANT(LB_INFLIGHT);
}

LB_EXPORT(lb_init) int32_t lb_init(const char *config, uint32_t len) {
  const char *at = config;
  lb_setting s;
  lb_text meta;
  int more;
  while ((more = lb_next_setting(&at, config, config + len, &s)) == 1) {
    if (!lb_string(&s, "meta", &meta)) return -1;
    uint32_t eq = 0;
    while (eq < meta.len && meta.at[eq] != '=') eq++;
    if (eq == 0 || eq == meta.len) return -1;
    drain_key = (lb_text){meta.at, eq};
    drain_value = (lb_text){meta.at + eq + 1, meta.len - eq - 1};
  }
  return more;
}

LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t) {
  table = t;
  heaviest = 0;
  if (t->n > room) {
    for (room = 64; room < t->n;) room *= 2;
    if (!(drains = lb_bump(room))) return -1;
  }
  for (uint32_t i = 0; i < t->n; i++) {
    const lb_endpoint *e = lb_endpoint_at(t, i);
    lb_text value;
    drains[i] = (e->flags & LB_DRAINING) || (lb_meta(t, i, drain_key, &value) && lb_same(value, drain_value));
    if (!drains[i] && e->weight > heaviest) heaviest = e->weight;
  }
  return 0;
}

/* may_serve tells whether endpoint i may get a request of its own session. One that drains by its weight of 0 is never in
 * up[]: its health says whether it is there. */
static int may_serve(const lb_request *r, uint32_t i) {
  if (i >= table->n || lb_tried(r, i)) return 0;
  if (lb_is_up(table, i)) return 1;
  const uint32_t *health = lb_column_of(table, LB_HEALTH);
  return (lb_endpoint_at(table, i)->flags & LB_DRAINING) && health && health[i] != LB_DOWN;
}

LB_EXPORT(lb_pick) int32_t lb_pick(lb_request *r) {
  if (r->sticky_ep != LB_NONE && may_serve(r, r->sticky_ep)) {
    r->out_reason = reason_session;
    return (int32_t)r->sticky_ep;
  }
  uint64_t seed = r->rnd;
  r->out_flags = LB_SET_STICKY;
  r->out_reason = reason_new;
  for (uint32_t tier = 0; tier < 4; tier++) {
    lb_span s = lb_tier(table, tier);
    int32_t a = lb_draw_but(table, r, s, heaviest, -1, drains, &seed);
    if (a < 0) continue;
    int32_t b = lb_draw_but(table, r, s, heaviest, a, drains, &seed);
    return b >= 0 && lb_less_loaded(table, b, a) ? b : a;
  }
  r->out_reason = reason_all_drain; /* better than nothing; -1 is LB_DEFER */
  return lb_draw(table, r, lb_candidates(table, r), lb_heaviest(table), -1, &seed);
}
