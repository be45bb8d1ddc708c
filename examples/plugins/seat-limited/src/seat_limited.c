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
 * So young + min(rest, inflight) is never less than what is in flight or about to be. A seat is free if that is below the
 * seats. */
#include "lb_states.h"

typedef struct seats {
  uint32_t id, seats;
  uint32_t rest;
  uint32_t young;       /* the sum of picked */
  uint32_t picked[3];   /* by second modulo 3; a second is 2^30 ns here */
  uint32_t latest;      /* the newest second of picked */
  uint32_t overdue;     /* reports that may come of what has been taken off rest already */
  uint32_t overdue_since, agreed; /* seconds */
  uint32_t resting;     /* takes nothing until what is young is gone, and the column can be believed */
} seats;

enum { window = 3, patience = 16, most_looks = 512, full_scan = 32, reason_full = 429, max_seats = 1000000000 };
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
    uint64_t x = default_seats;
    if (lb_meta(table, i, key, &value) && (!lb_digits(value, &x) || x > max_seats)) {
      x = default_seats;
      warn(i);
    }
    e->seats = (uint32_t)x;
    e->resting = 0;
  }
}

LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t) {
  table = t;
  if (lb_carry(&states, t) < 0 || !lb_column_of(t, LB_INFLIGHT)) return -1;
  read_seats();
  return 0;
}

/* age moves what is no longer young to rest. A clock that steps back stands still here. */
static void age(seats *e, uint32_t second) {
  if ((int32_t)(second - e->latest) <= 0) return;
  uint32_t steps = second - e->latest;
  for (uint32_t k = 1; k <= steps && k <= window; k++) {
    uint32_t *oldest = &e->picked[(e->latest + k) % window];
    e->rest += *oldest;
    e->young -= *oldest;
    *oldest = 0;
  }
  e->latest = second;
  if (second - e->overdue_since >= window) e->overdue = 0; /* those reports are not late, they are lost */
}

/* believe takes the column's word where it can be taken: whatever was picked has begun by then, or never will. */
static void believe(seats *e, uint32_t inflight) {
  if (e->young > 0 || e->rest < inflight) return;
  e->overdue += e->rest - inflight;
  e->overdue_since = e->agreed = e->latest;
  e->rest = inflight;
  e->resting = 0;
}

static uint32_t second_of(uint64_t now_ns) { return (uint32_t)(now_ns >> 30) & 0x7fffffff; }

LB_EXPORT(lb_pick) int32_t lb_pick(lb_request *r) {
  const uint32_t *inflight = lb_column_of(table, LB_INFLIGHT);
  uint32_t looks = 0, best = 0, tried = r->n_tried;
  uint64_t seed = r->rnd, load = 0, of = 0, ties = 0; /* load/of is the least so far; of 0 is none */
  for (uint32_t tier = 0; tier < 4 && of == 0; tier++) {
    lb_span s = lb_tier(table, tier);
    uint32_t n = (uint32_t)(s.end - s.at), at = n > full_scan ? (uint32_t)((lb_next(&seed) >> 32) * n >> 32) : 0;
    for (uint32_t k = 0; k < n && looks < most_looks && (k < full_scan || of == 0); k++, looks++) {
      uint32_t i = s.at[at];
      if (++at == n) at = 0;
      const seats *e = lb_state(&states, i);
      uint32_t there = inflight[i], taken = e->young + (e->rest < there ? e->rest : there);
      if (taken < there) taken = there; /* somebody else placed requests there */
      if (taken >= e->seats || e->resting) continue;
      uint64_t a = (taken + 1ull) * of, b = load * e->seats;
      if ((of != 0 && a > b) || (tried && lb_tried(r, i))) continue;
      if (of == 0 || a < b) ties = 0;
      seed = seed * 6364136223846793005ull + 1442695040888963407ull;
      if ((seed >> 32) * ++ties >> 32 != 0) continue;
      best = i, load = taken + 1ull, of = e->seats;
    }
  }
  if (of != 0) {
    seats *e = lb_state(&states, best);
    age(e, second_of(r->now_ns));
    believe(e, inflight[best]);
    if (e->young + e->rest < inflight[best]) e->rest = inflight[best] - e->young;
    e->picked[e->latest % window]++;
    e->young++;
    r->out_tag = ours | (uint64_t)e->latest << 32 | e->id;
    return (int32_t)best;
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
    uint32_t picked = (uint32_t)(f->tag >> 32) & 0x7fffffff;
    age(e, second_of(now_ns));
    if (e->latest - picked >= window) {
      uint32_t *count = e->overdue ? &e->overdue : &e->rest;
      if (*count > 0) --*count;
    } else if (e->picked[picked % window] > 0) {
      e->picked[picked % window]--;
      e->young--;
    }
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
    age(e, second);
    believe(e, inflight[i]);
    if (e->rest == 0 || e->young + e->rest <= inflight[i]) {
      e->agreed = second;
      e->resting = 0;
    } else if (second - e->agreed > patience) {
      e->resting = 1;
    }
  }
}

LB_EXPORT(lb_save) int32_t lb_save(uint8_t *buf, uint32_t cap) { return lb_save_states(&states, layout, buf, cap); }

LB_EXPORT(lb_restore) int32_t lb_restore(const uint8_t *buf, uint32_t len) {
  int32_t result = lb_load_states(&states, layout, buf, len, table);
  if (result == 0 && table) read_seats();
  return result;
}
