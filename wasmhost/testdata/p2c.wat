;; Power of two choices over the first tier of up[], by requests in flight. For benchmarks.
(module
  (memory (export "memory") 1)
  (global $table (mut i32) (i32.const 0))
  (global $heap (mut i32) (i32.const 1024))
  (func (export "lb_abi_v1") (param i64) (result i64) (i64.const 0x0002_0000_0001))  ;; REPLICABLE
  (func (export "lb_alloc") (param i32) (param $len i32) (result i32)
    (local $p i32)
    (local.set $p (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (local.get $p) (local.get $len)) (i32.const 7)) (i32.const -8)))
    (drop (memory.grow (i32.shr_u (local.get $len) (i32.const 16))))
    (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))) (then (drop (memory.grow (i32.const 1)))))
    (local.get $p))
  (func (export "lb_init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "lb_endpoints") (param i32) (result i32) (global.set $table (local.get 0)) (i32.const 0))
  (func (export "lb_pick") (param $req i32) (result i32)
    (local $t i32) (local $n i32) (local $up i32) (local $load i32) (local $a i32) (local $b i32) (local $rnd i64)
    (local.set $t (global.get $table))
    (local.set $n (i32.load offset=40 (local.get $t)))
    (if (i32.or (i32.eqz (local.get $n)) (i32.load8_u offset=42 (local.get $req))) (then (return (i32.const -1))))
    (local.set $up (i32.add (local.get $t) (i32.load offset=36 (local.get $t))))
    (local.set $load (i32.add (local.get $t) (i32.load offset=68 (local.get $t))))
    (local.set $rnd (i64.load offset=8 (local.get $req)))
    (local.set $a (i32.load (i32.add (local.get $up) (i32.shl (i32.wrap_i64 (i64.shr_u
      (i64.mul (i64.and (local.get $rnd) (i64.const 0xffffffff)) (i64.extend_i32_u (local.get $n))) (i64.const 32))) (i32.const 2)))))
    (local.set $b (i32.load (i32.add (local.get $up) (i32.shl (i32.wrap_i64 (i64.shr_u
      (i64.mul (i64.shr_u (local.get $rnd) (i64.const 32)) (i64.extend_i32_u (local.get $n))) (i64.const 32))) (i32.const 2)))))
    (select (local.get $b) (local.get $a) (i32.lt_u
      (i32.load (i32.add (local.get $load) (i32.shl (local.get $b) (i32.const 2))))
      (i32.load (i32.add (local.get $load) (i32.shl (local.get $a) (i32.const 2))))))))
