;; A sum over an imported base.
(module
  (import "env" "__memory_base" (global $base i32))
  (memory 1)
  (data (i32.const 0) "before")
  (data (i32.add (global.get $base) (i32.const 8)) "x"))
