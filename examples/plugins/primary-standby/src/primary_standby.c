/* One tier serves, the others stand by. When the serving tier has nothing usable left, the next best takes over with the
 * same request; when a better tier is back, it serves again after it has been up for the hold time. README.md says more. */
#include "lb.h"

enum { tiers = 4 };
static const uint64_t never = ~0ull;

static const lb_table *table;
static uint32_t heaviest;
static uint64_t hold_ns = 5000000000ull;
static uint32_t serving = tiers;     /* tier that gets the requests; tiers if there is none */
static uint64_t back_since[tiers];   /* since when a tier better than serving has been up without a break */

LB_EXPORT(lb_abi_v1) uint64_t lb_abi_v1(uint64_t host_features) {
  (void)host_features;
  return LB_WANT(LB_HEALTH);
}

LB_EXPORT(lb_init) int32_t lb_init(const char *config, uint32_t len) {
  const char *at = config;
  lb_setting s;
  uint32_t hold_ms;
  int more;
  while ((more = lb_next_setting(&at, config, config + len, &s)) == 1) {
    if (!lb_whole(&s, "hold_ms", 0, 86400000, &hold_ms)) return -1;
    hold_ns = hold_ms * 1000000ull;
  }
  return more;
}

LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t) {
  table = t;
  heaviest = lb_heaviest(t);
  return 0;
}

/* sound tells whether a tier has an endpoint that is up, not merely degraded: fit to take the service back. */
static int sound(uint32_t tier) {
  const uint32_t *health = lb_column_of(table, LB_HEALTH);
  for (lb_span s = lb_tier(table, tier); s.at < s.end; s.at++)
    if (!health || health[*s.at] == LB_UP) return 1;
  return 0;
}

static int usable(uint32_t tier) {
  lb_span s = lb_tier(table, tier);
  return s.at < s.end;
}

/* settle decides which tier serves at time now. */
static void settle(uint64_t now) {
  if (serving == tiers || !usable(serving)) {
    for (uint32_t t = 0; t < tiers; t++) back_since[t] = never;
    serving = 0;
    while (serving < tiers && !usable(serving)) serving++;
    return;
  }
  for (uint32_t t = 0; t < serving; t++) {
    if (!sound(t)) {
      back_since[t] = never;
    } else if (now < back_since[t]) { /* never, or the clock was set back */
      back_since[t] = now;
    }
    if (back_since[t] != never && now - back_since[t] >= hold_ns) serving = t;
  }
}

LB_EXPORT(lb_pick) int32_t lb_pick(const lb_request *r) {
  settle(r->now_ns);
  if (serving == tiers) return LB_DEFER;
  lb_span s = lb_tier(table, serving);
  if (!lb_untried(r, s)) s = lb_candidates(table, r);
  uint64_t seed = r->rnd;
  return lb_draw(table, r, s, heaviest, -1, &seed); /* -1 is LB_DEFER */
}
