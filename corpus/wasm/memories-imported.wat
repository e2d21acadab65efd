;; Imported memories come first in the index space, and functions between them do not count.
(module
  (import "m" "f" (func))
  (import "m" "a" (memory 1))
  (import "m" "g" (global i64))
  (import "m" "b" (memory i64 2))
  (memory $own 3)
  (data (memory 1) (i64.const 131071) "b")
  (data (memory $own) (i32.const 0) "own")
  (data (memory 0) (i32.const 0) "a"))
