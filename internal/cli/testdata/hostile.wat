;; A guest that misbehaves from request 64 on, which is after the dry run. Its config is {"part":"X"}, and X is what it
;; does: l loops for ever, r recurses for ever, t traps, i answers index 1000000.
(module
  (memory (export "memory") 1)
  (global $table (mut i32) (i32.const 0))
  (global $part (mut i32) (i32.const 0))
  (global $heap (mut i32) (i32.const 1024))
  (func (export "lb_abi_v1") (param i64) (result i64) (i64.const 0))
  (func (export "lb_alloc") (param i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 1)) (i32.const 7)) (i32.const -8)))
    (local.get $at))
  (func (export "lb_init") (param $cfg i32) (param $len i32) (result i32)
    (if (i32.gt_u (local.get $len) (i32.const 9))
      (then (global.set $part (i32.load8_u offset=9 (local.get $cfg)))))
    (i32.const 0))
  (func (export "lb_endpoints") (param $t i32) (result i32)
    (global.set $table (local.get $t))
    (i32.const 0))
  (func $recurse (param i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func (export "lb_pick") (param $req i32) (result i32)
    (local $t i32)
    (if (i64.ge_u (i64.load offset=24 (local.get $req)) (i64.const 64)) (then
      (if (i32.eq (global.get $part) (i32.const 108)) (then (loop $l (br $l))))
      (if (i32.eq (global.get $part) (i32.const 114)) (then (return (call $recurse (i32.const 0)))))
      (if (i32.eq (global.get $part) (i32.const 116)) (then unreachable))
      (if (i32.eq (global.get $part) (i32.const 105)) (then (return (i32.const 1000000))))))
    (local.set $t (global.get $table))
    (if (i32.eqz (i32.load offset=32 (local.get $t))) (then (return (i32.const -1))))
    ;; up[seq % n_up]
    (i32.load (i32.add
      (i32.add (local.get $t) (i32.load offset=36 (local.get $t)))
      (i32.shl
        (i32.wrap_i64 (i64.rem_u (i64.load offset=24 (local.get $req)) (i64.extend_i32_u (i32.load offset=32 (local.get $t)))))
        (i32.const 2))))))
