/* Never more requests in flight at an endpoint than it has seats; if none has a free seat, 429. README.md says more.
 *
 * The inflight column knows of attempts that have begun. It does not know of those that were picked and have not begun, and
 * two picks in a row could both see the last seat. So the guest counts seats itself: one at each pick, given back by the
 * feedback record of that attempt. For each endpoint there are
 *
 *   young  picks of the last 2 to 3 seconds whose end was not reported. This is exact: the tag of a record says when it was
 *          picked. Whatever was picked and has not begun is among them.
 *   rest   the older picks whose end was not reported, and requests that this guest did not place. It may be too great: a
 *          report can be late, and an attempt that never began has none. The column has all that are truly there.
 *
 * So young + min(rest, inflight) is never less than what is in flight or about to be, and a seat is free below that. */
#include "lb_states.h"

typedef struct seats {
  uint32_t id, seats;
  uint32_t latest;      /* the newest second of young; a second is 2^30 ns here */
  uint32_t young[3];    /* by second modulo 3 */
  uint32_t rest;
  uint32_t overdue;     /* reports that may come of what has been taken off rest already */
  uint32_t overdue_since, agreed; /* seconds */
  uint32_t resting;     /* takes nothing until what is young is gone and the column can be believed */
} seats;

enum { window = 3, patience = 16, most_looks = 1500, full_scan = 256, reason_full = 429, max_seats = 1000000000 };
static const uint64_t ours = 1ull << 63, layout = 0x7365617473000001;

static lb_states states = {.size = sizeof(seats)};
static const lb_table *table;
static lb_text key = LB_TEXT("seats");
static uint32_t default_seats = 4, reject_status = 429;
static int32_t rejected;

LB_EXPORT(lb_abi_v1) uint64_t lb_abi_v1(uint64_t host_features) {
  (void)host_features;
  return LB_KEEP_ORDER | LB_WANT(LB_INFLIGHT);
}

LB_EXPORT(lb_init) int32_t lb_init(const char *config, uint32_t len) {
  const char *at = config;
  lb_setting s;
  int more;
  while ((more = lb_next_setting(&at, config, config + len, &s)) == 1)
    if (!(lb_string(&s, "meta", &key) && key.len > 0) && !lb_whole(&s, "default", 0, max_seats, &default_seats) &&
        !lb_whole(&s, "status", 400, 599, &reject_status))
      return -1;
  rejected = lb_metric_id(LB_COUNTER, "rejected", 8);
  lb_set_tick(500);
  return more;
}

/* warn tells of metadata that is no number of seats. */
static void warn(uint32_t i) {
  static const char why[] = "not a whole number of seats, the default holds: ";
  char line[160];
  lb_text name = lb_name(table, i);
  uint32_t n = sizeof why - 1;
  __builtin_memcpy(line, why, n);
  for (uint32_t k = 0; k < name.len && n < sizeof line; k++) line[n++] = name.at[k];
  lb_log(LB_WARN, line, n);
}

static void read_seats(void) {
  for (uint32_t i = 0; i < table->n; i++) {
    seats *e = lb_state(&states, i);
    lb_text value;
    uint64_t x;
    e->seats = default_seats;
    if (!lb_meta(table, i, key, &value)) continue;
    if (lb_digits(value, &x) && x <= max_seats) e->seats = (uint32_t)x;
    else warn(i);
  }
}

LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t) {
  table = t;
  if (lb_carry(&states, t) < 0) return -1;
  read_seats();
  return 0;
}

/* age moves what is no longer young to rest. A clock that steps back stands still here. */
static void age(seats *e, uint32_t second) {
  if ((int32_t)(second - e->latest) <= 0) return;
  uint32_t steps = second - e->latest;
  for (uint32_t k = 1; k <= steps && k <= window; k++) {
    uint32_t *oldest = &e->young[(e->latest + k) % window];
    e->rest += *oldest;
    *oldest = 0;
  }
  e->latest = second;
  if (second - e->overdue_since >= window) e->overdue = 0; /* those reports are not late, they are lost */
}

/* taken says how many seats are taken at most, inflight being the column's word. */
static inline uint32_t taken(seats *e, uint32_t inflight, uint32_t second) {
  if (e->latest != second) age(e, second);
  uint32_t young = e->young[0] + e->young[1] + e->young[2];
  if (young + e->rest <= inflight) {
    e->rest = inflight - young; /* somebody else placed requests there */
    e->agreed = second;
    e->resting = 0;
  } else if (young == 0) { /* whatever was picked has begun or never will: the column is right */
    e->overdue += e->rest - inflight;
    e->overdue_since = e->agreed = second;
    e->rest = inflight;
    e->resting = 0;
  }
  return e->resting ? max_seats : young + (e->rest < inflight ? e->rest : inflight);
}

static uint32_t second_of(uint64_t now_ns) { return (uint32_t)(now_ns >> 30) & 0x7fffffff; }

LB_EXPORT(lb_pick) int32_t lb_pick(lb_request *r) {
  const uint32_t *inflight = lb_column_of(table, LB_INFLIGHT);
  uint32_t second = second_of(r->now_ns), looks = 0;
  uint64_t seed = r->rnd, load = 0, of = 0, ties = 0;
  int32_t best = -1;
  seats *chosen = 0;
  for (uint32_t tier = 0; tier < 4 && best < 0; tier++) {
    lb_span s = lb_tier(table, tier);
    uint32_t n = (uint32_t)(s.end - s.at), at = n > full_scan ? (uint32_t)((lb_next(&seed) >> 32) * n >> 32) : 0;
    for (uint32_t k = 0; k < n && looks < most_looks && (k < full_scan || best < 0); k++, looks++) {
      uint32_t i = s.at[at];
      if (++at == n) at = 0;
      if (r->n_tried && lb_tried(r, i)) continue;
      seats *e = lb_state(&states, i);
      uint32_t now = taken(e, inflight ? inflight[i] : 0, second);
      if (now >= e->seats) continue;
      uint64_t a = (now + 1ull) * of, b = load * e->seats;
      if (best >= 0 && a > b) continue;
      if (best < 0 || a < b) ties = 0;
      if (++ties > 1 && (lb_next(&seed) >> 32) * ties >> 32 != 0) continue;
      best = (int32_t)i, chosen = e, load = now + 1ull, of = e->seats;
    }
  }
  if (best >= 0) {
    chosen->young[chosen->latest % window]++;
    r->out_tag = ours | (uint64_t)chosen->latest << 32 | chosen->id;
    return best;
  }
  if (!lb_untried(r, lb_candidates(table, r))) return LB_DEFER;
  r->out_status = reject_status;
  r->out_reason = reason_full;
  lb_metric_add(rejected, 1);
  return LB_REJECT;
}

LB_EXPORT(lb_feedback) void lb_feedback(const lb_feedback_record *f, uint32_t n, uint64_t now_ns) {
  for (; n > 0; n--, f++) {
    seats *e = f->tag & ours ? lb_state_of(&states, (uint32_t)f->tag) : 0;
    if (!e) continue;
    age(e, second_of(now_ns));
    uint32_t picked = (uint32_t)(f->tag >> 32) & 0x7fffffff;
    uint32_t *count = e->latest - picked < window ? &e->young[picked % window] : e->overdue ? &e->overdue : &e->rest;
    if (*count > 0) --*count;
  }
}

/* Reports come right before a tick, so the count and the column agree at most ticks. Where they have not for long, seats
 * are lost: the endpoint rests until they can be counted anew. */
LB_EXPORT(lb_tick) void lb_tick(uint64_t now_ns) {
  if (!table) return;
  const uint32_t *inflight = lb_column_of(table, LB_INFLIGHT);
  uint32_t second = second_of(now_ns);
  for (uint32_t i = 0; i < table->n; i++) {
    seats *e = lb_state(&states, i);
    if (e->latest != second) age(e, second);
    uint32_t counted = e->young[0] + e->young[1] + e->young[2] + e->rest;
    if (e->rest == 0 || counted <= (inflight ? inflight[i] : 0)) e->agreed = second;
    if (second - e->agreed > patience) e->resting = 1;
  }
}

LB_EXPORT(lb_save) int32_t lb_save(uint8_t *buf, uint32_t cap) { return lb_save_states(&states, layout, buf, cap); }

LB_EXPORT(lb_restore) int32_t lb_restore(const uint8_t *buf, uint32_t len) {
  int32_t result = lb_load_states(&states, layout, buf, len, table);
  if (result == 0 && table) read_seats();
  return result;
}
