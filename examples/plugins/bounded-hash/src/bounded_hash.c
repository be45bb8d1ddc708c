/* Consistent hashing with bounded loads: a key goes to the endpoint whose point on a ring follows it, or on along the ring
 * while that has its part of the requests in flight and more. Twin of the built-in bounded_hash; README.md says more. */
#include "lb.h"

/* A ring is to have so many points for each of its endpoints, as the built-in policy's has; but what laying it out costs
 * bounds it to points_beside and points_affordable for each endpoint, and all rings to most_points. */
enum { points_per_endpoint = 160, points_of_lightest = 16, least_points = 1024 };
enum { points_affordable = 80, points_beside = 2048, most_points = 1 << 15 };
enum { most_steps = 256, most_counted = 1024 };
enum { reason_home = 1, reason_further = 2, reason_drawn = 3 };

typedef struct point { uint64_t place; uint32_t index, reserved; } point;

/* ring is the points of a tier by place. Those whose uppermost bits are b begin at from[b], in reach of a few steps. */
typedef struct ring { point *points; uint32_t n, shift, *from; } ring;

static const lb_table *table;
static uint32_t heaviest, bound = 125;
static ring rings[4];
static point *points;
static uint32_t *buckets, room;
static uint32_t weighed; /* the up_gen that weights are of; 0 for none */
static const uint32_t *weighed_from;
static uint64_t weights;

LB_EXPORT(lb_abi_v1) uint64_t lb_abi_v1(uint64_t host_features) {
  (void)host_features;
  return LB_REPLICABLE | LB_WANT(LB_INFLIGHT);
}

LB_EXPORT(lb_init) int32_t lb_init(const char *config, uint32_t len) {
  const char *at = config;
  lb_setting s;
  int more;
  while ((more = lb_next_setting(&at, config, config + len, &s)) == 1)
    if (!lb_whole(&s, "bound_percent", 101, 10000, &bound)) return -1;
  return more;
}

/* member tells whether e has points in a tier. What is beyond the last tier is in it. */
static int member(const lb_endpoint *e, uint32_t tier) { return e->weight && (e->tier < 3 ? e->tier : 3u) == tier; }

/* plan is how many points a tier has, and how the points of an endpoint follow from its weight: w << up >> down. */
typedef struct plan { uint32_t n, up, down; } plan;

static uint32_t points_of(plan p, uint32_t weight) {
  uint32_t n = (uint32_t)((uint64_t)weight << p.up >> p.down);
  return n ? n : 1;
}

static plan plan_of(uint32_t tier) {
  uint64_t total = 0, n = 0, lightest = 65535;
  for (uint32_t i = 0; i < table->n; i++) {
    const lb_endpoint *e = lb_endpoint_at(table, i);
    if (!member(e, tier)) continue;
    n++;
    total += e->weight;
    if (e->weight < lightest) lightest = e->weight;
  }
  plan p = {0, 0, 0};
  if (!n) return p;
  uint64_t want = points_per_endpoint * n, most = points_beside + points_affordable * n;
  if (want < points_of_lightest * total / lightest) want = points_of_lightest * total / lightest;
  if (want < least_points) want = least_points;
  if (want > most) want = most;
  if (want > most_points / 4 && want > most_points * n / table->n) want = most_points * n / table->n;
  while (total << (p.up + 1) <= want) p.up++;
  while (total > want << p.down) p.down++;
  for (uint32_t i = 0; i < table->n; i++) {
    const lb_endpoint *e = lb_endpoint_at(table, i);
    if (member(e, tier)) p.n += points_of(p, e->weight);
  }
  return p;
}

/* place_of is where point k of an endpoint lies; id is its id_hash times an odd number. */
static inline uint64_t place_of(uint32_t k, uint64_t id) {
  uint64_t seed = k ^ id;
  return lb_next(&seed);
}

static uint64_t id_of(const lb_endpoint *e) { return e->id_hash * 0x9e3779b97f4a7c15ull; }

/* lay puts the points of a tier in order: by their uppermost bits first, then the few that share these. */
static void lay(ring *r, uint32_t tier, plan p) {
  uint32_t bits = 1;
  while (2u << bits <= p.n) bits++;
  uint32_t shift = 64 - bits, *from = r->from;
  point *all = r->points;
  r->n = p.n;
  r->shift = shift;
  __builtin_memset(from, 0, ((1u << bits) + 1) * sizeof *from);
  for (uint32_t i = 0; i < table->n; i++) {
    const lb_endpoint *e = lb_endpoint_at(table, i);
    if (!member(e, tier)) continue;
    uint64_t id = id_of(e);
    for (uint32_t k = points_of(p, e->weight); k-- > 0;) from[place_of(k, id) >> shift]++;
  }
  for (uint32_t b = 0, sum = 0; b <= 1u << bits; b++) {
    uint32_t n = from[b];
    from[b] = sum;
    sum += n;
  }
  for (uint32_t i = 0; i < table->n; i++) {
    const lb_endpoint *e = lb_endpoint_at(table, i);
    if (!member(e, tier)) continue;
    uint64_t id = id_of(e);
    for (uint32_t k = points_of(p, e->weight); k-- > 0;) {
      uint64_t place = place_of(k, id);
      point *to = &all[from[place >> shift]++];
      to->place = place;
      to->index = i;
    }
  }
  for (uint32_t b = 1u << bits; b > 0; b--) from[b] = from[b - 1];
  from[0] = 0;
  for (uint32_t k = 1; k < p.n; k++) {
    if (all[k - 1].place <= all[k].place) continue;
    point one = all[k];
    uint32_t at = k;
    for (; at > 0 && all[at - 1].place > one.place; at--) all[at] = all[at - 1];
    all[at] = one;
  }
}

LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t) {
  table = t;
  heaviest = lb_heaviest(t);
  weighed = 0;
  plan plans[4];
  uint32_t need = 0;
  for (uint32_t tier = 0; tier < 4; tier++) need += (plans[tier] = plan_of(tier)).n;
  if (need > room) {
    uint32_t n = room ? room : least_points;
    while (n < need) n *= 2;
    point *p = lb_bump(n * sizeof *p);
    uint32_t *b = lb_bump((n + 16) * sizeof *b); /* a ring has no more buckets than points, and an end, but for one of 2 */
    if (!p || !b) return -1;
    points = p, buckets = b, room = n;
  }
  point *p = points;
  uint32_t *b = buckets;
  for (uint32_t tier = 0; tier < 4; tier++) {
    rings[tier] = (ring){p, 0, 63, b};
    if (plans[tier].n) lay(&rings[tier], tier, plans[tier]);
    p += plans[tier].n;
    b += plans[tier].n + 3;
  }
  return 0;
}

/* after is the number of the first point at or after place, round the end. */
static uint32_t after(const ring *r, uint64_t place) {
  uint32_t k = r->from[place >> r->shift];
  while (k < r->n && r->points[k].place < place) k++;
  return k < r->n ? k : 0;
}

/* weigh adds up the weights of a tier, once for each view. */
static void weigh(uint32_t up_gen, const uint32_t *at, const uint32_t *end) {
  if (weighed != 0 && weighed == up_gen && weighed_from == at) return;
  weighed = up_gen;
  weighed_from = at;
  weights = 0;
  for (; at < end; at++) weights += lb_endpoint_at(table, *at)->weight;
}

/* drawn is what is left where the whole ring is down, tried or full: the less loaded of two. */
static __attribute__((noinline)) int32_t drawn(lb_request *r, lb_span candidates) {
  uint64_t seed = r->rnd;
  r->out_reason = reason_drawn;
  int32_t a = lb_draw(table, r, candidates, heaviest, -1, &seed);
  if (a < 0) return LB_DEFER;
  int32_t b = lb_draw(table, r, candidates, heaviest, a, &seed);
  return b >= 0 && lb_less_loaded(table, b, a) ? b : a;
}

LB_EXPORT(lb_pick) int32_t lb_pick(lb_request *r) {
  lb_span candidates = lb_candidates(table, r);
  r->out_reason = reason_home;
  if (candidates.end - candidates.at < 2) return candidates.at == candidates.end ? LB_DEFER : (int32_t)*candidates.at;
  uint32_t tier = lb_endpoint_at(table, *candidates.at)->tier;
  if (tier > 3) tier = 3;
  const ring *ring = &rings[tier];
  const uint32_t *inflight = lb_column_of(table, LB_INFLIGHT);
  const uint32_t *end = candidates.end - candidates.at > most_counted ? candidates.at + most_counted : candidates.end;
  weigh(r->up_gen, candidates.at, end);
  uint64_t requests = 1; /* this one counts */
  if (inflight)
    for (const uint32_t *p = candidates.at; p < end; p++) requests += inflight[*p];
  uint32_t at = after(ring, r->flags & LB_HAS_KEY ? r->key_hash : r->rnd);
  for (uint32_t step = 0; step < most_steps && step < ring->n; step++) {
    uint32_t i = ring->points[at].index;
    /* Full: in flight >= the next whole number after bound % of requests * weight / weights. */
    uint64_t has = inflight ? inflight[i] : 0, part = requests * lb_endpoint_at(table, i)->weight;
    if (has * weights * 100 < bound * part && !lb_tried(r, i) && lb_is_up(table, i)) return (int32_t)i;
    r->out_reason = reason_further;
    if (++at == ring->n) at = 0;
  }
  return drawn(r, candidates);
}
