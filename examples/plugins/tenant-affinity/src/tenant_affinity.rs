//! Sends the requests of a tenant, named by a header, to one endpoint, while that has no more than its share of the load; then
//! to the next in the tenant's order. README.md says more.
//!
//! Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016) on a ring. A ring moves no key but those of an
//! endpoint that leaves, and treats one that is down like one that is gone; a pick takes the log of its points. Rendezvous
//! hashing does the first, too, but looks at each endpoint in each pick; Maglev's table is quicker still, but moves others' keys.
#![no_std]

#[path = "../../../../wasmhost/sdk/rust/lb.rs"]
mod lb;
use lb::{Kept, Request, Span, Table, Value};

// What out_reason says.
const HOME: u32 = 1; // the first of the tenant's order that is usable and untried
const SPILLED: u32 = 2; // a later one, for load
const NO_TENANT: u32 = 3; // no header: the less loaded of two
const DRAWN: u32 = 4; // the order was looked through in vain

const SEED: u64 = 0x7465_6e61_6e74_0001; // of the header's hash
const LOOK: u32 = 64; // most points of the ring that a pick looks at
const EXACT: u32 = 256; // usable endpoints up to which the host's figures are exact in each pick
const SAMPLE: u32 = 1024; // most endpoints whose load is summed
const MILLISECOND: u64 = 1_000_000;

static TABLE: Kept<Option<Table>> = Kept::new(None);
static HEAVIEST: Kept<u32> = Kept::new(0);
static HEADER: Kept<i32> = Kept::new(-1);
static LOAD_PERCENT: Kept<u64> = Kept::new(125);
static RING: Kept<Ring> = Kept::new(Ring { points: core::ptr::null_mut(), ends: core::ptr::null_mut(), room: 0, end: [0; 4] });
static MEAN: Kept<Mean> = Kept::new(NO_MEAN);

/// Ring is the points of the endpoints, tier by tier: the upper half of a point is where it lies, the lower half whose it is.
/// ends is for sorting them.
#[derive(Clone, Copy)]
struct Ring { points: *mut u64, ends: *mut u32, room: u32, end: [u32; 4] }

/// Mean is the load of a tier: requests in flight and weight, together.
#[derive(Clone, Copy)]
struct Mean { up_gen: u32, tier: u32, at_ns: u64, inflight: u64, weight: u64 }
const NO_MEAN: Mean = Mean { up_gen: 0, tier: 4, at_ns: 0, inflight: 0, weight: 0 };

#[no_mangle]
extern "C" fn lb_abi_v1(_host_features: u64) -> u64 { lb::REPLICABLE | lb::want(lb::INFLIGHT) }

#[no_mangle]
extern "C" fn lb_init(config: *const u8, len: u32) -> i32 {
    let mut header: &[u8] = b"X-Tenant";
    let mut settings = lb::Settings::new(lb::bytes(config, len));
    loop {
        match settings.next() {
            Ok(None) => break,
            Ok(Some((b"header", Value::Text(name)))) if !name.is_empty() => header = name,
            Ok(Some((b"load_percent", Value::Number(n)))) if (100..=1000).contains(&n) => LOAD_PERCENT.set(n),
            _ => return -1,
        }
    }
    HEADER.set(lb::header_id(header));
    HEADER.get().min(0)
}

/// points is how many points an endpoint has. What a weight counts for follows from the heaviest, rounded up to a power of two,
/// and from the size of the table in steps: so an endpoint seldom gains or loses points because of others.
fn points(n: u32, weight: u32, heaviest: u32) -> u32 {
    let most = match n {
        0..=1024 => 64,
        1025..=4096 => 16,
        4097..=16384 => 4,
        _ => 1,
    };
    (weight * most / heaviest.next_power_of_two()).max(1)
}

/// each_point gives each point of a tier, and the bucket of the ring that it is in: of as many as there are points.
fn each_point(t: Table, heaviest: u32, tier: u8, buckets: u32, mut f: impl FnMut(u64, usize)) {
    for i in 0..t.n() {
        let e = t.endpoint(i);
        if e.tier.min(3) != tier {
            continue;
        }
        let mut seed = e.id_hash;
        for _ in 0..points(t.n(), e.weight, heaviest) {
            let x = lb::next(&mut seed);
            f(x & !0xffff_ffff | i as u64, ((x >> 32) * buckets as u64 >> 32) as usize);
        }
    }
}

#[no_mangle]
extern "C" fn lb_endpoints(t: Table) -> i32 {
    let (n, heaviest) = (t.n(), t.heaviest());
    let mut sizes = [0u32; 4];
    for i in 0..n {
        let e = t.endpoint(i);
        sizes[e.tier.min(3) as usize] += points(n, e.weight, heaviest);
    }
    let total: u32 = sizes.iter().sum();
    let mut ring = RING.get();
    if total > ring.room {
        ring.room = total.next_power_of_two();
        ring.points = lb::bump(ring.room * 8) as *mut u64;
        ring.ends = lb::bump(ring.room * 4) as *mut u32;
        if ring.points.is_null() || ring.ends.is_null() {
            return -1;
        }
    }
    let mut end = 0;
    for tier in 0..4 {
        let size = sizes[tier as usize];
        unsafe { sort(t, heaviest, tier, ring.points.add(end as usize), ring.ends, size as usize) };
        end += size;
        ring.end[tier as usize] = end;
    }
    RING.set(ring);
    TABLE.set(Some(t));
    HEAVIEST.set(heaviest);
    MEAN.set(NO_MEAN);
    0
}

/// sort puts the points of a tier in order, in time in proportion to them: they are hashes, and so there is about one in each
/// bucket. ends is room for as many numbers.
unsafe fn sort(t: Table, heaviest: u32, tier: u8, at: *mut u64, ends: *mut u32, size: usize) {
    for b in 0..size {
        *ends.add(b) = 0;
    }
    each_point(t, heaviest, tier, size as u32, |_, b| *ends.add(b) += 1);
    let mut sum = 0;
    for b in 0..size {
        sum += *ends.add(b);
        *ends.add(b) = sum;
    }
    each_point(t, heaviest, tier, size as u32, |x, b| {
        *ends.add(b) -= 1;
        *at.add(*ends.add(b) as usize) = x;
    });
    for k in 1..size {
        let (x, mut to) = (*at.add(k), k);
        while to > 0 && *at.add(to - 1) > x {
            *at.add(to) = *at.add(to - 1);
            to -= 1;
        }
        *at.add(to) = x;
    }
}

#[no_mangle]
extern "C" fn lb_pick(r: &mut Request) -> i32 {
    let t = match TABLE.get() {
        Some(t) => t,
        None => return lb::DEFER,
    };
    let candidates = t.candidates(r);
    if candidates.len == 0 {
        return lb::DEFER;
    }
    let key = lb::header_hash(HEADER.get(), SEED);
    let (ep, reason) = if key == 0 { (less_loaded(t, r, candidates), NO_TENANT) } else { in_order(t, r, candidates, key) };
    r.out_reason = reason;
    ep
}

/// in_order walks the ring from the key on, to the first endpoint that has room for one request more.
fn in_order(t: Table, r: &Request, candidates: Span, key: u64) -> (i32, u32) {
    let tier = (t.endpoint(candidates.at(0)).tier as u32).min(3);
    let ring = RING.get();
    let begin = if tier == 0 { 0 } else { ring.end[tier as usize - 1 & 3] };
    let end = ring.end[tier as usize & 3];
    let (mut at, mut high) = (begin, end);
    while at < high {
        let middle = (at + high) / 2;
        if unsafe { *ring.points.add(middle as usize) } < key { at = middle + 1 } else { high = middle }
    }
    let mean = mean(t, r, candidates, tier);
    let inflight = t.column(lb::INFLIGHT);
    let (mut reason, mut last) = (HOME, lb::NONE);
    for _ in 0..LOOK.min(end - begin) {
        if at == end {
            at = begin;
        }
        let ep = unsafe { *ring.points.add(at as usize) } as u32;
        at += 1;
        if ep == last || !candidates.has(ep) || r.has_tried(ep) {
            continue;
        }
        last = ep;
        if has_room(mean, inflight.at(ep), t.weight(ep)) {
            return (ep as i32, reason);
        }
        reason = SPILLED;
    }
    if reason == SPILLED {
        return (less_loaded(t, r, candidates), DRAWN);
    }
    let mut seed = key; // nearly all of the tier is down: without an order, but the same each time
    (t.draw(r, candidates, HEAVIEST.get(), -1, &mut seed), DRAWN)
}

/// has_room tells whether an endpoint may have one request more: at most load_percent of its share of all that are in flight,
/// that one included, rounded up.
fn has_room(mean: Mean, inflight: u32, weight: u32) -> bool {
    let allowed = LOAD_PERCENT.get().saturating_mul(mean.inflight + 1).saturating_mul(weight as u64);
    (inflight as u64 * 100).saturating_mul(mean.weight) < allowed
}

/// mean sums up the load of the candidates. In large tables the host refreshes its figures once in a millisecond, and so the sum
/// is; of very large ones it is that of a part, drawn anew each time.
fn mean(t: Table, r: &Request, candidates: Span, tier: u32) -> Mean {
    let was = MEAN.get();
    let known = (was.up_gen, was.tier) == (r.up_gen, tier);
    if known && candidates.len > EXACT && r.now_ns.wrapping_sub(was.at_ns) < MILLISECOND {
        return was;
    }
    let n = candidates.len.min(SAMPLE);
    let begin = ((r.rnd >> 32) * (candidates.len - n + 1) as u64 >> 32) as u32;
    let weight = if known && n == candidates.len { was.weight } else { sum(candidates, begin, n, |ep| t.weight(ep)) };
    let inflight = t.column(lb::INFLIGHT);
    let m = Mean { up_gen: r.up_gen, tier, at_ns: r.now_ns, inflight: sum(candidates, begin, n, |ep| inflight.at(ep)), weight };
    MEAN.set(m);
    m
}

fn sum(candidates: Span, begin: u32, n: u32, of: impl Fn(u32) -> u32) -> u64 {
    let mut total = 0;
    for k in begin..begin + n {
        total += of(candidates.at(k)) as u64;
    }
    total
}

/// less_loaded draws two by weight and takes the one with the lesser (requests in flight + 1) / weight.
fn less_loaded(t: Table, r: &Request, candidates: Span) -> i32 {
    let mut seed = r.rnd;
    let a = t.draw(r, candidates, HEAVIEST.get(), -1, &mut seed);
    let b = t.draw(r, candidates, HEAVIEST.get(), a, &mut seed);
    if b < 0 {
        return a;
    }
    let load = |ep: i32| t.column(lb::INFLIGHT).at(ep as u32) as u64 + 1;
    if load(b) * (t.weight(a as u32) as u64) < load(a) * t.weight(b as u32) as u64 { b } else { a }
}
