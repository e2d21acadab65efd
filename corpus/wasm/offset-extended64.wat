;; Extended constant expressions, modulo 2^64.
(module
  (memory i64 131073)
  (global $base i64 (i64.const 65536))
  (data (i64.add (global.get $base) (i64.const -1)) "sum")
  (data (i64.sub (i64.const 2) (i64.mul (i64.const 3) (i64.const -4))) "nested")
  (data (i64.mul (i64.const 0x100000001) (i64.const 0x100000001)) "far"))
