//! The power of two choices by weight: draw two endpoints of the first usable tier, take the one with the lesser
//! (requests in flight + 1) / weight. The same policy as examples/plugins/p2c, in Rust.
#![no_std]

#[path = "../../../wasmhost/sdk/rust/lb.rs"]
mod lb;
use lb::{Kept, Request, Table};

static TABLE: Kept<Option<Table>> = Kept::new(None);
static HEAVIEST: Kept<u32> = Kept::new(0);

#[no_mangle]
extern "C" fn lb_abi_v1(_host_features: u64) -> u64 { lb::REPLICABLE | lb::want(lb::INFLIGHT) }

#[no_mangle]
extern "C" fn lb_init(config: *const u8, len: u32) -> i32 {
    match lb::Settings::new(lb::bytes(config, len)).next() {
        Ok(None) => 0,
        _ => -1,
    }
}

#[no_mangle]
extern "C" fn lb_endpoints(t: Table) -> i32 {
    TABLE.set(Some(t));
    HEAVIEST.set(t.heaviest());
    0
}

/// load_below tells whether a has less load for its weight than b.
fn load_below(t: Table, a: u32, b: u32) -> bool {
    let inflight = t.column(lb::INFLIGHT);
    (inflight.at(a) as u64 + 1) * (t.weight(b) as u64) < (inflight.at(b) as u64 + 1) * t.weight(a) as u64
}

#[no_mangle]
extern "C" fn lb_pick(r: &Request) -> i32 {
    let t = match TABLE.get() {
        Some(t) => t,
        None => return lb::DEFER,
    };
    let candidates = t.candidates(r);
    let mut seed = r.rnd;
    let a = t.draw(r, candidates, HEAVIEST.get(), -1, &mut seed);
    if a < 0 {
        return lb::DEFER;
    }
    let b = t.draw(r, candidates, HEAVIEST.get(), a, &mut seed);
    if b >= 0 && load_below(t, b as u32, a as u32) { b } else { a }
}
