;; What a shared library looks like: data at an imported base. Only known at run time.
(module
  (import "env" "memory" (memory 1))
  (import "env" "__memory_base" (global $base i32))
  (data (global.get $base) "relocated"))
