//! The power of two choices by weight: draw two endpoints of the first usable tier, take the one with the lesser
//! (requests in flight + 1) / weight. The same policy as examples/plugins/p2c, in Zig.
const lb = @import("lb");

var table: *const lb.Table = undefined;
var heaviest: u32 = 0;

export fn lb_abi_v1(_: u64) u64 {
    return lb.REPLICABLE | lb.want(.inflight);
}

export fn lb_init(config: ?[*]const u8, len: u32) i32 {
    var settings = lb.Settings.init(config, len);
    const first = settings.next() catch return -1;
    return if (first == null) 0 else -1;
}

export fn lb_endpoints(t: *const lb.Table) i32 {
    table = t;
    heaviest = t.heaviest();
    return 0;
}

/// loadBelow tells whether a has less load for its weight than b.
fn loadBelow(a: u32, b: u32) bool {
    const inflight = table.column(.inflight);
    const load_a: u64 = if (inflight) |c| c[a] else 0;
    const load_b: u64 = if (inflight) |c| c[b] else 0;
    return (load_a + 1) * table.endpoint(b).weight < (load_b + 1) * table.endpoint(a).weight;
}

export fn lb_pick(r: *const lb.Request) i32 {
    const candidates = table.candidates(r);
    var seed = r.rnd;
    const a = table.draw(r, candidates, heaviest, -1, &seed);
    if (a < 0) return lb.DEFER;
    const b = table.draw(r, candidates, heaviest, a, &seed);
    return if (b >= 0 and loadBelow(@bitCast(b), @bitCast(a))) b else a;
}
