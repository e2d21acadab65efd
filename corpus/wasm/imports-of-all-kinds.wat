;; Every kind of import, before a memory of its own.
(module
  (type $t (func (param i32)))
  (import "m" "f" (func (type $t)))
  (import "m" "t" (table 1 9 funcref))
  (import "m" "r" (table 0 externref))
  (import "m" "i" (global i32))
  (import "m" "l" (global (mut i64)))
  (import "m" "v" (global v128))
  (import "m" "x" (global externref))
  (import "m" "tag" (tag (param i32)))
  (import "" "" (func))
  (memory 1)
  (data (i32.const 1) "own"))
