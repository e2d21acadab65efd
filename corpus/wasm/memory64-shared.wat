;; 64-bit addresses, shared, imported.
(module
  (import "env" "memory" (memory i64 1 2 shared))
  (data (i64.const 3) "all three"))
