;; Threads: atomic code on a shared memory.
(module
  (memory 1 1 shared)
  (data (i32.const 0) "\01\00\00\00")
  (func (export "lock") (result i32)
    (i32.atomic.rmw.cmpxchg (i32.const 0) (i32.const 0) (i32.const 1))))
