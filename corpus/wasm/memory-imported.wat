;; An imported memory: its real length may be larger than the minimum said here.
(module
  (import "env" "memory" (memory 1 2))
  (data (i32.const 16) "imported"))
