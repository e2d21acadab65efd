;; Extended constant expressions, modulo 2^32.
(module
  (memory 3)
  (global $base i32 (i32.const 4096))
  (data (i32.add (global.get $base) (i32.const 16)) "sum")
  (data (i32.sub (i32.const 10) (i32.const 3)) "difference")
  (data (i32.mul (i32.const 0x10001) (i32.const 0x10001)) "product")
  (data (i32.add (i32.const -1) (i32.const 2)) "wraps"))
