// Serves from the own zone first, and from the others as far as it is overloaded. README.md says more.
import {
  Column, DEFER, Health, REPLICABLE, Request, SAME_ZONE, STEP, Settings, Table, mix, want,
} from "../../../../wasmhost/sdk/assemblyscript/lb";
export { lb_alloc } from "../../../../wasmhost/sdk/assemblyscript/lb";

const OWN: u32 = 0, OTHER: u32 = 1;
const REASON_OWN: u32 = 1, REASON_SPILLED: u32 = 2, REASON_NONE_LEFT: u32 = 3;
const SAMPLE: u32 = 64; // endpoints that an estimate of load looks at

let spillAt: f64 = 8, maxSpill: f64 = 1;

let table: Table = changetype<Table>(0);
// The endpoints of tier t and side s are members[starts[2t+s]..starts[2t+s+1]], whether they are up or not.
let members: usize = 0;
let room: u32 = 0;
const starts: usize = memory.data(9 * 4, 4);
const heaviest: usize = memory.data(8 * 4, 4); // weight, by tier and side
const weights: usize = memory.data(4 * 8, 8); // mean weight, by tier

let seed: u64 = 0;
function next(): u64 { seed += STEP; return mix(seed - STEP); }

export function lb_abi_v1(hostFeatures: u64): u64 { return REPLICABLE | want(Column.HEALTH) | want(Column.INFLIGHT); }

export function lb_init(config: usize, len: u32): i32 {
  if (len == 0) return 0;
  const s = new Settings(config, len);
  let more = s.next();
  for (; more == 1; more = s.next()) {
    if (s.has("spill_at_inflight", 0, 1000000)) spillAt = s.number;
    else if (s.has("max_spill_percent", 0, 100)) maxSpill = s.number / 100;
    else return -1;
  }
  return more;
}

function group(i: u32): u32 {
  const e = table.endpoint(i);
  return min<u32>(e.tier, 3) * 2 + (e.flags & SAME_ZONE ? OWN : OTHER);
}

export function lb_endpoints(t: Table): i32 {
  table = t;
  if (t.n > room) {
    room = max<u32>(64, <u32>1 << (32 - clz<u32>(t.n - 1)));
    members = heap.alloc(room << 2);
  }
  memory.fill(starts, 0, 9 * 4);
  for (let i: u32 = 0; i < t.n; i++) {
    const at = starts + (group(i) << 2);
    store<u32>(at, load<u32>(at, 4) + 1, 4);
  }
  for (let g: u32 = 0; g < 8; g++) {
    const at = starts + (g << 2);
    store<u32>(at, load<u32>(at, 4) + load<u32>(at), 4);
  }
  const filled = memory.data(8 * 4, 4);
  memory.copy(filled, starts, 8 * 4);
  memory.fill(heaviest, 0, 8 * 4);
  for (let i: u32 = 0; i < t.n; i++) {
    const g = group(i) << 2, k = load<u32>(filled + g), weight = t.endpoint(i).weight;
    store<u32>(members + (k << 2), i);
    store<u32>(filled + g, k + 1);
    store<u32>(heaviest + g, max(load<u32>(heaviest + g), weight));
  }
  for (let tier: u32 = 0; tier < 4; tier++) {
    const begin = start(tier * 2), end = start(tier * 2 + 2);
    let sum: f64 = 0;
    for (let k = begin; k < end; k++) sum += <f64>t.endpoint(member(k)).weight;
    store<f64>(weights + (tier << 3), sum / <f64>max<u32>(end - begin, 1));
  }
  return 0;
}

function start(g: u32): u32 { return load<u32>(starts + (g << 2)); }
function member(k: u32): u32 { return load<u32>(members + (k << 2)); }

export function lb_pick(r: Request): i32 {
  const tier = table.firstTier(r);
  if (tier == 4) return DEFER;
  seed = r.rnd;
  const side = sideOf(tier);
  r.out_reason = side == OWN ? REASON_OWN : REASON_SPILLED;
  let ep = lessLoaded(r, tier * 2 + side);
  if (ep >= 0) return ep;
  r.out_reason = REASON_NONE_LEFT;
  ep = lessLoaded(r, tier * 2 + 1 - side);
  for (let k = table.tierBegin(tier); ep < 0; k++) if (!r.tried(table.up(k))) ep = table.up(k);
  return ep;
}

// sideOf decides who serves. What the own zone has above its ceiling goes to the others, or what it has above them if they are
// above the ceiling themselves: so load is never moved to where there is more.
function sideOf(tier: u32): u32 {
  const g = tier * 2, begin = start(g), middle = start(g + 1), end = start(g + 2);
  if (begin == middle) return OTHER;
  if (middle == end) return OWN;
  const mean = load<f64>(weights + (tier << 3)), own = loadOf(begin, middle) * mean;
  if (own < 0) return OTHER;
  if (own <= spillAt) return OWN;
  const others = loadOf(middle, end) * mean;
  if (others < 0) return OWN;
  const share = min(1 - max(spillAt, others) / own, maxSpill);
  return <f64>(next() >> 11) * (1.0 / 9007199254740992.0) < share ? OTHER : OWN;
}

// loadOf estimates the requests in flight for each unit of weight among members, of up to SAMPLE in a row; below 0 if none of
// them is up. Health is good enough for an estimate; who may be picked, up alone says.
function loadOf(begin: u32, end: u32): f64 {
  const n = end - begin, looks = min(n, SAMPLE);
  let k = n > SAMPLE ? begin + <u32>((next() >> 32) * n >> 32) : begin;
  let inflight: u64 = 0, weight: u64 = 0;
  for (let look: u32 = 0; look < looks; look++) {
    const ep = member(k);
    if (++k == end) k = begin;
    if (table.column(Column.HEALTH, ep) == Health.DOWN && !table.panic) continue;
    inflight += table.column(Column.INFLIGHT, ep);
    weight += table.endpoint(ep).weight;
  }
  if (weight == 0) return n > SAMPLE ? 0 : -1;
  return <f64>inflight / <f64>weight;
}

// lessLoaded draws two endpoints of group g by weight and answers the one with fewer requests for its weight, or -1.
function lessLoaded(r: Request, g: u32): i32 {
  const a = draw(r, g, -1);
  if (a < 0) return a;
  const b = draw(r, g, a);
  return b >= 0 && table.lessLoaded(b, a) ? b : a;
}

// draw throws darts, each at an even member and an even height below the heaviest, and then counts.
function draw(r: Request, g: u32, not: i32): i32 {
  const begin = start(g), end = start(g + 1), top: u64 = load<u32>(heaviest + (g << 2));
  for (let k = 0; k < 12 && begin < end; k++) {
    const x = next(), ep = member(begin + <u32>((x >> 32) * (end - begin) >> 32));
    if ((x & 0xffffffff) * top >> 32 < table.endpoint(ep).weight && ep != not && !r.tried(ep) && table.isUp(ep)) return ep;
  }
  return drawCounting(r, g, not, next());
}

// drawCounting looks at 128 endpoints in a row that are up, at most, so that it stays below the fuel of a pick.
const eligible: usize = memory.data(128 * 4, 4);
function drawCounting(r: Request, g: u32, not: i32, x: u64): i32 {
  let begin = table.tierBegin(g >> 1), end = table.tierEnd(g >> 1);
  if (end - begin > 128) {
    begin += <u32>((x >> 32) * (end - begin - 127) >> 32);
    end = begin + 128;
  }
  let total: u64 = 0, n: u32 = 0;
  for (let k = begin; k < end; k++) {
    const ep = table.up(k);
    if (group(ep) != g || ep == not || r.tried(ep)) continue;
    store<u32>(eligible + (n++ << 2), ep);
    total += table.endpoint(ep).weight;
  }
  if (total == 0) return -1;
  x %= total;
  for (let k: u32 = 0; k < n; k++) {
    const ep = load<u32>(eligible + (k << 2)), w: u64 = table.endpoint(ep).weight;
    if (x < w) return ep;
    x -= w;
  }
  return -1;
}
