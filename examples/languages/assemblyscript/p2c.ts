// The power of two choices by weight: draw two endpoints of the first usable tier, take the one with the lesser
// (requests in flight + 1) / weight. The same policy as examples/plugins/p2c, in AssemblyScript.
import { Column, DEFER, REPLICABLE, Request, STEP, Settings, Table, mix, want } from "../../../wasmhost/sdk/assemblyscript/lb";
export { lb_alloc } from "../../../wasmhost/sdk/assemblyscript/lb";

let table: Table = changetype<Table>(0);
let heaviest: u32 = 0;

export function lb_abi_v1(hostFeatures: u64): u64 { return REPLICABLE | want(Column.INFLIGHT); }

export function lb_init(config: usize, len: u32): i32 {
  return len == 0 || new Settings(config, len).next() == 0 ? 0 : -1;
}

export function lb_endpoints(t: Table): i32 {
  table = t;
  heaviest = 0;
  for (let i: u32 = 0; i < t.n; i++) heaviest = max(heaviest, t.endpoint(i).weight);
  return 0;
}

export function lb_pick(r: Request): i32 {
  let tier: u32 = 0;
  while (tier < 4 && !untried(r, tier)) tier++;
  if (tier == 4) return DEFER;
  seed = r.rnd;
  const a = draw(r, tier, DEFER), b = draw(r, tier, a);
  return b >= 0 && loadBelow(b, a) ? b : a;
}

// untried tells whether r has an endpoint of the tier left to try. It looks at no more than n_tried + 1 of them.
function untried(r: Request, tier: u32): bool {
  for (let k = table.tierBegin(tier); k < table.tierEnd(tier); k++) {
    if (!r.tried(table.up(k))) return true;
  }
  return false;
}

// loadBelow tells whether a has less load for its weight than b.
function loadBelow(a: u32, b: u32): bool {
  return (<u64>table.column(Column.INFLIGHT, a) + 1) * table.endpoint(b).weight <
    (<u64>table.column(Column.INFLIGHT, b) + 1) * table.endpoint(a).weight;
}

let seed: u64 = 0;
function next(): u64 {
  const x = mix(seed);
  seed += STEP;
  return x;
}

// draw draws an endpoint of the tier by weight, leaving out those tried and endpoint not (DEFER: no other); DEFER if none is
// left. It throws darts, each at an even endpoint and an even height below the heaviest, and after 16 misses counts through
// the weights: both ways have the same shares.
function draw(r: Request, tier: u32, not: i32): i32 {
  const begin = table.tierBegin(tier), n = table.tierEnd(tier) - begin;
  for (let k = 0; k < 16; k++) {
    const x = next(), ep = table.up(begin + <u32>((x >> 32) * n >> 32));
    if ((x & 0xffffffff) * heaviest >> 32 < table.endpoint(ep).weight && ep != not && !r.tried(ep)) return ep;
  }
  return drawCounting(r, begin, n, not, next());
}

// drawCounting is exact up to 256 endpoints, and beyond that among 256 in a row, so that it stays below the fuel of a pick.
function drawCounting(r: Request, begin: u32, n: u32, not: i32, x: u64): i32 {
  if (n > 256) {
    begin += <u32>((x >> 32) * (n - 255) >> 32);
    n = 256;
  }
  let total: u64 = 0;
  let skips: u32 = 0; // what is left out, ascending as up is, and an end that no index reaches
  for (let k: u32 = 0; k <= r.n_tried; k++) {
    const i: u32 = k < r.n_tried ? load<u32>(changetype<usize>(r) + (k << 2), 120) : not;
    let at = skips++;
    for (; at > 0 && load<u32>(skip + (at - 1 << 2)) > i; at--) store<u32>(skip + (at << 2), load<u32>(skip + (at - 1 << 2)));
    store<u32>(skip + (at << 2), i);
  }
  store<u32>(skip + (skips << 2), 0xffffffff);

  let next = skip;
  for (let k = begin; k < begin + n; k++) {
    const i = table.up(k);
    while (load<u32>(next) < i) next += 4;
    if (load<u32>(next) != i) total += table.endpoint(i).weight;
  }
  if (total == 0) return DEFER;
  x %= total; // uneven by no more than total / 2^64
  next = skip;
  for (let k = begin; k < begin + n; k++) {
    const i = table.up(k);
    while (load<u32>(next) < i) next += 4;
    if (load<u32>(next) == i) continue;
    const w: u64 = table.endpoint(i).weight;
    if (x < w) return i;
    x -= w;
  }
  return DEFER;
}
const skip: usize = memory.data(10 * 4);
