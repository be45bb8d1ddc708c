;; A policy whose every answer depends on all it was ever told: outcomes, ticks, chance, counters, live columns. If a
;; replay differs from what was recorded in anything, it soon differs in its answers. A TRACE request makes it trap.
(module
  (import "lb" "rand64" (func $rand64 (result i64)))
  (import "lb" "now_ns" (func $now_ns (result i64)))
  (import "lb" "ctr_id" (func $ctr_id (param i32 i32) (result i32)))
  (import "lb" "ctr_add" (func $ctr_add (param i32 i64) (result i64)))
  (import "lb" "set_tick" (func $set_tick (param i32) (result i32)))
  (import "lb" "eject" (func $eject (param i32 i32) (result i32)))
  (import "lb" "header_id" (func $header_id (param i32 i32) (result i32)))
  (import "lb" "header_hash" (func $header_hash (param i32 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "x-user")
  (global $heap (mut i32) (i32.const 64))
  (global $table (mut i32) (i32.const 0))
  (global $sum (mut i64) (i64.const 0))
  (global $ctr (mut i32) (i32.const 0))
  (global $user (mut i32) (i32.const 0))

  ;; inflight and err_ppm
  (func (export "lb_abi_v1") (param i64) (result i64) (i64.const 0xa00000000))

  (func (export "lb_alloc") (param $what i32) (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (local.get $at) (local.get $len)) (i32.const 7)) (i32.const -8)))
    (local.get $at))

  (func $learn (param $x i64)
    (global.set $sum
      (i64.add (i64.mul (i64.xor (global.get $sum) (local.get $x)) (i64.const 0x9e3779b97f4a7c15)) (i64.const 1))))

  (func (export "lb_init") (param i32 i32) (result i32)
    (global.set $ctr (call $ctr_id (i32.const 8) (i32.const 6)))
    (global.set $user (call $header_id (i32.const 8) (i32.const 6)))
    (drop (call $set_tick (i32.const 100)))
    (call $learn (call $now_ns))
    (i32.const 0))

  (func (export "lb_endpoints") (param $t i32) (result i32)
    (global.set $table (local.get $t))
    (call $learn (i64.load32_u offset=4 (local.get $t)))
    (call $learn (call $now_ns))
    (call $learn (i64.load offset=128 (local.get $t)))
    (i32.const 0))

  (func (export "lb_feedback") (param $p i32) (param $n i32) (param $now i64)
    (call $learn (local.get $now))
    (loop $next
      (call $learn (i64.load (local.get $p)))
      (call $learn (i64.load offset=8 (local.get $p)))
      (call $learn (i64.load offset=16 (local.get $p)))
      (call $learn (i64.load offset=24 (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 32)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $next (local.get $n)))
    (call $learn (i64.extend_i32_s (call $eject (i32.const 0) (i32.const 1)))))

  (func (export "lb_tick") (param $now i64)
    (call $learn (local.get $now))
    (call $learn (i64.extend_i32_s (call $eject (i32.const 0) (i32.const 1)))))

  ;; The whole request block, the live columns, chance, a counter and a header.
  (func $look (param $r i32)
    (local $k i32)
    (loop $next
      (call $learn (i64.load (i32.add (local.get $r) (local.get $k))))
      (local.set $k (i32.add (local.get $k) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $k) (i32.const 192))))
    (call $learn (i64.load32_u (i32.add (global.get $table) (i32.load offset=68 (global.get $table)))))
    (call $learn (i64.load32_u (i32.add (global.get $table) (i32.load offset=76 (global.get $table)))))
    (call $learn (call $rand64))
    (call $learn (call $ctr_add (global.get $ctr) (i64.const 3)))
    (call $learn (call $header_hash (global.get $user) (i64.const 0))))

  (func $pick (export "lb_pick") (param $r i32) (result i32)
    (local $n i32)
    (if (i32.eq (i32.load8_u offset=40 (local.get $r)) (i32.const 8)) (then (unreachable)))
    (call $look (local.get $r))
    (local.set $n (i32.load offset=32 (global.get $table)))
    (if (i32.eqz (local.get $n)) (then (return (i32.const -1))))
    (i64.store offset=240 (local.get $r) (global.get $sum))
    (i32.store offset=252 (local.get $r) (i32.wrap_i64 (global.get $sum)))
    (i32.load
      (i32.add
        (i32.add (global.get $table) (i32.load offset=36 (global.get $table)))
        (i32.shl (i32.rem_u (i32.wrap_i64 (i64.shr_u (global.get $sum) (i64.const 32))) (local.get $n)) (i32.const 2)))))

  (func (export "lb_retry") (param $r i32) (result i32) (call $pick (local.get $r))))
