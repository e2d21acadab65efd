;; A shared memory that the host gives.
(module
  (import "env" "memory" (memory 2 16 shared))
  (data (i32.const 131071) "e"))
